/**
 * From what is on the disk to a live store that can be opened. Runs in main, before any worker.
 *
 * What is taken, the first that is there and sound:
 *
 *   autosave   the live store in memory, if it belongs to the saved file: the broker was killed, the machine not
 *              the saved file · the previous save · what can be rescued · nothing
 *   durable    the file itself · the previous save, if there ever was one · what can be rescued · nothing;
 *              if it cannot be written, a stand-in in memory, until it can
 *   deferred   as durable; if it cannot be written, a copy in a temporary folder, which is saved when it can
 *
 * A file that is not exactly as we left it is read in a child process first, because a damaged one can end the
 * process that opens it. One that is not sound is put aside under a dated name. A `mosquitto.db` of Mosquitto's is
 * imported; the original stays beside it (`recovery.ts`).
 */
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { StandIn, StoreMode } from '../../model/store-mode.js';
import { copyStore, Environment } from '../environment.js';
import { findLiveFolder } from './live-folder.js';
import { LiveNote } from './live-note.js';
import { migrate } from './migrations.js';
import { kindOf, Recovery } from './recovery.js';
import { hashOf, SavedFile, syncFile, syncFolder } from './saved-file.js';
import { checkInChild, faultOf } from './store-child.js';

export interface StartupOptions {
  /** `persistence`. */
  persistence: boolean;
  /** `persistence_location` and `persistence_file`, joined. */
  path: string;
  /** `persistence_mode durable`, or `autosave_on_changes true` with `autosave_interval 1`. */
  durable: boolean;
  /** Folders in memory, as `memoryFolders` gives them. */
  memoryFolders: readonly string[];
  /** Durable mode: if the file cannot be used, something else is served from. */
  mayStandIn?: boolean;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: (level: 'error' | 'warning' | 'notice', text: string) => void;
}

export interface PreparedStore {
  mode: StoreMode;
  /** The live store, to be opened by main and by every worker. */
  path: string;
  /** What saves go to; `undefined` if nothing is kept. */
  saved: SavedFile | undefined;
  /** The live store has what the saved file has not. */
  saveSoon: boolean;
  /** The live store is not there for the next start, saved or not. */
  isTemporary?: boolean;
  /** What the live store stands in for; `undefined`: it is the store. */
  standIn?: StandIn;
  /** What went wrong with stored data, for as long as the broker runs. In the log already. */
  alarms: string[];
}

/** There is nowhere to keep a live store. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

const LIVE_NAME = 'live.mdb';

/** @throws {StoreUnavailableError} where the file of the durable mode cannot be used and nothing may stand in for it */
export async function prepareStore(options: StartupOptions): Promise<PreparedStore> {
  return options.persistence ? new Startup(options).run() : prepareTransient(options, []);
}

/** Nothing is kept, but workers share the store all the same. */
async function prepareTransient(options: StartupOptions, alarms: string[]): Promise<PreparedStore> {
  const path = join(temporaryFolder(options, 'not kept'), LIVE_NAME);
  removeStore(path);
  await openOnce(path, 'transient');
  return { mode: 'transient', path, saved: undefined, saveSoon: false, alarms };
}

/** A folder for a live store that does not outlive the broker. */
function temporaryFolder(
  { memoryFolders, path }: StartupOptions,
  purpose: string,
  candidates = [...memoryFolders, tmpdir()],
): string {
  const folder = findLiveFolder({
    candidates,
    savedPath: `${path} (${purpose})`,
    bytes: 0,
    anyFileSystem: true,
  });
  if (folder !== undefined) return folder;
  throw new StoreUnavailableError(`no folder for temporary data, not even in ${tmpdir()}`);
}

class Startup {
  readonly #options: StartupOptions;
  readonly #saved: SavedFile;
  readonly #recovery: Recovery;
  readonly #alarms: string[] = [];

  constructor(options: StartupOptions) {
    this.#options = options;
    this.#saved = new SavedFile(options.path);
    const { now, log } = options;
    this.#recovery = new Recovery({ saved: this.#saved, now, log, alarm: (text) => this.#alarm(text) });
  }

  async run(): Promise<PreparedStore> {
    const { path, durable, memoryFolders } = this.#options;
    if (durable) return this.#onDisk('durable');
    const bytes = this.#saved.identity()?.bytes ?? 0;
    const folder = findLiveFolder({ candidates: memoryFolders, savedPath: path, bytes });
    try {
      if (folder !== undefined) return await this.#inMemory(folder);
      const tried = memoryFolders.join(', ');
      this.#options.log('warning', `No file system in memory has room for the store (tried ${tried}).`);
    } catch (error) {
      this.#alarm(`The store cannot be kept in memory: ${(error as Error).message}.`);
    }
    return this.#onDisk('deferred');
  }

  /** The live store is a copy in memory; the saved file is only read. */
  async #inMemory(folder: string): Promise<PreparedStore> {
    const live = join(folder, LIVE_NAME);
    const note = new LiveNote(live);
    const found = await this.#takeLive(live, note);
    if (!found) {
      removeStore(live);
      await this.#makeLive(folder, live, note);
    }
    await openOnce(live, 'autosave');
    const saveSoon = found || kindOf(this.#saved) === 'mosquitto' || this.#alarms.length > 0;
    return { mode: 'autosave', path: live, saved: this.#saved, saveSoon, alarms: this.#alarms };
  }

  /** @returns whether the live store of a killed broker can be used */
  async #takeLive(live: string, note: LiveNote): Promise<boolean> {
    if (!existsSync(live)) return false;
    if (!note.names(this.#saved.identity())) {
      this.#keepCopy(live, 'unsaved', 'The saved file was exchanged while the broker was down.');
      return false;
    }
    const result = await checkInChild(live, 'autosave');
    if (result.verdict === 'sound') {
      this.#options.log('notice', 'The broker was not ended in order. Its live store is intact and used.');
      return true;
    }
    this.#keepCopy(live, 'damaged', `The live store is damaged (${faultOf(result)}).`);
    return false;
  }

  /** Makes a live store of the saved state, if there is any. It appears whole, and not before its note. */
  async #makeLive(folder: string, live: string, note: LiveNote): Promise<void> {
    const scratch = join(folder, 'scratch');
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { mode: 0o700 });
    try {
      const made = await this.#copyOfSaved(scratch);
      note.write([this.#saved.identity() ?? null]);
      if (made !== undefined) renameSync(made, live);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  async #copyOfSaved(scratch: string): Promise<string | undefined> {
    const made = join(scratch, 'made.mdb');
    if (kindOf(this.#saved) === 'other' && (await this.#isAsLeft())) {
      await copyFile(this.#saved.path, made); // main has to say that it is alive
      return made;
    }
    const source = await this.#recovery.find(scratch);
    if (source === undefined) return undefined;
    await copyStore(source, made);
    return made;
  }

  /** The saved file is the live store itself. */
  async #onDisk(mode: 'durable' | 'deferred'): Promise<PreparedStore> {
    const { path } = this.#options;
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      // Another user's file is not damaged, and not to be put aside.
      if (existsSync(path)) accessSync(path, constants.R_OK | constants.W_OK);
      ensureRoom(`${path}.room`);
      if (!(await this.#isSoundInPlace())) await this.#makeInPlace();
      this.#saved.forgetState();
      await openOnce(path, mode);
      await syncFolder(dirname(path));
    } catch (error) {
      const reason = `the store ${path} cannot be used: ${(error as Error).message}`;
      if (mode === 'durable') return this.#standIn(new StoreUnavailableError(reason, { cause: error }));
      return this.#temporary(reason);
    }
    return { mode, path, saved: this.#saved, saveSoon: false, alarms: this.#alarms };
  }

  /** Where neither memory nor the saved file's folder has room: as in autosave mode, but gone with the process. */
  async #temporary(reason: string): Promise<PreparedStore> {
    const { memoryFolders } = this.#options;
    const folder = temporaryFolder(this.#options, 'unsaved', [tmpdir(), ...memoryFolders]);
    const live = join(folder, LIVE_NAME);
    removeStore(live);
    await this.#makeLive(folder, live, new LiveNote(live));
    await openOnce(live, 'autosave');
    this.#alarm(`Nothing is saved until it can be, ${reason}.`);
    return {
      mode: 'autosave',
      path: live,
      saved: this.#saved,
      saveSoon: true,
      isTemporary: true,
      alarms: this.#alarms,
    };
  }

  /**
   * A live store in memory, from which nothing is acknowledged that has to be stored. If the file reads, it begins as
   * a copy of it. A file that is not there may be on a disk that is not mounted yet: what was in it is unknown, too.
   */
  async #standIn(why: StoreUnavailableError): Promise<PreparedStore> {
    if (!this.#options.mayStandIn) throw why;
    const folder = temporaryFolder(this.#options, 'stand-in');
    const live = join(folder, LIVE_NAME);
    removeStore(live);
    const standIn: StandIn = isReadable(this.#saved.path) ? 'copy' : 'blind';
    if (standIn === 'copy') await this.#makeLive(folder, live, new LiveNote(live));
    const mode = standIn === 'copy' ? 'autosave' : 'transient';
    await openOnce(live, mode);
    this.#alarm(`Error: ${why.message}. ${WHILE_STANDING_IN[standIn]}`);
    return { mode, path: live, saved: this.#saved, saveSoon: false, standIn, alarms: this.#alarms };
  }

  async #isSoundInPlace(): Promise<boolean> {
    const kind = kindOf(this.#saved);
    if (kind === 'missing' || kind === 'empty') return true;
    if (kind === 'mosquitto') return false;
    if (await this.#isAsLeft()) return true;
    return (await checkInChild(this.#saved.path, 'durable')).verdict === 'sound';
  }

  async #makeInPlace(): Promise<void> {
    const target = this.#saved.prepareNew();
    const scratch = join(dirname(target), 'scratch');
    mkdirSync(scratch, { mode: 0o700 });
    const source = await this.#recovery.find(scratch);
    if (source !== undefined) {
      await copyStore(source, target);
      await syncFile(target);
      await this.#saved.replace(target, await hashOf(target), this.#options.now());
    }
    this.#saved.discardNew();
  }

  async #isAsLeft(): Promise<boolean> {
    try {
      return await this.#saved.isAsLeft();
    } catch {
      return false;
    }
  }

  #keepCopy(live: string, label: string, why: string): void {
    try {
      const path = this.#saved.datedPath(label, this.#options.now());
      copyFileSync(live, path);
      this.#alarm(`${why} The live store is kept as ${path}.`);
    } catch (error) {
      this.#alarm(`${why} The live store cannot be kept: ${(error as Error).message}.`);
    }
  }

  #alarm(text: string): void {
    this.#alarms.push(text);
    this.#options.log('error', text);
  }
}

/** LMDB maps its lock file into memory: without room for it the process would end with SIGBUS. */
function ensureRoom(path: string): void {
  try {
    writeFileSync(path, Buffer.alloc(ROOM_BYTES), { mode: 0o600, flush: true });
  } finally {
    rmSync(path, { force: true });
  }
}

const ROOM_BYTES = 128 * 1024;

const WHILE_STANDING_IN: Record<StandIn, string> = {
  copy: 'Clients are served from a copy in memory; what has to be stored is not acknowledged until it can be used.',
  blind:
    'Until it can be used, clients whose sessions stay are refused, and QoS 1 and 2 messages are not acknowledged.',
};

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** Makes the store if there is none and brings it to today's layout. */
async function openOnce(path: string, mode: StoreMode): Promise<void> {
  const environment = new Environment({ path, mode });
  try {
    await migrate(environment);
  } finally {
    await environment.close();
  }
}

/** Removes a live store in memory with its companions. */
export function removeStore(path: string): void {
  for (const suffix of ['', '-lock', '.note', '.ballast']) rmSync(`${path}${suffix}`, { force: true });
}

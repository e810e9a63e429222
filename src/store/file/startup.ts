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
 * A file that cannot be read is not damaged: in every mode something stands in for it until it can.
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
import { existingLiveFolders, findLiveFolder, type LiveFolder } from './live-folder.js';
import { LiveStamp } from './live-stamp.js';
import { migrate } from './migrations.js';
import { Recovery } from './recovery.js';
import { hashOf, SavedFile, syncFile, syncFolder, UnreadableFileError } from './saved-file.js';
import { type Check, type CheckResult, checkInChild, faultOf } from './store-child.js';

export interface StartupOptions {
  /** `persistence`. */
  persistence: boolean;
  /** `persistence_location` and `persistence_file`, joined. */
  path: string;
  /** `persistence_mode durable`, or `autosave_on_changes true` with `autosave_interval 1`. */
  durable: boolean;
  /** Folders in memory, as `memoryFolders` gives them. */
  memoryFolders: readonly string[];
  /** Where the file cannot be used, something else is served from. */
  mayStandIn?: boolean;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: (level: 'error' | 'warning' | 'notice', text: string) => void;
  /** Another one for tests. */
  check?: Check;
}

export interface PreparedStore {
  mode: StoreMode;
  /** The live store, to be opened by main and by every worker. */
  path: string;
  /** The file that saves go to; `undefined` without persistence. */
  saved: SavedFile | undefined;
  /** The live store has what the saved file has not. */
  saveSoon: boolean;
  /** The live store is not there for the next start, saved or not. */
  isTemporary?: boolean;
  /** What the live store stands in for; `undefined`: it is the store. */
  standIn?: StandIn;
  /** The folder of a live store in memory, to be released when it is closed. */
  folder?: LiveFolder;
  /** What went wrong with stored data, for as long as the broker runs. In the log already. */
  alarms: string[];
}

/** There is no folder for a live store. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

const LIVE_NAME = 'live.mdb';

/** @throws {StoreUnavailableError} if the file of the durable mode cannot be used and nothing may stand in for it */
export async function prepareStore(options: StartupOptions): Promise<PreparedStore> {
  return options.persistence ? new Startup(options).run() : prepareTransient(options, []);
}

/** Without persistence, workers share a store all the same. */
async function prepareTransient(options: StartupOptions, alarms: string[]): Promise<PreparedStore> {
  const folder = await temporaryFolder(options, 'not kept');
  const path = join(folder.path, LIVE_NAME);
  removeStore(path);
  await openOnce(path, 'transient');
  return { mode: 'transient', path, saved: undefined, saveSoon: false, folder, alarms };
}

/** A folder for a live store that does not outlive the broker. */
async function temporaryFolder(
  { memoryFolders, path }: StartupOptions,
  purpose: string,
  candidates = [...memoryFolders, tmpdir()],
): Promise<LiveFolder> {
  const folder = await findLiveFolder({
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
  readonly #check: Check;
  readonly #alarms: string[] = [];
  /** Folders in memory that this process has got hold of. */
  readonly #folders: LiveFolder[] = [];

  constructor(options: StartupOptions) {
    this.#options = options;
    this.#saved = new SavedFile(options.path);
    const { now, log } = options;
    this.#check = options.check ?? checkInChild;
    this.#recovery = new Recovery({
      saved: this.#saved,
      now,
      log,
      alarm: (text) => this.#alarm(text),
      check: this.#check,
    });
  }

  async run(): Promise<PreparedStore> {
    let used = '';
    try {
      const prepared = await this.#prepare();
      used = dirname(prepared.path);
      const folder = this.#folders.find(({ path }) => path === used);
      return { ...prepared, ...(folder && { folder }) };
    } finally {
      for (const { path, release } of this.#folders) if (path !== used) release();
    }
  }

  async #prepare(): Promise<PreparedStore> {
    const { path, durable, memoryFolders } = this.#options;
    if (durable) return this.#onDisk('durable');
    try {
      const found = await this.#foundInMemory();
      if (found !== undefined) return found;
      this.#saved.kind();
      const bytes = this.#saved.identity()?.bytes ?? 0;
      const folder = await findLiveFolder({ candidates: memoryFolders, savedPath: path, bytes });
      if (folder !== undefined) return await this.#inMemory(this.#has(folder));
      const tried = memoryFolders.join(', ');
      this.#options.log('warning', `No file system in memory has room for the store (tried ${tried}).`);
    } catch (error) {
      if (error instanceof UnreadableFileError) return this.#standIn(this.#unusable(error));
      this.#alarm(`The store cannot be kept in memory: ${(error as Error).message}.`);
    }
    return this.#onDisk('deferred');
  }

  /** The live store of a killed broker, whatever room there is beside it. */
  async #foundInMemory(): Promise<PreparedStore | undefined> {
    const { path, memoryFolders } = this.#options;
    const folders = await existingLiveFolders(memoryFolders, path);
    for (const folder of folders) this.#has(folder);
    for (const folder of folders) {
      const live = join(folder.path, LIVE_NAME);
      if (existsSync(live) && (await this.#takeLive(live, new LiveStamp(live))))
        return this.#autosave(live, true);
    }
    for (const { release } of this.#folders.splice(0)) release();
    return undefined;
  }

  /** @returns its path */
  #has(folder: LiveFolder): string {
    this.#folders.push(folder);
    return folder.path;
  }

  /** The live store is a copy in memory; the saved file is only read. */
  async #inMemory(folder: string): Promise<PreparedStore> {
    const live = join(folder, LIVE_NAME);
    removeStore(live);
    const isImport = this.#saved.kind() === 'mosquitto';
    await this.#makeLive(folder, live, new LiveStamp(live));
    return this.#autosave(live, isImport);
  }

  /** @param saveSoon the live store has what the saved file has not */
  async #autosave(live: string, saveSoon: boolean): Promise<PreparedStore> {
    await openOnce(live, 'autosave');
    const alarms = this.#alarms;
    return {
      mode: 'autosave',
      path: live,
      saved: this.#saved,
      saveSoon: saveSoon || alarms.length > 0,
      alarms,
    };
  }

  /** @returns whether the live store of a killed broker can be used; if not, it is out of the way */
  async #takeLive(live: string, stamp: LiveStamp): Promise<boolean> {
    const present = this.#saved.identityOrThrow();
    if (!stamp.names(present)) {
      this.#putLiveStoreAside(live, 'unsaved', 'The saved file was exchanged while the broker was down.');
      return false;
    }
    const result = await this.#checked(live, 'autosave');
    if (result.verdict === 'sound') {
      this.#options.log('notice', 'The broker was not ended in order. Its live store is intact and used.');
      return true;
    }
    if (this.#mayUseUnchecked(live, result)) return true;
    this.#putLiveStoreAside(live, 'damaged', `The live store is damaged (${faultOf(result)}).`);
    return false;
  }

  /** Makes a live store of the saved state, if there is any. It appears whole, and not before its stamp. */
  async #makeLive(folder: string, live: string, stamp: LiveStamp): Promise<void> {
    const scratch = join(folder, 'scratch');
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { mode: 0o700 });
    try {
      const made = await this.#copyOfSaved(scratch);
      stamp.write([this.#saved.identity() ?? null]);
      if (made !== undefined) renameSync(made, live);
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  }

  async #copyOfSaved(scratch: string): Promise<string | undefined> {
    const made = join(scratch, 'made.mdb');
    const condition = this.#saved.kind() === 'other' ? await this.#condition() : 'unknown';
    if (condition === 'as left') {
      await copyFile(this.#saved.path, made); // main has to say that it is alive
      return made;
    }
    const source = await this.#recovery.find(scratch, condition === 'rotted');
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
      if (this.#isAbsentOrEmpty()) await this.#makeEmpty(mode);
      await openOnce(path, mode);
      await syncFolder(dirname(path));
    } catch (error) {
      const unusable = this.#unusable(error as Error);
      return mode === 'durable' ? this.#standIn(unusable) : this.#temporary(unusable);
    }
    return { mode, path, saved: this.#saved, saveSoon: false, alarms: this.#alarms };
  }

  /** Where neither memory nor the saved file's folder has room: as in autosave mode, but gone with the process. */
  async #temporary(why: StoreUnavailableError): Promise<PreparedStore> {
    const { memoryFolders } = this.#options;
    const folder = this.#has(await temporaryFolder(this.#options, 'unsaved', [tmpdir(), ...memoryFolders]));
    const live = join(folder, LIVE_NAME);
    removeStore(live);
    try {
      await this.#makeLive(folder, live, new LiveStamp(live));
    } catch (error) {
      if (error instanceof UnreadableFileError) return this.#standIn(why);
      throw error;
    }
    await openOnce(live, 'autosave');
    this.#alarm(`Nothing is saved until it can be, ${why.message}.`);
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
    const folder = this.#has(await temporaryFolder(this.#options, 'stand-in'));
    const live = join(folder, LIVE_NAME);
    removeStore(live);
    const standIn: StandIn = isReadable(this.#saved.path) ? 'copy' : 'blind';
    if (standIn === 'copy') await this.#makeLive(folder, live, new LiveStamp(live));
    const mode = standIn === 'copy' ? 'autosave' : 'transient';
    await openOnce(live, mode);
    this.#alarm(`Error: ${why.message}. ${WHILE_STANDING_IN[standIn]}`);
    return { mode, path: live, saved: this.#saved, saveSoon: false, standIn, alarms: this.#alarms };
  }

  #unusable(cause: Error): StoreUnavailableError {
    return new StoreUnavailableError(`the store ${this.#options.path} cannot be used: ${cause.message}`, {
      cause,
    });
  }

  async #isSoundInPlace(): Promise<boolean> {
    if (this.#isAbsentOrEmpty()) return true;
    if (this.#saved.kind() === 'mosquitto') return false;
    const condition = await this.#condition();
    if (condition === 'as left') return true;
    const result = await this.#checked(this.#saved.path, 'durable');
    if (result.verdict === 'sound' && condition === 'rotted') this.#recovery.tellOfRot(result.report);
    return result.verdict === 'sound' || this.#mayUseUnchecked(this.#saved.path, result);
  }

  async #checked(path: string, mode: StoreMode): Promise<CheckResult> {
    const result = await this.#check(path, mode);
    if (result.verdict !== 'unknown') rmSync(`${path}.unchecked`, { force: true });
    return result;
  }

  /**
   * A store that could not be checked is used as it is, and a file beside it says so. If the next start finds that
   * file, the broker did not end in order with this store: then it is not used unchecked once more.
   */
  #mayUseUnchecked(path: string, result: CheckResult): boolean {
    const mark = `${path}.unchecked`;
    if (result.verdict !== 'unknown' || existsSync(mark)) return false;
    writeFileSync(mark, '', { mode: 0o600 });
    this.#alarm(`The store ${path} could not be checked (${result.reason}), and is used as it is.`);
    return true;
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

  #isAbsentOrEmpty(): boolean {
    const kind = this.#saved.kind();
    return kind === 'missing' || kind === 'empty';
  }

  /** A new file appears whole: LMDB falls over one whose making a power cut has ended. */
  async #makeEmpty(mode: StoreMode): Promise<void> {
    const made = this.#saved.prepareNew();
    await openOnce(made, mode);
    await syncFile(made);
    renameSync(made, this.#saved.path);
    this.#saved.discardNew();
  }

  async #condition(): Promise<'as left' | 'rotted' | 'unknown'> {
    try {
      return await this.#saved.condition();
    } catch {
      return 'unknown';
    }
  }

  /** A live store that is not used, beside the saved file, or where that cannot be, where it is. */
  #putLiveStoreAside(live: string, label: string, why: string): void {
    const { now } = this.#options;
    const path = this.#saved.datedPath(label, now());
    try {
      copyFileSync(live, path);
      removeStore(live);
      this.#alarm(`${why} The live store is kept as ${path}.`);
    } catch (error) {
      rmSync(path, { force: true });
      const aside = new SavedFile(live).datedPath(label, now());
      renameSync(live, aside);
      removeStore(live);
      this.#alarm(`${why} The live store is kept in memory only, as ${aside}: ${(error as Error).message}.`);
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

/** More than LMDB's lock file has with 126 readers. */
const LOCK_BYTES = 16 * 1024;

/** Makes the store if there is none and brings it to today's layout. */
async function openOnce(path: string, mode: StoreMode): Promise<void> {
  // LMDB maps its lock file: a thread that takes a page of it with no memory left would end the process.
  if (!existsSync(`${path}-lock`)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(`${path}-lock`, Buffer.alloc(LOCK_BYTES), { mode: 0o600 });
  }
  const environment = new Environment({ path, mode });
  try {
    await migrate(environment);
  } finally {
    await environment.close();
  }
}

/** Removes a live store in memory with its companions. */
export function removeStore(path: string): void {
  for (const suffix of ['', '-lock', '.note', '.ballast', '.unchecked'])
    rmSync(`${path}${suffix}`, { force: true });
}

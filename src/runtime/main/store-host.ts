/**
 * Main's side of the store: prepares the live store at the start, holds it open, saves it as `autosave_interval` says,
 * and closes it at the end.
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { RetainedCursor } from '../../broker/ports.js';
import { listenerName } from '../../config/reload-diff.js';
import type { Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import * as lines from '../../log/mosquitto-lines.js';
import type { SessionRecord } from '../../model/session-record.js';
import type { StorePlace } from '../../routing/messages.js';
import { storeEngine } from '../../store/engine.js';
import { ChangeCounter } from '../../store/file/autosave.js';
import { memoryFolders } from '../../store/file/live-folder.js';
import { type FilePutAside, SavedFile } from '../../store/file/saved-file.js';
import { type PreparedStore, prepareStore, type StartupOptions } from '../../store/file/startup.js';
import { StoreLifecycle } from '../../store/file/store-lifecycle.js';
import { StoreLock } from '../../store/file/store-lock.js';
import { steadyClock } from '../../system/steady-clock.js';

/** How often it is looked whether a save is due, or something else to be done. */
const TICK_MS = 1000;

/** Seconds between attempts to use a store that could not be used. */
const RETRY_S = 5;

const NOT_SAVED = 'Error: Not everything could be saved; what is in memory stays for the next start.';
const UNSAVED_IS_LOST = 'Error: Not everything could be saved; what came after the last save is lost.';
const FILE_LOST =
  'Error: The file of the store was removed or replaced while the broker ran. What has to be stored is not acknowledged until a new one is written.';
const STAND_IN_LOST = 'Error: The store could not be used to the end; what was not acknowledged is lost.';

export interface StoreUsers {
  /** Makes every worker write its changes to the store. */
  flushWorkers: () => Promise<unknown>;
  /** Transactions that the workers have committed. */
  workerCommits: () => number;
  /** The store could not be used, and can be now: close this one and open it again. */
  openAnew: () => void;
}

export class StoreHost {
  readonly place: StorePlace;
  readonly #prepared: PreparedStore;
  #lock: StoreLock | null;
  #isLocking = false;
  readonly #lifecycle: StoreLifecycle;
  readonly #timer: NodeJS.Timeout;
  #settings: Settings;
  readonly #log: Log;
  readonly #startedAt = steadyClock.now();
  readonly #openAnew: () => void;
  readonly #workerCommits: () => number;
  readonly #writtenBefore = bytesWritten();
  #isTrying = false;
  #triedAt = steadyClock.now();
  #isClosed = false;

  /**
   * Finds and checks what is stored. Has to be complete before the first worker starts.
   * @throws {NativePartError} if no store can be opened on this machine
   * @throws {StoreInUseError} if another broker has the store
   * @throws {StoreUnavailableError} if there is no place even for what is not kept
   */
  static async open(settings: Settings, log: Log, users: StoreUsers): Promise<StoreHost> {
    storeEngine();
    const lock = settings.persistence ? await lockStore(persistencePath(settings)) : null;
    const prepared = await prepareStore({
      ...startupOptions(settings),
      mayStandIn: true,
      log: (level, text) => log.write(level, text),
    });
    return new StoreHost(settings, log, { prepared, lock }, users);
  }

  private constructor(
    settings: Settings,
    log: Log,
    { prepared, lock }: { prepared: PreparedStore; lock: StoreLock | null },
    { flushWorkers, openAnew, workerCommits }: StoreUsers,
  ) {
    this.#openAnew = openAnew;
    this.#workerCommits = workerCommits;
    const { autosaveInterval, autosaveOnChanges, groupCommitInterval } = settings;
    const changes = new ChangeCounter();
    this.#settings = settings;
    this.#log = log;
    this.#prepared = prepared;
    this.#lock = lock;
    this.#lifecycle = new StoreLifecycle(prepared, {
      interval: autosaveInterval,
      onChanges: autosaveOnChanges,
      changes,
      flushWorkers,
      now: () => steadyClock.now(),
      onSaved: ({ bytes, durationMs }) =>
        log.write(
          'information',
          `Saved ${bytes} bytes to ${persistencePath(settings)} in ${Math.round(durationMs)} ms.`,
        ),
      onFailure: (error) => log.write('error', lines.errorSavingDatabase(`${error.message}.`)),
      onRecovery: () => log.write('notice', 'The database can be saved again.'),
      onPutAside: (file) => logPutAside(file, settings, log),
      onFileLost: () => this.#alarm(FILE_LOST),
      onFileWritten: () => {
        log.write('notice', `The store has been written to a new file ${prepared.path}.`);
        if (!this.#isClosed) this.#begins();
      },
      onFileNotWritten: (error) =>
        log.write(
          'error',
          `Error: The store cannot be written to a new file ${prepared.path}: ${error.message}.`,
        ),
    });
    this.place = {
      path: prepared.path,
      mode: prepared.mode,
      standIn: prepared.standIn,
      groupCommitMs: prepared.mode === 'durable' ? groupCommitInterval : 0,
      changes: changes.memory,
    };
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** The sessions that were stored when the broker ended. */
  sessions(): Generator<SessionRecord> {
    return this.#lifecycle.store.sessions.list();
  }

  reload(settings: Settings): void {
    this.#settings = settings;
    this.#lifecycle.autosave.configure(settings.autosaveInterval, settings.autosaveOnChanges);
  }

  /** SIGUSR1. @returns `null` without a store that outlives the broker, else whether it succeeded */
  async save(): Promise<boolean | null> {
    if (!this.#settings.persistence) return null;
    this.#sayThatItSaves();
    return this.#lifecycle.autosave.save();
  }

  /** When all workers have closed theirs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    if (this.#settings.persistence && this.place.standIn === undefined) this.#sayThatItSaves();
    const isSaved = await this.#lifecycle.end();
    removeIfEmpty(dirname(this.place.path));
    this.#lock?.release();
    if (!isSaved) this.#log.write('error', this.#whatIsLost());
    else if (this.#prepared.saved?.hasImported())
      this.#log.write('notice', wayBack(this.#prepared.saved.path));
  }

  #whatIsLost(): string {
    if (this.place.standIn !== undefined) return STAND_IN_LOST;
    return this.#prepared.isTemporary ? UNSAVED_IS_LOST : NOT_SAVED;
  }

  /** What `$SYS/broker/store/…` shows, by topic. */
  figures(): Record<string, string | number> {
    const { autosave, store } = this.#lifecycle;
    const { last } = autosave;
    store.refresh();
    const days = Math.max((steadyClock.now() - this.#startedAt) / 86_400_000, 1 / 24);
    const isOnDisk = this.#prepared.mode === 'durable' || this.#prepared.mode === 'deferred';
    const written = isOnDisk ? bytesWritten() - this.#writtenBefore : autosave.bytesWritten;
    return {
      'store/mode': this.#prepared.mode,
      'store/sessions': store.sessions.count,
      'store/retained': store.retained.count,
      'store/records': store.records,
      'store/damaged': store.damaged,
      'store/bytes': store.environment.bytes,
      'store/commits': store.statistics().commits + this.#workerCommits(),
      'store/bytes_per_day': Math.round(written / days),
      'store/alarm': this.#prepared.alarms.join(' '),
      'store/save/failing': autosave.failing ? 1 : 0,
      ...(last !== undefined && {
        'store/save/time': Math.floor(last.finishedAt / 1000),
        'store/save/duration_ms': Math.round(last.durationMs),
        'store/save/bytes': last.bytes,
      }),
    };
  }

  /** The retained messages of all topics that match, to be read in pieces; without those of `$SYS`. */
  matchRetained(filter: string): RetainedCursor {
    return this.#lifecycle.store.retained.match(filter);
  }

  /** Why nothing can be stored at the moment; `null` = it can. */
  get trouble(): string | null {
    if (this.place.standIn !== undefined) return 'the store cannot be used';
    return this.#lifecycle.autosave.failing ? 'the store cannot be saved' : null;
  }

  /** While something stands in for the store: is the cause gone? */
  async #tryStore(): Promise<void> {
    if (this.#isTrying || (steadyClock.now() - this.#triedAt) / 1000 < RETRY_S) return;
    this.#isTrying = true;
    const usable = await (this.place.standIn === 'copy'
      ? this.#lifecycle.autosave.save()
      : isUsable(this.#settings));
    this.#isTrying = false;
    this.#triedAt = steadyClock.now();
    if (usable && !this.#isClosed) this.#begins();
  }

  /** There is another store to be opened now. */
  #begins(): void {
    clearInterval(this.#timer);
    this.#openAnew();
  }

  #alarm(text: string): void {
    this.#prepared.alarms.push(text);
    this.#log.write('error', text);
  }

  /** The lock goes with its file if that is removed, and can be made if it could not be before. */
  async #keepLock(): Promise<void> {
    const path = persistencePath(this.#settings);
    if (this.#isLocking || this.#lock?.isInPlace || !existsSync(dirname(path))) return;
    this.#isLocking = true;
    this.#lock?.release();
    this.#lock = null;
    try {
      this.#lock = await lockStore(path);
      this.#isLocking = false;
    } catch (error) {
      this.#alarm(
        `Error: ${(error as Error).message}. Two brokers must not have one store: stop one of them.`,
      );
    }
    if (this.#isClosed) this.#lock?.release();
  }

  #tick(): void {
    const { autosave } = this.#lifecycle;
    const jump = steadyClock.check();
    if (jump !== 0) this.#log.write('notice', lines.clockWasSet(jump));
    if (this.#settings.persistence) void this.#keepLock();
    if (this.place.standIn !== undefined) void this.#tryStore();
    else if (this.#settings.persistence && autosave.isDue && !autosave.isRunning) this.#sayThatItSaves();
    this.#lifecycle.tick();
  }

  /** If the saved file is the live store, nothing is copied. */
  #sayThatItSaves(): void {
    if (this.#prepared.mode === 'durable') return;
    this.#log.write('information', lines.savingDatabase(persistencePath(this.#settings)));
  }
}

function logPutAside({ label, path }: FilePutAside, settings: Settings, log: Log): void {
  if (label === 'imported') log.write('notice', `The database that was imported is kept as ${path}.`);
  else
    log.write(
      'warning',
      `Warning: ${persistencePath(settings)} was changed by somebody else while the broker ran. The broker has saved its own state there; what it found is kept as ${path}. To use that, stop the broker first.`,
    );
}

/** For a broker that took over from Mosquitto. */
function wayBack(path: string): string {
  return `To go back to Mosquitto with what is stored now: midge db export ${path} ${path}.export && mv ${path}.export ${path}`;
}

/** Before anything is looked at. Where the folder cannot be written, there is nothing to be spoilt in it either. */
async function lockStore(path: string): Promise<StoreLock | null> {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  } catch {
    return null;
  }
  return StoreLock.take(`${path}.lock`, `the store ${path}`);
}

function startupOptions(settings: Settings): Omit<StartupOptions, 'log'> {
  return {
    persistence: settings.persistence,
    path: settings.persistence ? persistencePath(settings) : transientName(settings),
    durable: isDurable(settings),
    memoryFolders: memoryFolders(process.env),
    now: () => steadyClock.now(),
  };
}

/** Whether the file can be read; in durable mode, whether it can be opened, and made if there is none. */
async function isUsable(settings: Settings): Promise<boolean> {
  try {
    if (!isDurable(settings)) {
      new SavedFile(persistencePath(settings)).kind();
      return true;
    }
    await prepareStore({ ...startupOptions(settings), log: () => {} });
    return true;
  } catch {
    return false;
  }
}

/** What this process has made the disks write, the log included; 0 if the system does not tell. */
function bytesWritten(): number {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** The folder of a live store in memory goes with it. */
function removeIfEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // there is something in it: it is the folder of the kept file, or the live store stays
  }
}

/** [mosq: persistence_location] */
function persistencePath({ persistenceLocation, persistenceFile }: Settings): string {
  return resolve(persistenceLocation, persistenceFile);
}

/**
 * Names the store of a broker without persistence, which its workers share all the same. The listeners tell it from the
 * stores of other brokers on this machine.
 */
function transientName({ listeners }: Settings): string {
  return listeners.map(listenerName).join(', ');
}

function isDurable({ persistenceMode, autosaveOnChanges, autosaveInterval }: Settings): boolean {
  return persistenceMode === 'durable' || (autosaveOnChanges && autosaveInterval === 1);
}

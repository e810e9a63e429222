/**
 * Main's side of the store: finds what there is at the start, keeps the live file open, has it saved as
 * `autosave_interval` says, and puts everything away at the end.
 */
import { rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { listenerName } from '../config/reload-diff.js';
import type { Settings } from '../config/settings.js';
import type { Log } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import type { SessionRecord } from '../model/session-record.js';
import type { StorePlace } from '../routing/messages.js';
import { ChangeCounter } from '../store/autosave.js';
import { memoryFolders } from '../store/live-folder.js';
import { type PreparedStore, prepareStore } from '../store/startup.js';
import { StoreKeeper } from '../store/store-keeper.js';

/** How often it is looked whether a save is due. */
const TICK_MS = 1000;

export class StoreHost {
  readonly place: StorePlace;
  readonly #prepared: PreparedStore;
  readonly #keeper: StoreKeeper;
  readonly #timer: NodeJS.Timeout;
  #settings: Settings;
  readonly #log: Log;
  readonly #startedAt = Date.now();

  /**
   * Finds and checks what is stored. Has to be complete before the first worker starts.
   * @param flushWorkers has every worker write what it holds
   * @throws {StoreUnavailableError} where nothing could be acknowledged
   */
  static async open(settings: Settings, log: Log, flushWorkers: () => Promise<unknown>): Promise<StoreHost> {
    const prepared = await prepareStore({
      persistence: settings.persistence,
      path: settings.persistence ? persistencePath(settings) : transientName(settings),
      durable: isDurable(settings),
      memoryFolders: memoryFolders(process.env),
      now: Date.now,
      log: (level, text) => log.write(level, text),
    });
    return new StoreHost(settings, log, prepared, flushWorkers);
  }

  private constructor(
    settings: Settings,
    log: Log,
    prepared: PreparedStore,
    flushWorkers: () => Promise<unknown>,
  ) {
    const { autosaveInterval, autosaveOnChanges, groupCommitInterval } = settings;
    const changes = new ChangeCounter();
    this.#settings = settings;
    this.#log = log;
    this.#prepared = prepared;
    this.#keeper = new StoreKeeper(prepared, {
      interval: autosaveInterval,
      onChanges: autosaveOnChanges,
      changes,
      flushWorkers,
      now: Date.now,
      onSaved: ({ bytes, durationMs }) =>
        log.write(
          'debug',
          `Saved ${bytes} bytes to ${settings.persistenceFile} in ${Math.round(durationMs)} ms.`,
        ),
      onFailure: (error) => log.write('error', lines.errorSavingDatabase(`${error.message}.`)),
      onRecovery: () => log.write('notice', 'The database can be saved again.'),
      onImportedKept: (path) => log.write('notice', `The database that was imported is kept as ${path}.`),
    });
    this.place = {
      path: prepared.path,
      mode: prepared.mode,
      groupCommitMs: groupCommitInterval,
      changes: changes.memory,
    };
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#timer.unref();
  }

  /** The sessions that were stored when the broker ended. */
  sessions(): Generator<SessionRecord> {
    return this.#keeper.store.sessions.list();
  }

  reload(settings: Settings): void {
    this.#settings = settings;
    this.#keeper.autosave.configure(settings.autosaveInterval, settings.autosaveOnChanges);
  }

  /** SIGUSR1. */
  save(): void {
    if (!this.#settings.persistence) return;
    this.#sayThatItSaves();
    void this.#keeper.autosave.save();
  }

  /** When all workers have closed theirs. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#settings.persistence) this.#sayThatItSaves();
    const kept = await this.#keeper.end();
    removeIfEmpty(dirname(this.place.path));
    if (!kept)
      this.#log.write(
        'error',
        'Error: Not everything could be saved; what is in memory stays for the next start.',
      );
  }

  /** What `$SYS/broker/store/…` shows, by topic. */
  figures(): Record<string, string | number> {
    const { autosave, store } = this.#keeper;
    const { last } = autosave;
    const days = Math.max((Date.now() - this.#startedAt) / 86_400_000, 1 / 24);
    return {
      'store/mode': this.#prepared.mode,
      'store/sessions': store.sessions.count,
      'store/retained': store.retained.count,
      'store/commits': store.statistics().commits,
      'store/alarm': this.#prepared.alarms.join(' '),
      'store/save/failing': autosave.failing ? 1 : 0,
      'store/save/bytes_per_day': Math.round(autosave.bytesWritten / days),
      ...(last !== undefined && {
        'store/save/time': Math.floor(last.finishedAt / 1000),
        'store/save/duration_ms': Math.round(last.durationMs),
        'store/save/bytes': last.bytes,
      }),
    };
  }

  #tick(): void {
    const { autosave } = this.#keeper;
    if (this.#settings.persistence && autosave.isDue && !autosave.isRunning) this.#sayThatItSaves();
    autosave.tick();
  }

  #sayThatItSaves(): void {
    this.#log.write('information', lines.savingDatabase(this.#settings.persistenceFile));
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

/** Also what keeps nothing shares a store among its workers; its listeners tell it from other brokers' here. */
function transientName({ listeners }: Settings): string {
  return listeners.map(listenerName).join(', ');
}

function isDurable({ persistenceMode, autosaveOnChanges, autosaveInterval }: Settings): boolean {
  return persistenceMode === 'durable' || (autosaveOnChanges && autosaveInterval === 1);
}

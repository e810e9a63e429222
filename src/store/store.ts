/**
 * The store as one thread sees it. Main opens one first and keeps it open; then every worker opens its own on the
 * same file.
 *
 * What a client is told depends on what is stored, so everything that leads to an acknowledgement is done like
 * this, within one turn of the event loop:
 *
 *     const mark = store.mark();
 *     …store.retained.set(…), session.outgoing.append(…), …
 *     if (store.changedSince(mark)) store.whenSettled(mark, acknowledge);
 *     else acknowledge();
 *
 * A thread that opened a store must be asked to `close` it; it must not be terminated before the constructor has
 * returned.
 */

import type { StoredMessage } from '../model/message.js';
import type { StandIn, StoreMode } from '../model/store-mode.js';
import { Publication } from '../mqtt/publication.js';
import { DamagedRecords, type DamageListener } from './damaged-records.js';
import { Environment, type TableName } from './environment.js';
import { RetainedStore } from './retained/retained-store.js';
import { DeliveryNotes } from './sessions/delivery-notes.js';
import { SessionStore } from './sessions/session-store.js';
import { SessionSweeper } from './sessions/session-sweeper.js';
import { SharedMessage, SharedMessages } from './sessions/shared-messages.js';
import { WriteBatcher } from './write-batcher.js';

export interface StoreOptions {
  /** The live environment, as `startStore` says. */
  path: string;
  mode: StoreMode;
  /** What the store stands in for while that cannot be used: nothing that is changed here counts as stored. */
  standIn?: StandIn | undefined;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Durable mode: milliseconds that acknowledgements may wait for others, to write less often; 0 = none. */
  groupCommitMs?: number;
  /** Commits fail, as on a full disk: what is not committed stays in memory and unacknowledged. */
  onFailure?: (error: Error) => void;
  onRecovery?: () => void;
  /** A record does not read; the store goes on without it. */
  onDamage?: (error: Error) => void;
}

/** Milliseconds in which a change and its opposite cancel out, and after which a lone change is written. */
const WINDOW_MS = 5;

export class Store {
  readonly retained: RetainedStore;
  readonly sessions: SessionStore;
  readonly environment: Environment;
  readonly deliveryNotes: DeliveryNotes;
  readonly #batcher: WriteBatcher;
  readonly #sweeper: SessionSweeper;

  constructor(options: StoreOptions) {
    const { mode, now, groupCommitMs = 0 } = options;
    const environment = new Environment(options);
    const batcher = new WriteBatcher(environment, {
      windowMs: mode === 'deferred' ? Number.POSITIVE_INFINITY : Math.max(WINDOW_MS, groupCommitMs),
      waitedWindowMs: groupCommitMs,
      neverSettles: options.standIn !== undefined,
      ...(options.onFailure && { onFailure: options.onFailure }),
      ...(options.onRecovery && { onRecovery: options.onRecovery }),
    });
    const damagedRecords = new DamagedRecords(environment);
    const onDamage: DamageListener = (error, located) => {
      if (located === undefined || damagedRecords.setAside(located)) options.onDamage?.(error);
    };
    const sharedMessages = new SharedMessages(environment, batcher);
    const sweeper = new SessionSweeper(environment, batcher, sharedMessages);
    this.environment = environment;
    this.retained = new RetainedStore({ environment, batcher, now, onDamage });
    const deliveryNotes = new DeliveryNotes(environment, batcher);
    this.deliveryNotes = deliveryNotes;
    this.sessions = new SessionStore({
      environment,
      batcher,
      sharedMessages,
      deliveryNotes,
      sweeper,
      onDamage,
    });
    this.#batcher = batcher;
    this.#sweeper = sweeper;
  }

  /** @see WriteBatcher.mark */
  mark(): number {
    return this.#batcher.mark();
  }

  /** @see WriteBatcher.markWithin */
  markWithin(): number {
    return this.#batcher.markWithin();
  }

  /** @see WriteBatcher.changedSince */
  changedSince(mark: number): boolean {
    return this.#batcher.changedSince(mark);
  }

  /** @see WriteBatcher.whenSettled */
  whenSettled(mark: number, callback: () => void): void {
    this.#batcher.whenSettled(mark, callback);
  }

  /** To be given to `whenReadable` when something was changed that other threads are to read. */
  get commitsDue(): number {
    return this.#batcher.commitsDue;
  }

  /**
   * Calls back once other threads can read what was changed before `commitsDue` was asked for: at once if that is
   * committed already, else it is written now. While commits fail nobody waits.
   */
  whenReadable(commitsDue: number, callback: () => void): void {
    const { commits, failing } = this.#batcher;
    if (failing || commits >= commitsDue) callback();
    else void this.flush().then(callback);
  }

  /** A message for one or more queues; one object for all of them. */
  sharedMessage(message: StoredMessage): SharedMessage {
    return new SharedMessage(Publication.fromStored(message));
  }

  /** First thing in every handler of another thread's message: lets this thread read what others committed. */
  refresh(): void {
    this.environment.refresh();
  }

  /** Writes what is not written yet. @returns whether it is committed */
  flush(): Promise<boolean> {
    return this.#batcher.flush();
  }

  /** Goes on with what the last stop interrupted: to remove what ended sessions left. For one thread only. */
  resumeSweeping(): void {
    this.#sweeper.resume();
  }

  /** Records that did not read and were set aside, by all threads and in all runs. */
  get damaged(): number {
    return this.environment.entryCount('damaged');
  }

  /** Records of all kinds. */
  get records(): number {
    const { environment } = this;
    const tables = Object.keys(environment.tables) as TableName[];
    return tables.reduce((sum, table) => sum + environment.entryCount(table), 0);
  }

  /** Figures of this thread, for `$SYS`. */
  statistics(): StoreStatistics {
    const { commits, written, dirty, failing, commitAgeMs } = this.#batcher;
    return { commits, changesWritten: written, dirty, failing, commitAgeMs };
  }

  /** Writes everything and closes. @returns whether everything is committed */
  async close(): Promise<boolean> {
    this.#sweeper.stop();
    const committed = await this.#batcher.close();
    await this.environment.close();
    return committed;
  }
}

export interface StoreStatistics {
  /** Transactions committed. */
  commits: number;
  /** Records and groups of records that they wrote or removed. */
  changesWritten: number;
  /** Changes that wait to be written. */
  dirty: number;
  /** Whether commits fail at present. */
  failing: boolean;
  /** Milliseconds since the commit under way began, 0 = none: seconds mean that a writer hangs. */
  commitAgeMs: number;
}

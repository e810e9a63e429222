/**
 * The stored sessions of all threads. A session belongs to one thread at a time, which alone writes its records;
 * `list` and `load` may be called from any thread before that.
 */
import type { SessionRecord, SubscriptionRecord } from '../../model/session-record.js';
import type { TableName } from '../environment.js';
import { newSessionKey, prefixEnd, sessionsKey } from '../keys.js';
import { DamagedRecordError } from '../record-bytes.js';
import type { QueueContents } from './session-queue.js';
import { decodeSession, decodeSubscription } from './session-records.js';
import { writeSetAside } from './set-aside.js';
import { type SessionContext, StoredSession } from './stored-session.js';

/** A session as it is found at a start. */
export interface LoadedSession {
  stored: StoredSession;
  subscriptions: SubscriptionRecord[];
  incoming: QueueContents;
  outgoing: QueueContents;
}

export class SessionStore {
  readonly #context: SessionContext;

  constructor(context: Omit<SessionContext, 'ends'>) {
    this.#context = { ...context, ends: new Map() };
  }

  /** How many sessions are stored. */
  get count(): number {
    return this.#context.environment.entryCount('sessions');
  }

  /** Every stored session. For main, which spreads them over the workers. */
  *list(): Generator<SessionRecord> {
    this.#context.environment.refresh();
    for (const { key, value } of this.#context.environment.tables.sessions.getRange({})) {
      const found = this.#guard('sessions', key as Buffer, value, decodeSession);
      if (found !== undefined) yield found.session;
    }
  }

  /** Resolves when nothing is left of the sessions of this thread that have ended. */
  sweepingFinished(): Promise<void> {
    return this.#context.sweeper.finished();
  }

  /** Begins a session. What is stored under its client id is removed. */
  create(record: SessionRecord): StoredSession {
    const replaced = this.#find(record.clientId)?.key ?? null;
    const session = new StoredSession(this.#context, { ...record }, newSessionKey(), {
      stored: false,
      replaced,
    });
    this.#context.batcher.add(session);
    return session;
  }

  /** @see SessionStorage: the `relyOn…` of a session that is over */
  relyOnEnd(clientId: string): void {
    const position = this.#context.ends.get(clientId);
    if (position !== undefined) this.#context.batcher.relyOn(position);
  }

  /** Takes up a stored session with all that belongs to it. */
  load(clientId: string): LoadedSession | undefined {
    const found = this.#find(clientId);
    if (found === undefined) return undefined;
    const stored = new StoredSession(this.#context, found.session, found.key, {
      stored: true,
      replaced: null,
    });
    return {
      stored,
      subscriptions: this.#subscriptionsOf(found.key),
      incoming: stored.incoming.load(false),
      outgoing: stored.outgoing.load(found.session.isSending === true),
    };
  }

  /**
   * Puts all that is stored of a session into a file, as it is, and ends the session.
   * @returns how many records that are; `undefined` if there is no such session
   * @throws what the file system says; then nothing is changed
   */
  setAside(clientId: string, path: string): number | undefined {
    const found = this.#find(clientId);
    if (found === undefined) return undefined;
    const count = writeSetAside(this.#context.environment, clientId, found.key, path);
    new StoredSession(this.#context, found.session, found.key, { stored: true, replaced: null }).end();
    return count;
  }

  #find(clientId: string): { session: SessionRecord; key: Buffer } | undefined {
    const { environment } = this.#context;
    environment.refresh();
    const key = sessionsKey(clientId);
    const record = environment.tables.sessions.getBinary(key);
    return record === undefined ? undefined : this.#guard('sessions', key, record, decodeSession);
  }

  #subscriptionsOf(key: Buffer): SubscriptionRecord[] {
    const { subscriptions } = this.#context.environment.tables;
    const found: SubscriptionRecord[] = [];
    for (const { key: subscriptionKey, value } of subscriptions.getRange({
      start: key,
      end: prefixEnd(key),
    })) {
      const subscription = this.#guard('subscriptions', subscriptionKey as Buffer, value, decodeSubscription);
      if (subscription !== undefined) found.push(subscription);
    }
    return found;
  }

  #guard<T>(
    table: TableName,
    key: Buffer,
    value: Uint8Array,
    decode: (value: Uint8Array) => T,
  ): T | undefined {
    try {
      return decode(value);
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error;
      this.#context.onDamage(error, { table, key, value });
      return undefined;
    }
  }
}

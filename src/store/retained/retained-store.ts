/**
 * The stored retained messages, one a topic. The thread that received a message writes it; every thread reads all.
 * A thread sees at once what it has set itself, the others see it after the commit.
 */
import { Publication } from '../../mqtt/publication.js';
import { topicMatchesFilter } from '../../topic/topic-filter.js';
import type { DamageListener } from '../damaged-records.js';
import type { Environment } from '../environment.js';
import { retainedKey } from '../keys.js';
import { COMMIT_MS_MAX } from '../limits.js';
import { decodeMessageInto, encodeMessage } from '../message-records.js';
import { DamagedRecordError } from '../record-bytes.js';
import { Change, type WriteBatcher } from '../write-batcher.js';
import { RetainedWalk, type WalkSource } from './retained-walk.js';
import { StaleTails, staleTopics } from './stale-tails.js';

export interface RetainedContext {
  environment: Environment;
  batcher: WriteBatcher;
  /** Milliseconds since the epoch. */
  now: () => number;
  onDamage: DamageListener;
}

/** Those of a commit or two under load. */
const CHANGES_A_MAP = 128;

export class RetainedStore implements WalkSource {
  readonly environment: Environment;
  readonly staleTails: StaleTails;
  readonly #context: RetainedContext;
  readonly #changes = new UnsettledChanges();

  constructor(context: RetainedContext) {
    this.environment = context.environment;
    this.staleTails = new StaleTails(context.environment, context.batcher);
    this.#context = context;
  }

  /** How many retained messages are stored. */
  get count(): number {
    return this.environment.entryCount('retained');
  }

  /** Bytes of memory that they occupy, with their index; 0 if the store is on a disk. */
  get memoryBytes(): number {
    const { environment } = this;
    if (!environment.isInMemory) return 0;
    return environment.tableBytes('retained') + environment.tableBytes('retainedTails');
  }

  /** Replaces the topic's message. Its bytes are the caller's again afterwards. */
  set(message: Publication): void {
    this.#change(message.topic, encodeMessage(message));
  }

  clear(topic: string): void {
    this.#change(topic, null);
  }

  get(topic: string): Publication | undefined {
    const change = this.#changes.get(topic);
    if (change === undefined) this.environment.refresh();
    const key = change === undefined ? retainedKey(topic) : null;
    const record = key === null ? change!.record : this.#stored(key);
    const message = new Publication();
    return record !== null && record !== undefined && this.read(record, message, key)
      ? message.asOwned()
      : undefined;
  }

  /** The messages whose topics match a valid filter, in the order of their topics' levels. */
  match(filter: string): RetainedWalk {
    const unsettled = new Map<string, Buffer | null>();
    for (const { topic, record } of this.#changes) {
      if (topicMatchesFilter(topic, filter)) unsettled.set(topic, record);
    }
    return new RetainedWalk(this, filter, { unsettled });
  }

  /** Every message, topics that begin with `$` included. Walking it removes what has expired. */
  all(): RetainedWalk {
    const unsettled = new Map([...this.#changes].map(({ topic, record }) => [topic, record]));
    return new RetainedWalk(this, '#', { unsettled, everything: true });
  }

  /** The message lies in bytes that the next read overwrites. */
  readStored(key: Buffer, into: Publication): boolean {
    const bytes = this.environment.tables.retained.getBinaryFast(key);
    if (bytes === undefined) return false;
    if (this.read(bytes, into, key)) return true;
    if (this.#isExpired(into)) this.#removeExpired(into.topic);
    return false;
  }

  /** @returns false if it has expired, or does not read */
  read(record: Buffer, into: Publication, key: Buffer | null = null): boolean {
    return this.#decode(record, into, key) && !this.#isExpired(into);
  }

  staleTopics(filter: string): string[] {
    this.environment.refresh();
    return [...staleTopics(this.environment, filter)];
  }

  topicOfCutKey(key: Buffer, tails: boolean): string | undefined {
    if (tails) return this.environment.tables.retainedTails.getBinary(key)?.toString();
    const record = this.#stored(key);
    const message = new Publication();
    return record !== undefined && this.#decode(record, message, key) ? message.topic : undefined;
  }

  /** For `RetainedChange`: everything is committed. */
  settled(topic: string): void {
    this.#changes.delete(topic);
  }

  /** For `RetainedChange`: a commit took so long that the tail may be gone. */
  doubtTail(topic: string): void {
    this.#context.batcher.add(new TailDoubt(this.staleTails, topic));
  }

  #change(topic: string, record: Buffer | null): void {
    let change = this.#changes.get(topic);
    if (change === undefined) {
      change = new RetainedChange(this, topic);
      this.#changes.add(change);
    }
    change.record = record;
    this.#context.batcher.add(change);
  }

  #stored(key: Buffer): Buffer | undefined {
    return this.environment.tables.retained.getBinary(key);
  }

  #isExpired({ expiresAt }: Publication): boolean {
    return expiresAt !== 0 && expiresAt <= this.#context.now();
  }

  /** @param key where it is stored, if it is */
  #decode(record: Buffer, into: Publication, key: Buffer | null): boolean {
    try {
      decodeMessageInto(into, record);
      return true;
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error;
      into.expiresAt = 0; // of what nothing more is known
      const located = key === null ? undefined : { table: 'retained' as const, key, value: record };
      this.#context.onDamage(error, located);
      return false;
    }
  }

  /**
   * Another thread may just have set the topic again, so that only the transaction itself can tell whether it removes
   * the expired message.
   */
  #removeExpired(topic: string): void {
    const { retained } = this.environment.tables;
    const key = retainedKey(topic);
    const removal = this.environment.inTransaction(
      () => {
        const record = retained.getBinary(key);
        const message = new Publication();
        if (record === undefined || !this.#decode(record, message, null) || !this.#isExpired(message)) return;
        this.environment.remove(retained, key);
        this.staleTails.write([topic]);
      },
      2,
      topic.length,
    );
    removal.catch(() => {}); // it will be found again
  }
}

/** The latest record of a topic, until it is settled. */
class RetainedChange extends Change {
  /** `null` = cleared. */
  record: Buffer | null = null;
  readonly #store: RetainedStore;
  readonly topic: string;
  /** When the last write relied on the tail being there, on the clock of `performance.now()`; 0 = it did not. */
  #tailAssumedAt = 0;

  constructor(store: RetainedStore, topic: string) {
    super();
    this.#store = store;
    this.topic = topic;
  }

  override readonly weight = 500;

  override get bytes(): number {
    return 500 + (this.record?.length ?? 0);
  }

  override get grows(): boolean {
    return this.record !== null;
  }

  override write(): void {
    const { environment, staleTails } = this.#store;
    const { retained } = environment.tables;
    const key = retainedKey(this.topic);
    const exists = retained.doesExist(key);
    this.#tailAssumedAt = exists && this.record !== null ? performance.now() : 0;
    if (this.record === null) environment.remove(retained, key);
    else environment.put(retained, key, this.record);
    // Most messages replace one. A tail that is left though another thread has just set the topic does no harm.
    if (exists === (this.record === null)) staleTails.add(this.topic);
  }

  override committed(): void {
    // In so long a time another thread may have cleared the topic, and its list may have been worked off for good.
    const isLate = this.#tailAssumedAt !== 0 && performance.now() - this.#tailAssumedAt > COMMIT_MS_MAX;
    if (isLate) this.#store.doubtTail(this.topic); // even if a later value waits, which finds the topic there
    if (this.settled) this.#store.settled(this.topic);
  }
}

/**
 * The changes that are not settled, by topic: many come and go. In one `Map` each would outlive some collections of
 * garbage (`base/number-map.ts` says why), so a map takes some only, and is left behind when it has emptied.
 */
class UnsettledChanges {
  /** Nothing is added to this one. */
  #earlier = new Map<string, RetainedChange>();
  #latest = new Map<string, RetainedChange>();
  #added = 0;

  get(topic: string): RetainedChange | undefined {
    return this.#latest.get(topic) ?? this.#earlier.get(topic);
  }

  /** A topic that has none. */
  add(change: RetainedChange): void {
    if (this.#added >= CHANGES_A_MAP && this.#earlier.size === 0) {
      this.#earlier = this.#latest;
      this.#latest = new Map();
      this.#added = 0;
    }
    this.#latest.set(change.topic, change);
    this.#added += 1;
  }

  delete(topic: string): void {
    if (!this.#latest.delete(topic)) this.#earlier.delete(topic);
  }

  *[Symbol.iterator](): Generator<RetainedChange> {
    yield* this.#earlier.values();
    yield* this.#latest.values();
  }
}

/** Has the topic's tail looked at once more. */
class TailDoubt extends Change {
  override readonly weight = 100;
  readonly #staleTails: StaleTails;
  readonly #topic: string;

  constructor(staleTails: StaleTails, topic: string) {
    super();
    this.#staleTails = staleTails;
    this.#topic = topic;
  }

  override write(): void {
    this.#staleTails.add(this.#topic);
  }

  override committed(): void {}
}

/**
 * Retained messages on disk, one a topic. The thread that received a message writes it; every thread reads all.
 * What this thread has set and not committed yet is seen by it at once, by the others after the commit.
 */
import { Publication } from '../mqtt/publication.js';
import { topicMatchesFilter } from '../topic/topic-filter.js';
import { type Environment, isSynced } from './environment.js';
import { isCutKey, retainedKey, retainedTailKey } from './keys.js';
import { decodeMessageInto, encodeMessage } from './message-records.js';
import { DamagedRecordError } from './record-bytes.js';
import { RetainedWalk, type WalkSource } from './retained-walk.js';
import { Change, type WriteBatcher } from './write-batcher.js';

export interface RetainedContext {
  environment: Environment;
  batcher: WriteBatcher;
  /** Milliseconds since the epoch. */
  now: () => number;
  onDamage: (error: DamagedRecordError) => void;
}

const NOTHING = Buffer.alloc(0);

export class RetainedStore implements WalkSource {
  readonly environment: Environment;
  readonly #context: RetainedContext;
  readonly #changes = new Map<string, RetainedChange>();

  constructor(context: RetainedContext) {
    this.environment = context.environment;
    this.#context = context;
  }

  /** How many retained messages are stored. */
  get count(): number {
    return this.environment.entryCount('retained');
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
    const record = change === undefined ? this.#stored(retainedKey(topic)) : change.record;
    const message = new Publication();
    return record !== null && record !== undefined && this.read(record, message) ? message.stay() : undefined;
  }

  /** The messages whose topics match a valid filter, in the order of their topics' levels. */
  match(filter: string): RetainedWalk {
    const unsettled = new Map<string, Buffer | null>();
    for (const [topic, { record }] of this.#changes) {
      if (topicMatchesFilter(topic, filter)) unsettled.set(topic, record);
    }
    return new RetainedWalk(this, filter, { unsettled });
  }

  /** Every message, topics that begin with `$` included. Walking it removes what has expired. */
  all(): RetainedWalk {
    const unsettled = new Map([...this.#changes].map(([topic, { record }]) => [topic, record]));
    return new RetainedWalk(this, '#', { unsettled, everything: true });
  }

  /** The message lies in bytes that the next read overwrites. */
  readStored(key: Buffer, into: Publication): boolean {
    const bytes = this.environment.tables.retained.getBinaryFast(key);
    if (bytes === undefined) return false;
    if (this.read(bytes, into)) return true;
    if (this.#isExpired(into)) this.#removeExpired(into.topic);
    return false;
  }

  /** @returns false where it has expired, or does not read */
  read(record: Buffer, into: Publication): boolean {
    return this.#decode(record, into) && !this.#isExpired(into);
  }

  topicOfCutKey(key: Buffer, tails: boolean): string | undefined {
    if (tails) return this.environment.tables.retainedTails.getBinary(key)?.toString();
    const record = this.#stored(key);
    const message = new Publication();
    return record !== undefined && this.#decode(record, message) ? message.topic : undefined;
  }

  /** For `RetainedChange`. */
  forget(topic: string): void {
    this.#changes.delete(topic);
  }

  #change(topic: string, record: Buffer | null): void {
    let change = this.#changes.get(topic);
    if (change === undefined) {
      change = new RetainedChange(this, this.#context.batcher, topic);
      this.#changes.set(topic, change);
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

  #decode(record: Buffer, into: Publication): boolean {
    try {
      decodeMessageInto(into, record);
      return true;
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error;
      into.expiresAt = 0; // of what nothing more is known
      this.#context.onDamage(error);
      return false;
    }
  }

  /**
   * Another thread may just have set the topic anew, so that only the transaction itself can tell whether what it
   * removes is the expired message.
   */
  #removeExpired(topic: string): void {
    const { retained, retainedTails } = this.environment.tables;
    const key = retainedKey(topic);
    const removal = this.environment.inTransaction(() => {
      const record = retained.getBinary(key);
      const message = new Publication();
      if (record === undefined || !this.#decode(record, message) || !this.#isExpired(message)) return;
      this.environment.remove(retained, key);
      this.environment.remove(retainedTails, retainedTailKey(topic));
    });
    removal.catch(() => {}); // it will be found again
  }
}

/** The latest record of a topic, until it is settled. */
class RetainedChange extends Change {
  /** `null` = cleared. */
  record: Buffer | null = null;
  readonly #store: RetainedStore;
  readonly #batcher: WriteBatcher;
  readonly #topic: string;
  /** Whether the last write relied on the tail being there. */
  #tailAssumed = false;

  constructor(store: RetainedStore, batcher: WriteBatcher, topic: string) {
    super();
    this.#store = store;
    this.#batcher = batcher;
    this.#topic = topic;
  }

  override readonly weight = 500;

  override write(): void {
    const { environment } = this.#store;
    const { retained, retainedTails } = environment.tables;
    const key = retainedKey(this.#topic);
    const tailKey = retainedTailKey(this.#topic);
    if (this.record === null) {
      environment.remove(retained, key);
      environment.remove(retainedTails, tailKey);
      this.#tailAssumed = false;
      return;
    }
    environment.put(retained, key, this.record);
    // Most messages replace one, whose tail is there. On a disk a second path through a tree is worth a look.
    this.#tailAssumed = isSynced(environment.mode) && retainedTails.doesExist(tailKey);
    if (!this.#tailAssumed) environment.put(retainedTails, tailKey, tailValue(tailKey, this.#topic));
  }

  override committed(): void {
    if (!this.settled) return;
    this.#store.forget(this.#topic);
    if (this.#tailAssumed && this.#tailIsGone()) this.#batcher.add(new TailRepair(this.#store, this.#topic));
  }

  /** Another thread cleared the topic between our look at the tail and our commit. */
  #tailIsGone(): boolean {
    const { retained, retainedTails } = this.#store.environment.tables;
    return (
      retained.doesExist(retainedKey(this.#topic)) && !retainedTails.doesExist(retainedTailKey(this.#topic))
    );
  }
}

/** Puts a tail that another thread removed. */
class TailRepair extends Change {
  override readonly weight = 300;
  readonly #store: RetainedStore;
  readonly #topic: string;

  constructor(store: RetainedStore, topic: string) {
    super();
    this.#store = store;
    this.#topic = topic;
  }

  override write(): void {
    const { environment } = this.#store;
    const tailKey = retainedTailKey(this.#topic);
    environment.put(environment.tables.retainedTails, tailKey, tailValue(tailKey, this.#topic));
  }

  override committed(): void {}
}

function tailValue(tailKey: Buffer, topic: string): Buffer {
  return isCutKey(tailKey) ? Buffer.from(topic) : NOTHING;
}

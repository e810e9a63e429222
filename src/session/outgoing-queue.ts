/**
 * Messages that wait for their client. The queue of a session that is stored is longer than what is in memory:
 *
 *   oldest                                              newest
 *   [ read ahead, in memory: at most AHEAD_MAX ] [ unread, in the store only ]
 *
 * A message that comes while something is unread goes to the store alone; the others follow when the head is empty.
 */
import { assert } from '../base/assert.js';
import { RingQueue } from '../base/ring-queue.js';
import type { Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import { OutgoingMessage } from './outgoing-message.js';
import type { MessageStorage, Residence, StoredContents, StoredDelivery } from './session-storage.js';
import type { Subscription } from './subscription.js';

/** Messages of a stored queue that are in memory, read ahead of the client; the others are in the store only. */
const AHEAD_MAX = 100;

const NO_IDENTIFIERS: readonly number[] = [];

export class OutgoingQueue {
  /** `null`: the session ends with its connection, and all of the queue is in memory. */
  storage: MessageStorage | null = null;
  /** QoS 1 and 2 messages that wait: those that the limits count. */
  countedMessages = 0;
  /** Payload bytes of all that wait. */
  bytes = 0;
  /** How many messages have ever left. */
  leftCount = 0;
  readonly #head = new RingQueue<OutgoingMessage>();
  #unread = 0;
  /** Sequence of the last message that went into the head. */
  #lastSequence = 0;
  /** Up to this sequence an earlier process may have sent messages of QoS 1 without storing that it did. */
  #sentBefore = 0;

  get length(): number {
    return this.#head.length + this.#unread;
  }

  /** Payload bytes of those that are in memory, about. */
  get memoryBytes(): number {
    return this.#unread === 0 ? this.bytes : (this.bytes * this.#head.length) / this.length;
  }

  /** Some of what waits may have been sent by an earlier process, and has not been sent again. */
  get isInDoubt(): boolean {
    const next = this.#head.peek();
    if (next === undefined) return this.#unread > 0 && this.#lastSequence < this.#sentBefore;
    return next.entry !== null && next.entry.sequence <= this.#sentBefore;
  }

  push(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const bytes = publication.payloadLength;
    this.bytes += bytes;
    if (qos > 0) this.countedMessages += 1;
    if (this.storage !== null && (this.#unread > 0 || this.#head.length >= AHEAD_MAX)) {
      append(this.storage, publication, qos, retain, identifiers, 'stored');
      this.#unread += 1;
      return;
    }
    let entry: StoredDelivery | null = null;
    if (this.storage !== null) {
      entry = append(this.storage, publication, qos, retain, identifiers, 'waiting');
      this.#lastSequence = entry.sequence;
    }
    this.#head.push(
      new OutgoingMessage(publication.toOwned(), bytes, qos, retain, identifiers, shared, entry),
    );
  }

  /** The oldest message that waits; reads on in a stored queue. */
  peek(): OutgoingMessage | undefined {
    if (this.#head.length === 0 && this.#unread > 0) this.#readAhead();
    return this.#head.peek();
  }

  /** Takes out the message that `peek` has returned. */
  shift(): void {
    const message = this.#head.shift();
    assert(message !== undefined, 'what leaves the queue was looked at before');
    this.leftCount += 1;
    this.bytes -= message.bytes;
    if (message.qos > 0) this.countedMessages -= 1;
    assert(this.countedMessages >= 0 && this.bytes >= 0, 'a queue counts what enters and what leaves alike');
  }

  /** @param mayHaveSent messages of QoS 1 stored as waiting may have been sent before the broker was killed */
  restore({ waiting, waitingQos0, waitingBytes, lastSequence }: StoredContents, mayHaveSent: boolean): void {
    assert(this.length === 0, 'a session is restored before anything is delivered to it');
    if (mayHaveSent) this.#sentBefore = lastSequence;
    this.#unread = waiting + waitingQos0;
    this.countedMessages = waiting;
    this.bytes = waitingBytes;
  }

  /** Those that are in memory: what came through a shared subscription is, in a session that is not stored. */
  [Symbol.iterator](): Iterator<OutgoingMessage> {
    return this.#head[Symbol.iterator]();
  }

  #readAhead(): void {
    const entries = this.storage?.read(this.#lastSequence, AHEAD_MAX) ?? [];
    this.#unread = Math.max(0, this.#unread - entries.length);
    if (entries.length === 0) {
      // Fewer than there should be: some did not read, and there are no more.
      this.#unread = 0;
      this.countedMessages = 0;
      this.bytes = 0;
    }
    for (const entry of entries) {
      assert(entry.sequence > this.#lastSequence, 'a stored queue is read in its order');
      this.#lastSequence = entry.sequence;
      const message = OutgoingMessage.fromEntry(entry);
      message.dup = message.qos === 1 && entry.sequence <= this.#sentBefore;
      this.#head.push(message);
    }
  }
}

function append(
  storage: MessageStorage,
  publication: Publication,
  qos: Qos,
  retain: boolean,
  identifiers: readonly number[] | null,
  residence: Residence,
): StoredDelivery {
  const subscriptionIds = identifiers ?? NO_IDENTIFIERS;
  const delivery = { state: 'queued', packetId: 0, qos, retain, dup: false, subscriptionIds } as const;
  return storage.append(publication, delivery, residence);
}

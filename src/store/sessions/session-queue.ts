/**
 * The stored messages of a session in one direction, in their order. The disk is the queue: a message that waits takes
 * no memory once it is committed, and the session reads as far ahead as it likes.
 *
 *     sequence   1 2 3   4 5 6 7 | 8 9 10 11
 *                record  record  |  not settled yet, in memory
 *
 * Messages that are written with one transaction share records (`queue-records.ts`). A record is written again as a
 * whole when one of its messages changes, and removed with its last one. Writes settle in the order in which they
 * were made, so that the unsettled ones are always the last.
 */

import { asBuffer } from '../../base/as-buffer.js';
import { assert } from '../../base/assert.js';
import { copyBytes } from '../../base/copy-bytes.js';
import { NumberMap } from '../../base/number-map.js';
import type { Direction } from '../../model/queued-record.js';
import type { Publication } from '../../mqtt/publication.js';
import type { DeliveryFields, Residence } from '../../session/session-storage.js';
import type { DamageListener } from '../damaged-records.js';
import type { Table } from '../environment.js';
import { queueKey, SEQUENCE_MAX, sequenceOf } from '../keys.js';
import { DamagedRecordError } from '../record-bytes.js';
import { type EntryContext, type EntryQueue, QueueEntry, QueueRecord } from './queue-entry.js';
import { QueueReader } from './queue-records.js';
import type { SharedMessage } from './shared-messages.js';

/** What the queues of one thread have in common. */
export interface QueueContext extends EntryContext {
  /** Called for a record that does not read; the queue goes on without it. */
  onDamage: DamageListener;
}

/** What is in a queue when its session is loaded. */
export interface QueueContents {
  /** Messages that are past `queued`, in their order. */
  inFlight: QueueEntry[];
  /** QoS 1 and 2 messages in state `queued`: those that limits count. */
  waiting: number;
  waitingQos0: number;
  /** Payload bytes of all that are `queued`. */
  waitingBytes: number;
  /** Of the last message; 0 if there is none. */
  lastSequence: number;
}

/** Sequences that are skipped behind a record that does not read: how many it had is unknown. */
const SEQUENCES_OF_A_RECORD_MAX = 10_000;

export class SessionQueue implements EntryQueue {
  readonly context: QueueContext;
  readonly table: Table;
  readonly #sessionKey: Buffer;
  readonly direction: Direction;
  #lastSequence = 0;
  /** From `#unsettledStart` on, the entries that are not settled, in their order; some of them may be gone. */
  #unsettled: QueueEntry[] = [];
  #unsettledStart = 0;
  /** Records with entries that are in use, by the sequence in their key. */
  readonly #inUse = new NumberMap<QueueRecord>();
  /** The record that the transaction being written adds to. */
  #open: QueueRecord | null = null;
  /** The first sequence of the record in which the last `read` ended. */
  #readUpTo = 0;
  /** The position of the last removal of a message that the store has. */
  removedAt = 0;
  /** The session is over: what is on disk is the sweeper's, and nothing is added to it. */
  hasEnded = false;

  constructor(context: QueueContext, sessionKey: Buffer, direction: Direction) {
    this.context = context;
    this.table = context.environment.tables.queue;
    this.#sessionKey = sessionKey;
    this.direction = direction;
  }

  /**
   * Puts a message at the end.
   * @param shared the same object for all queues that get the message
   * @param residence what becomes of the entry that is returned
   */
  append(shared: SharedMessage, delivery: DeliveryFields, residence: Residence = 'waiting'): QueueEntry {
    assert(!this.hasEnded, 'a message for the queue of a session that is over');
    this.#lastSequence += 1;
    const { state, packetId, qos, retain, dup, subscriptionIds } = delivery;
    const { publication } = shared;
    const payloadBytes = publication.payloadLength;
    const sequence = this.#lastSequence;
    const header = { sequence, state, packetId, qos, retain, dup, subscriptionIds, payloadBytes };
    const entry = new QueueEntry(this, header, publication, residence !== 'stored');
    entry.share(shared);
    this.#unsettled.push(entry);
    this.context.batcher.add(entry, residence === 'passing');
    entry.changedAt = this.context.batcher.position;
    return entry;
  }

  /**
   * The messages in state `queued` that follow `after`, oldest first.
   * @param after a sequence, 0 for the beginning
   */
  read(after: number, limit: number): QueueEntry[] {
    const entries: QueueEntry[] = [];
    this.#readFromDisk(after, limit, entries);
    for (
      let i = this.#unsettledIndexAfter(after);
      i < this.#unsettled.length && entries.length < limit;
      i += 1
    ) {
      const entry = this.#unsettled[i]!;
      if (!isQueued(entry)) continue;
      this.#use(entry);
      entries.push(entry);
    }
    return entries;
  }

  /**
   * Reads all there is, once, when the session is loaded.
   * @param mayHaveSent more of QoS 1 may have been sent than is marked so: all of it waits again, to be sent in order
   */
  load(mayHaveSent: boolean): QueueContents {
    const contents: QueueContents = {
      inFlight: [],
      waiting: 0,
      waitingQos0: 0,
      waitingBytes: 0,
      lastSequence: 0,
    };
    for (const { key, value } of this.table.getRange(this.#range(0, SEQUENCE_MAX))) {
      const first = sequenceOf(key);
      try {
        if (this.#count(first, value, contents)) this.#loadInFlight(first, value, contents, mayHaveSent);
      } catch (error) {
        this.#report(error, first, value);
        this.#lastSequence = first + SEQUENCES_OF_A_RECORD_MAX;
      }
    }
    contents.lastSequence = this.#lastSequence;
    return contents;
  }

  /** @returns whether some of its messages are past `queued` */
  #count(first: number, value: Uint8Array, contents: QueueContents): boolean {
    let inFlight = false;
    for (const reader = new QueueReader(value, first); reader.next(); ) {
      this.#lastSequence = reader.sequence;
      if (reader.state !== 'queued') {
        inFlight = true;
        continue;
      }
      if (reader.qos === 0) contents.waitingQos0 += 1;
      else contents.waiting += 1;
      contents.waitingBytes += reader.payloadBytes;
    }
    return inFlight;
  }

  #loadInFlight(first: number, value: Uint8Array, contents: QueueContents, mayHaveSent: boolean): void {
    const record = this.#decode(first, value);
    this.#inUse.set(first, record);
    for (const entry of record.entries) {
      if (entry.state === 'queued') continue;
      if (!mayHaveSent || entry.state !== 'awaiting PUBACK') {
        contents.inFlight.push(entry);
        continue;
      }
      entry.updateLater('queued', 0);
      contents.waiting += 1;
      contents.waitingBytes += entry.payloadBytes;
    }
  }

  relyOnRemovals(): void {
    this.context.batcher.relyOn(this.removedAt);
  }

  keyOf(sequence: number): Buffer {
    return queueKey(this.#sessionKey, this.direction, sequence);
  }

  /** Finds a record for an entry that is written for the first time. */
  recordFor(entry: QueueEntry): QueueRecord {
    if (this.#open === null || !this.#open.take(entry)) {
      this.#open = new QueueRecord(this, entry.sequence);
      const fits = this.#open.take(entry);
      assert(fits, 'an empty record takes any entry');
    }
    if (entry.isInUse) this.#inUse.set(this.#open.first, this.#open);
    return this.#open;
  }

  /** The entry is gone before it was written. */
  forget(entry: QueueEntry): void {
    // Who has sent a message that is released, before it was stored, waits for it to be stored for its receivers.
    if (this.direction === 'incoming') this.context.batcher.supersede([entry]);
    else this.context.batcher.cancel(entry);
    this.dropSettled();
  }

  /** All its entries are gone, on disk too. */
  recordGone(record: QueueRecord): void {
    assert(record.isEmpty, 'a record with messages is not gone');
    this.#inUse.delete(record.first);
    if (this.#open === record) this.#open = null;
  }

  /** Forgets what is not written yet: the session has ended. */
  cancelAll(): void {
    this.hasEnded = true;
    const { batcher } = this.context;
    batcher.supersede(this.#unsettled.slice(this.#unsettledStart));
    batcher.supersede(this.#inUse.values());
    this.#inUse.clear();
  }

  /** Lets go of entries that are settled: they need no memory any more. */
  dropSettled(): void {
    while (this.#unsettled[this.#unsettledStart]?.settled) this.#unsettledStart += 1;
    if (this.#unsettledStart === this.#unsettled.length) {
      if (this.#unsettledStart > 0) this.#unsettled = [];
      this.#unsettledStart = 0;
    } else if (this.#unsettledStart > 1000 && this.#unsettledStart * 2 > this.#unsettled.length) {
      this.#unsettled.splice(0, this.#unsettledStart);
      this.#unsettledStart = 0;
    }
    assert(this.#unsettledStart <= this.#unsettled.length, 'unsettled entries begin within their array');
  }

  /** Adds what is on disk for certain. */
  #readFromDisk(after: number, limit: number, entries: QueueEntry[]): void {
    const end = this.#unsettled[this.#unsettledStart]?.sequence ?? SEQUENCE_MAX;
    if (after + 1 >= end) return;
    const start =
      after >= this.#readUpTo && this.#readUpTo > 0 ? this.#readUpTo : this.#recordBefore(after + 1);
    for (const key of this.table.getKeys(this.#range(start, end))) {
      const first = sequenceOf(key);
      const record = this.#inUse.get(first) ?? this.#tryDecode(first, this.#recordAt(key));
      if (record === undefined) continue;
      this.#inUse.set(first, record);
      this.#readUpTo = first;
      for (const entry of record.entries) {
        if (entry.sequence <= after || !isQueued(entry)) continue;
        if (entries.length >= limit) return;
        entries.push(entry);
      }
    }
  }

  /** In a buffer of its own, taken from a pool: LMDB's copies would each be one for the garbage collector. */
  #recordAt(key: Uint8Array): Buffer {
    const record = this.table.getBinaryFast(asBuffer(key))!;
    const copy = Buffer.allocUnsafe(record.length);
    copyBytes(record, 0, record.length, copy, 0);
    return copy;
  }

  /** Where the record begins in which a sequence is, if it is in one. */
  #recordBefore(sequence: number): number {
    const range = { start: this.keyOf(sequence), end: this.keyOf(0), reverse: true, limit: 1 };
    for (const key of this.table.getKeys(range)) return sequenceOf(key);
    return sequence;
  }

  #range(start: number, end: number): { start: Buffer; end: Buffer } {
    return { start: this.keyOf(start), end: this.keyOf(end) };
  }

  /** The session has the entry from now on. */
  #use(entry: QueueEntry): void {
    entry.isInUse = true;
    if (entry.record !== null) this.#inUse.set(entry.record.first, entry.record);
  }

  #decode(first: number, value: Uint8Array): QueueRecord {
    const record = new QueueRecord(this, first);
    for (const reader = new QueueReader(value, first); reader.next(); ) {
      const content = reader.content();
      const isShared = content instanceof Uint8Array;
      const publication = isShared ? this.#sharedMessage(content) : content;
      if (publication === undefined) continue;
      const entry = new QueueEntry(this, reader, publication, true);
      entry.foundIn(record, isShared ? content : null);
      record.add(entry);
    }
    return record;
  }

  /** @returns `undefined` if it does not read; the others of the record may */
  #sharedMessage(id: Buffer): Publication | undefined {
    try {
      return this.context.sharedMessages.read(id);
    } catch (error) {
      if (!(error instanceof DamagedRecordError)) throw error;
      this.context.onDamage(error, this.context.sharedMessages.locate(id));
      return undefined;
    }
  }

  #tryDecode(first: number, value: Uint8Array): QueueRecord | undefined {
    try {
      return this.#decode(first, value);
    } catch (error) {
      this.#report(error, first, value);
      return undefined;
    }
  }

  #report(error: unknown, first: number, value: Uint8Array): void {
    if (!(error instanceof DamagedRecordError)) throw error;
    this.context.onDamage(error, { table: 'queue', key: this.keyOf(first), value });
  }

  #unsettledIndexAfter(sequence: number): number {
    let low = this.#unsettledStart;
    let high = this.#unsettled.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#unsettled[middle]!.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function isQueued({ isGone, state }: QueueEntry): boolean {
  return !isGone && state === 'queued';
}

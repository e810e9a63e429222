/**
 * One direction of a session's messages on disk, in their order. The disk is the queue: a message that waits takes
 * no memory once it is committed, and whoever sends reads ahead as far as it likes.
 *
 *     sequence   1 2 3 4 5 6 7 | 8 9 10 11
 *                 on disk      |  tail: not settled yet, in memory
 *
 * Writes settle in the order in which they were made, so that what is not on disk for certain is a tail.
 */
import type { StoredMessage } from '../model/message.js';
import type { DeliveryState, Direction } from '../model/queued-record.js';
import type { Qos } from '../mqtt/packets.js';
import type { DeliveryNotes } from './delivery-notes.js';
import type { Environment, Table } from './environment.js';
import { queueKey, SEQUENCE_MAX, sequenceOf } from './keys.js';
import {
  DamagedRecordError,
  decodeQueued,
  encodeQueuedInline,
  encodeQueuedShared,
  peekQueued,
} from './records.js';
import { KeptMessage, type SharedMessages } from './shared-messages.js';
import { Change, type WriteBatcher } from './write-batcher.js';

/** What the queues of one thread have in common. */
export interface QueueContext {
  environment: Environment;
  batcher: WriteBatcher;
  sharedMessages: SharedMessages;
  deliveryNotes: DeliveryNotes;
  /** Called for a record that does not read; the queue goes on without it. */
  onDamage: (error: DamagedRecordError) => void;
}

/** How a message goes to, or came from, this client. */
export interface Delivery {
  state: DeliveryState;
  /** 0 = none yet. */
  packetId: number;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  subscriptionIds: readonly number[];
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
}

const EMPTY = new Uint8Array(0);

/** Bytes of memory of an entry without its message, roughly. */
const ENTRY_WEIGHT = 300;

/** A message in a queue. `update` and `remove` are the only ways to change it. */
export class QueueEntry extends Change {
  readonly sequence: number;
  state: DeliveryState;
  packetId: number;
  readonly qos: Qos;
  readonly retain: boolean;
  dup: boolean;
  readonly subscriptionIds: readonly number[];
  /** Payload bytes of the message as published. */
  readonly payloadBytes: number;
  readonly #queue: SessionQueue;
  #kept: KeptMessage;
  /** Counted in `#kept.unwritten`. */
  #unwritten: boolean;
  /** A record of it is on disk, or on its way there. */
  #stored: boolean;
  #removed = false;
  /** Other threads may have noted who has the message: since it was given to them, maybe before a restart. */
  #noted: boolean;
  /** The shared message that the record on disk refers to. */
  #reference: Buffer | null;
  /** The same of the record being written. */
  #writtenReference: Buffer | null = null;

  /** @param stored whether it was read from disk */
  constructor(
    queue: SessionQueue,
    sequence: number,
    kept: KeptMessage,
    delivery: Delivery,
    payloadBytes: number,
    stored: boolean,
  ) {
    super();
    this.#queue = queue;
    this.sequence = sequence;
    this.#kept = kept;
    this.state = delivery.state;
    this.packetId = delivery.packetId;
    this.qos = delivery.qos;
    this.retain = delivery.retain;
    this.dup = delivery.dup;
    this.subscriptionIds = delivery.subscriptionIds;
    this.payloadBytes = payloadBytes;
    this.#stored = stored;
    this.#reference = stored ? kept.id : null;
    this.#unwritten = !stored;
    this.#noted = stored && queue.direction === 'incoming';
    if (!stored) kept.unwritten += 1;
  }

  get message(): StoredMessage {
    return this.#kept.message;
  }

  /** Names the shared message on disk that it refers to. */
  get sharedId(): string | undefined {
    return this.#kept.id?.toString('hex');
  }

  get removed(): boolean {
    return this.#removed;
  }

  get wasReleased(): boolean {
    return this.#noted;
  }

  /** Gives the message a name under which other threads note who has it. The notes are removed with the entry. */
  release(): string {
    this.#noted = true;
    return this.#queue.keyOf(this.sequence).toString('hex');
  }

  override get weight(): number {
    return ENTRY_WEIGHT + this.payloadBytes;
  }

  /** Keeps a new state. After PUBREC the message itself is not needed any more [MQTT-4.3.3-6]. */
  update(change: Partial<Pick<Delivery, 'state' | 'packetId' | 'dup'>>): void {
    Object.assign(this, change);
    if (change.state === 'awaiting PUBCOMP') this.#dropContent();
    this.#queue.change(this);
  }

  /** The exchange is complete, or the message is not wanted any more. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#countWritten();
    if (this.#stored || this.#noted) this.#queue.change(this);
    else this.#queue.forget(this);
  }

  override write(): void {
    const { environment, sharedMessages, deliveryNotes } = this.#queue.context;
    const key = this.#queue.keyOf(this.sequence);
    const shared = this.#removed ? null : sharedMessages.share(this.#kept);
    this.#countWritten();
    if (this.#removed) {
      environment.remove(this.#queue.table, key);
      if (this.#noted) deliveryNotes.removeAll(key);
    } else if (shared === null) {
      environment.put(this.#queue.table, key, encodeQueuedInline(this, this.message));
    } else {
      environment.put(this.#queue.table, key, encodeQueuedShared(this, shared));
      if (this.#reference === null) sharedMessages.write(this.#kept, shared, key);
    }
    if (this.#reference !== null && shared === null) sharedMessages.removeReference(this.#reference, key);
    this.#writtenReference = shared;
    this.#stored = true;
  }

  override committed(): void {
    const { sharedMessages } = this.#queue.context;
    if (this.#reference !== null && this.#writtenReference === null)
      sharedMessages.removeUnused(this.#reference);
    this.#reference = this.#writtenReference;
    this.#queue.committed(this);
  }

  #dropContent(): void {
    this.#countWritten();
    this.#kept = new KeptMessage({ ...this.message, payload: EMPTY, properties: EMPTY });
  }

  #countWritten(): void {
    if (!this.#unwritten) return;
    this.#unwritten = false;
    this.#kept.unwritten -= 1;
  }
}

export class SessionQueue {
  readonly context: QueueContext;
  readonly table: Table;
  readonly #sessionKey: Buffer;
  readonly direction: Direction;
  #lastSequence = 0;
  /** Entries from `#tailHead` on that are not settled, in their order; removed ones among them. */
  #tail: QueueEntry[] = [];
  #tailHead = 0;
  /** Entries on disk that have changed and are not settled. */
  readonly #changed = new Map<number, QueueEntry>();

  constructor(context: QueueContext, sessionKey: Buffer, direction: Direction) {
    this.context = context;
    this.table = context.environment.tables.queue;
    this.#sessionKey = sessionKey;
    this.direction = direction;
  }

  /**
   * Puts a message at the end.
   * @param patient whether it is likely to be removed again within milliseconds, because the client is connected
   */
  append(kept: KeptMessage, delivery: Delivery, patient: boolean): QueueEntry {
    // The shared record of an earlier transaction may be gone by now.
    const fresh = kept.id === null ? kept : new KeptMessage(kept.message);
    this.#lastSequence += 1;
    const payloadBytes = kept.message.payload.length;
    const entry = new QueueEntry(this, this.#lastSequence, fresh, delivery, payloadBytes, false);
    this.#tail.push(entry);
    this.context.batcher.add(entry, patient);
    return entry;
  }

  /**
   * The messages in state `queued` that follow `after`, oldest first.
   * @param after a sequence, 0 for the beginning
   */
  read(after: number, limit: number): QueueEntry[] {
    const entries: QueueEntry[] = [];
    this.#readFromDisk(after, limit, entries);
    for (let i = this.#tailIndexAfter(after); i < this.#tail.length && entries.length < limit; i += 1) {
      addIfQueued(entries, this.#tail[i]!);
    }
    return entries;
  }

  /** Reads all there is, once, when the session is loaded. */
  load(): QueueContents {
    const contents: QueueContents = { inFlight: [], waiting: 0, waitingQos0: 0, waitingBytes: 0 };
    for (const { key, value } of this.table.getRange(this.#range(0, SEQUENCE_MAX))) {
      this.#lastSequence = sequenceOf(key);
      try {
        this.#count(value, contents);
      } catch (error) {
        this.#report(error);
      }
    }
    return contents;
  }

  #count(record: Uint8Array, contents: QueueContents): void {
    const { state, qos, payloadBytes } = peekQueued(record);
    if (state !== 'queued') {
      contents.inFlight.push(this.#decode(this.#lastSequence, record));
      return;
    }
    if (qos === 0) contents.waitingQos0 += 1;
    else contents.waiting += 1;
    contents.waitingBytes += payloadBytes;
  }

  keyOf(sequence: number): Buffer {
    return queueKey(this.#sessionKey, this.direction, sequence);
  }

  /** The entry has a new state, or is removed, and that has to be written. */
  change(entry: QueueEntry): void {
    const tailStart = this.#tail[this.#tailHead]?.sequence ?? SEQUENCE_MAX;
    if (entry.sequence < tailStart) this.#changed.set(entry.sequence, entry);
    this.context.batcher.add(entry);
  }

  /** The entry was removed before it was written. */
  forget(entry: QueueEntry): void {
    this.context.batcher.cancel(entry);
    this.#settleTail();
  }

  /** Forgets what is not written yet: the session has ended. */
  cancelAll(): void {
    for (let i = this.#tailHead; i < this.#tail.length; i += 1) this.context.batcher.cancel(this.#tail[i]!);
    for (const entry of this.#changed.values()) this.context.batcher.cancel(entry);
    this.#changed.clear();
  }

  /** What has settled needs no memory any more. */
  committed(entry: QueueEntry): void {
    if (entry.settled) this.#changed.delete(entry.sequence);
    this.#settleTail();
  }

  #settleTail(): void {
    while (this.#tail[this.#tailHead]?.settled) this.#tailHead += 1;
    if (this.#tailHead === this.#tail.length) {
      this.#tail = [];
      this.#tailHead = 0;
    } else if (this.#tailHead > 1000 && this.#tailHead * 2 > this.#tail.length) {
      this.#tail.splice(0, this.#tailHead);
      this.#tailHead = 0;
    }
  }

  /** Adds what is on disk for certain. */
  #readFromDisk(after: number, limit: number, entries: QueueEntry[]): void {
    const end = this.#tail[this.#tailHead]?.sequence ?? SEQUENCE_MAX;
    if (after + 1 >= end) return;
    for (const { key, value } of this.table.getRange(this.#range(after + 1, end))) {
      const sequence = sequenceOf(key);
      const entry = this.#changed.get(sequence) ?? this.#tryDecode(sequence, value);
      if (entry !== undefined) addIfQueued(entries, entry);
      if (entries.length >= limit) return;
    }
  }

  #range(start: number, end: number): { start: Buffer; end: Buffer } {
    return { start: this.keyOf(start), end: this.keyOf(end) };
  }

  #decode(sequence: number, record: Uint8Array): QueueEntry {
    const decoded = decodeQueued(record);
    const { content } = decoded;
    if (!(content instanceof Uint8Array)) {
      return new QueueEntry(this, sequence, new KeptMessage(content), decoded, decoded.payloadBytes, true);
    }
    const kept = new KeptMessage(this.context.sharedMessages.read(content));
    kept.id = content;
    return new QueueEntry(this, sequence, kept, decoded, decoded.payloadBytes, true);
  }

  #tryDecode(sequence: number, record: Uint8Array): QueueEntry | undefined {
    try {
      return this.#decode(sequence, record);
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }

  #report(error: unknown): void {
    if (!(error instanceof DamagedRecordError)) throw error;
    this.context.onDamage(error);
  }

  #tailIndexAfter(sequence: number): number {
    let low = this.#tailHead;
    let high = this.#tail.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#tail[middle]!.sequence <= sequence) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function addIfQueued(entries: QueueEntry[], entry: QueueEntry): void {
  if (!entry.removed && entry.state === 'queued') entries.push(entry);
}

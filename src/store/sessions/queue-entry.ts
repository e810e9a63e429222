/** A message in a queue, and the record on disk that it shares with its neighbours. */
import type { StoredMessage } from '../../model/message.js';
import type { DeliveryState } from '../../model/queued-record.js';
import type { Qos } from '../../mqtt/packets.js';
import { Publication } from '../../mqtt/publication.js';
import { Change } from '../write-batcher.js';
import { encodeQueue, type QueuedContent, type QueuedHeader, RecordSize } from './queue-records.js';
import type { SessionQueue } from './session-queue.js';
import { KeptMessage } from './shared-messages.js';

const NOTHING = new Uint8Array(0);

/** Bytes of memory of an entry without its message, roughly. */
const ENTRY_WEIGHT = 300;

/**
 * A message in a queue. `update`, `note` and `remove` are the only ways to change it. As a change of the store it
 * stands for its first write; from then on it is its record that changes.
 */
export class QueueEntry extends Change implements QueuedContent {
  readonly sequence: number;
  state: DeliveryState;
  packetId: number;
  readonly qos: Qos;
  readonly retain: boolean;
  dup: boolean;
  readonly subscriptionIds: readonly number[];
  /** Payload bytes of the message as published. */
  readonly payloadBytes: number;
  /** The record that has it, or is about to; `null` before its first write. */
  record: QueueRecord | null = null;
  /** Whoever uses the queue has this object: it must not be read from disk as another one. */
  isHeld: boolean;
  /** The shared message that its record refers to. */
  sharedId: Buffer | null = null;
  removed = false;
  publication: Publication;
  readonly #queue: SessionQueue;
  /** What it shares with other queues until its first write; `null` after that. */
  #kept: KeptMessage | null = null;
  /** Other threads may have noted who has the message: since it was given to them, maybe before a restart. */
  #noted = false;
  /** Its state is newer than what was written last, and need not be written by itself. */
  #unsaved = false;

  constructor(queue: SessionQueue, header: QueuedHeader, publication: Publication, isHeld: boolean) {
    super();
    this.#queue = queue;
    this.publication = publication;
    this.isHeld = isHeld;
    this.sequence = header.sequence;
    this.state = header.state;
    this.packetId = header.packetId;
    this.qos = header.qos;
    this.retain = header.retain;
    this.dup = header.dup;
    this.subscriptionIds = header.subscriptionIds;
    this.payloadBytes = header.payloadBytes;
  }

  /** It has just been appended to its queue: others may get the same message. */
  mayShare(kept: KeptMessage): void {
    // The shared record of an earlier transaction may be gone by now.
    this.#kept = kept.id === null ? kept : new KeptMessage(kept.publication);
    this.#kept.unwritten += 1;
  }

  /** It was read from a record. */
  foundIn(record: QueueRecord, sharedId: Buffer | null): void {
    this.record = record;
    this.sharedId = sharedId;
    this.#noted = this.#queue.direction === 'incoming';
  }

  get message(): StoredMessage {
    return this.publication.toStored();
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
  update(change: Partial<Pick<QueuedHeader, 'state' | 'packetId' | 'dup'>>): void {
    Object.assign(this, change);
    if (change.state === 'awaiting PUBCOMP') this.#dropContent();
    this.#change();
  }

  /** A new state that is worth no write of its own: `save` keeps it, if the message is not gone by then. */
  note(state: DeliveryState, packetId: number): void {
    this.state = state;
    this.packetId = packetId;
    this.#unsaved = true;
  }

  /** Keeps what was only noted. */
  save(): void {
    if (this.#unsaved && !this.removed) this.#change();
  }

  /** The exchange is complete, or the message is not wanted any more. */
  remove(): void {
    if (this.removed) return;
    this.removed = true;
    this.#shareNoMore();
    if (this.record === null && !this.#noted) this.#queue.forget(this);
    else this.#change();
  }

  override write(): void {
    if (this.#queue.hasEnded && !this.removed) return;
    if (this.removed) {
      // It was never in a record, but noted elsewhere.
      if (this.record === null) this.#removeNotes();
      return;
    }
    const { sharedMessages } = this.#queue.context;
    const kept = this.#kept;
    if (this.record === null) {
      if (kept !== null) this.sharedId = sharedMessages.share(kept);
      this.#queue.place(this);
    }
    if (kept !== null && this.sharedId !== null) {
      sharedMessages.write(kept, this.sharedId, this.#queue.keyOf(this.sequence));
    }
    this.record!.write();
  }

  override committed(): void {
    this.#shareNoMore();
    this.#queue.settleTail();
  }

  /** What it is and how it stands is in its record now. */
  written(): void {
    this.#unsaved = false;
  }

  /** Writes that it is gone. @param sharedId of the message that it referred to */
  writeGone(sharedId: Buffer | null): void {
    const { sharedMessages } = this.#queue.context;
    if (sharedId !== null) sharedMessages.removeReference(sharedId, this.#queue.keyOf(this.sequence));
    if (this.removed && this.#noted) this.#removeNotes();
  }

  #removeNotes(): void {
    this.#queue.context.deliveryNotes.removeAll(this.#queue.keyOf(this.sequence));
  }

  #change(): void {
    const { record } = this;
    if (record === null) this.#queue.context.batcher.add(this);
    else record.change(this);
  }

  #dropContent(): void {
    this.#shareNoMore();
    const withoutContent = { ...this.message, payload: NOTHING, properties: NOTHING };
    this.publication = Publication.fromStored(withoutContent);
  }

  #shareNoMore(): void {
    if (this.#kept !== null) this.#kept.unwritten -= 1;
    this.#kept = null;
  }
}

interface Gone {
  entry: QueueEntry;
  sharedId: Buffer | null;
}

/** A record of the queue: some messages that follow each other. It is written as a whole, once a transaction. */
export class QueueRecord extends Change {
  /** The sequence in its key. */
  readonly first: number;
  #entries: QueueEntry[] = [];
  /** How many of them are not removed. */
  #left = 0;
  readonly #size = new RecordSize();
  readonly #queue: SessionQueue;
  /** Entries that need something of theirs removed elsewhere; the first `#goneWritten` of them have been written. */
  #gone: Gone[] = [];
  #goneWritten = 0;
  /** It has been handed to LMDB, in this form or another. */
  #wasWritten = false;
  /** The transaction that it is part of. */
  #batch = 0;

  constructor(queue: SessionQueue, first: number) {
    super();
    this.#queue = queue;
    this.first = first;
  }

  override get weight(): number {
    return ENTRY_WEIGHT;
  }

  /** In their order, removed ones among them. */
  get entries(): readonly QueueEntry[] {
    return this.#entries;
  }

  get isEmpty(): boolean {
    return this.#left === 0;
  }

  /** Takes one more entry. @returns false where it is full, or on disk already: what is there has settled */
  take(entry: QueueEntry): boolean {
    if (this.#wasWritten || !this.#size.add(entry)) return false;
    this.add(entry);
    return true;
  }

  /** Adds an entry that was read, or taken. */
  add(entry: QueueEntry): void {
    this.#entries.push(entry);
    this.#left += 1;
  }

  /** Something about an entry is new. */
  change(entry: QueueEntry): void {
    const { sharedId } = entry;
    if (entry.removed) this.#left -= 1;
    if (entry.removed || (sharedId !== null && entry.state === 'awaiting PUBCOMP')) {
      if (sharedId !== null || entry.wasReleased) this.#gone.push({ entry, sharedId });
      entry.sharedId = null;
    }
    const { batcher } = this.#queue.context;
    // It is written as a whole with the first of its changes; what this one belongs to must not come later.
    if (this.dirty && this.#queue.direction === 'incoming') batcher.join();
    batcher.add(this);
  }

  /** The bytes are put when all that this transaction changes in it is known. */
  override write(): void {
    const { batcher } = this.#queue.context;
    if (this.#batch === batcher.batchNumber) return;
    this.#batch = batcher.batchNumber;
    batcher.atEnd(this);
  }

  writeLast(): void {
    const { environment } = this.#queue.context;
    const key = this.#queue.keyOf(this.first);
    if (this.#left < this.#entries.length) this.#entries = this.#entries.filter(({ removed }) => !removed);
    if (this.#left === 0) environment.remove(this.#queue.table, key);
    else if (!this.#queue.hasEnded)
      environment.put(this.#queue.table, key, encodeQueue(this.#entries, this.first));
    this.#wasWritten = true;
    for (const entry of this.#entries) entry.written();
    for (const { entry, sharedId } of this.#gone) entry.writeGone(sharedId);
    this.#goneWritten = this.#gone.length;
  }

  override committed(): void {
    const { sharedMessages } = this.#queue.context;
    for (const { sharedId } of this.#gone.splice(0, this.#goneWritten)) {
      if (sharedId !== null) sharedMessages.removeUnused(sharedId);
    }
    this.#goneWritten = 0;
    if (this.isEmpty && this.settled) this.#queue.recordGone(this);
  }
}

/**
 * A message in a queue, and the record in the store that it shares with its neighbours.
 *
 *     append ──► fresh ──first write──► recorded ◄── read from a record
 *                  │                        │
 *                  │ remove                 │ remove
 *                  └────────► gone ◄────────┘
 *
 *   fresh      in memory only; the entry itself is the change that the batcher writes
 *   recorded   in a record, committed or about to be; from now on the record is the change
 *   gone       nobody wants the message any more; the next commit removes what the store has of it
 */

import { assert } from '../../base/assert.js';
import { NO_BYTES } from '../../base/no-bytes.js';
import type { StoredMessage } from '../../model/message.js';
import type { DeliveryState, Direction } from '../../model/queued-record.js';
import type { Qos } from '../../mqtt/packets.js';
import { Publication } from '../../mqtt/publication.js';
import type { Environment, Table } from '../environment.js';
import { Change, type WriteBatcher } from '../write-batcher.js';
import type { DeliveryNotes } from './delivery-notes.js';
import { encodeQueue, type QueuedContent, type QueuedHeader, RecordSize } from './queue-records.js';
import { SharedMessage, type SharedMessages } from './shared-messages.js';

/** Bytes of memory of an entry without its message, roughly. */
const ENTRY_WEIGHT = 300;

/** What the queues of one thread have in common, as far as their entries need it. */
export interface EntryContext {
  readonly environment: Environment;
  readonly batcher: WriteBatcher;
  readonly sharedMessages: SharedMessages;
  readonly deliveryNotes: DeliveryNotes;
}

/** The queue of an entry, as its entries and records see it: `SessionQueue`. */
export interface EntryQueue {
  readonly context: EntryContext;
  readonly table: Table;
  readonly direction: Direction;
  /** The position of the last removal of a message that the store has. */
  removedAt: number;
  /** The session is over: nothing is added to what is stored. */
  readonly hasEnded: boolean;
  keyOf(sequence: number): Buffer;
  /** Finds a record for an entry that is written for the first time; that record takes it. */
  recordFor(entry: QueueEntry): QueueRecord;
  /** The entry is gone before its first write. */
  forget(entry: QueueEntry): void;
  /** All entries of the record are gone, in the store too. */
  recordGone(record: QueueRecord): void;
  /** Lets go of entries that are settled. */
  dropSettled(): void;
}

/** A message in a queue. `update`, `note` and `remove` are the only ways to change it. */
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
  /** The session has this object, so that the queue must not make a second one of the same record. */
  isInUse: boolean;
  /** The id of the shared message that its record refers to. */
  sharedId: Buffer | null = null;
  publication: Publication;
  /** The position of its last change; 0 = it was stored before this process began. */
  changedAt = 0;
  readonly #queue: EntryQueue;
  #phase: 'fresh' | 'recorded' | 'gone' = 'fresh';
  /** Set when it becomes recorded. */
  #record: QueueRecord | null = null;
  /** The message that it shares with other queues, until its first write is committed. */
  #shared: SharedMessage | null = null;
  /** Other threads may have delivery notes about the message: it was given to them, maybe before a restart. */
  #hasNotes = false;
  /** `note` changed its state, and no write has followed. */
  #isNoted = false;

  constructor(queue: EntryQueue, header: QueuedHeader, publication: Publication, isInUse: boolean) {
    super();
    this.#queue = queue;
    this.publication = publication;
    this.isInUse = isInUse;
    this.sequence = header.sequence;
    this.state = header.state;
    this.packetId = header.packetId;
    this.qos = header.qos;
    this.retain = header.retain;
    this.dup = header.dup;
    this.subscriptionIds = header.subscriptionIds;
    this.payloadBytes = header.payloadBytes;
  }

  get isGone(): boolean {
    return this.#phase === 'gone';
  }

  get record(): QueueRecord | null {
    return this.#record;
  }

  get message(): StoredMessage {
    return this.publication.toStored();
  }

  get wasForwarded(): boolean {
    return this.#hasNotes;
  }

  override get weight(): number {
    return ENTRY_WEIGHT + this.payloadBytes;
  }

  override get grows(): boolean {
    return this.#phase === 'fresh';
  }

  /** Has just been appended to its queue: other queues may get the same message. */
  share(shared: SharedMessage): void {
    assert(
      this.#phase === 'fresh' && this.#shared === null,
      'an entry shares its message once, when appended',
    );
    // The shared record of an earlier transaction may be gone by now.
    this.#shared = shared.id === null ? shared : new SharedMessage(shared.publication);
    this.#shared.unwritten += 1;
  }

  /** Was read from a record. */
  foundIn(record: QueueRecord, sharedId: Buffer | null): void {
    this.#becomeRecorded(record);
    this.sharedId = sharedId;
    this.#hasNotes = this.#queue.direction === 'incoming';
  }

  /**
   * Gives the message the name under which other threads note who has it. The commit that removes the entry removes
   * their notes, even if it is gone already and the commit is yet to come.
   */
  nameForOthers(): string {
    this.#hasNotes = true;
    return this.#queue.keyOf(this.sequence).toString('hex');
  }

  /** Stores a new state. After PUBREC the message itself is not needed any more [MQTT-4.3.3-6]. */
  update(change: Partial<Pick<QueuedHeader, 'state' | 'packetId' | 'dup'>>): void {
    assert(this.#phase !== 'gone', 'a message that is gone has no new state');
    Object.assign(this, change);
    if (change.state === 'awaiting PUBCOMP') this.#dropContent();
    this.#change();
  }

  relyOn(): void {
    this.#queue.context.batcher.relyOn(this.changedAt);
  }

  /** Has a new state that is worth no write of its own: `save` stores it, if the message is not gone by then. */
  updateLater(state: DeliveryState, packetId: number): void {
    assert(this.#phase !== 'gone', 'a message that is gone has no new state');
    this.state = state;
    this.packetId = packetId;
    this.#isNoted = true;
  }

  /** Stores what was only noted. */
  writeUpdates(): void {
    if (this.#isNoted && this.#phase !== 'gone') this.#change();
  }

  /** The exchange is complete, or the message is not wanted any more. */
  remove(): void {
    if (this.#phase === 'gone') return;
    this.#phase = 'gone';
    this.#shareNoMore();
    if (this.#record === null && !this.#hasNotes) this.#queue.forget(this);
    else this.#change();
  }

  /** Writes the entry for the first time, or again after a failed commit. */
  override write(): void {
    if (this.#phase === 'gone') {
      if (this.#record === null) this.#removeNotes(); // it never was in a record, but has notes
      return;
    }
    if (this.#queue.hasEnded) return;
    const { sharedMessages } = this.#queue.context;
    const shared = this.#shared;
    if (this.#phase === 'fresh') {
      if (shared !== null) this.sharedId = sharedMessages.share(shared);
      this.#becomeRecorded(this.#queue.recordFor(this));
    }
    if (shared !== null && this.sharedId !== null) {
      sharedMessages.write(shared, this.sharedId, this.#queue.keyOf(this.sequence));
    }
    this.#record!.write();
  }

  override committed(): void {
    this.#shareNoMore();
    this.#queue.dropSettled();
  }

  /** Its record has been written with its state as it is now. */
  written(): void {
    this.#isNoted = false;
  }

  /** Removes what other tables have of it. @param sharedId of the message that it referred to */
  writeGone(sharedId: Buffer | null): void {
    const { sharedMessages } = this.#queue.context;
    if (sharedId !== null) sharedMessages.removeReference(sharedId, this.#queue.keyOf(this.sequence));
    if (this.#phase === 'gone' && this.#hasNotes) this.#removeNotes();
  }

  #becomeRecorded(record: QueueRecord): void {
    assert(this.#phase === 'fresh' && this.#record === null, 'an entry gets one record, when it is fresh');
    this.#phase = 'recorded';
    this.#record = record;
  }

  #removeNotes(): void {
    this.#queue.context.deliveryNotes.removeAll(this.#queue.keyOf(this.sequence));
  }

  #change(): void {
    const { batcher } = this.#queue.context;
    if (this.#record === null) batcher.add(this);
    else this.#record.change(this);
    this.changedAt = batcher.position;
    if (this.#phase === 'gone') this.#queue.removedAt = this.changedAt;
  }

  #dropContent(): void {
    this.#shareNoMore();
    const withoutContent = { ...this.message, payload: NO_BYTES, properties: NO_BYTES };
    this.publication = Publication.fromStored(withoutContent);
  }

  #shareNoMore(): void {
    if (this.#shared !== null) this.#shared.unwritten -= 1;
    this.#shared = null;
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
  /** How many of them are not gone. */
  #left = 0;
  readonly #size = new RecordSize();
  readonly #queue: EntryQueue;
  /** Entries of which other tables have something to be removed; for the first `#goneWritten` that is written. */
  #gone: Gone[] = [];
  #goneWritten = 0;
  /** It has been handed to LMDB, in this form or another. */
  #wasWritten = false;
  /** The transaction that it is part of. */
  #batch = 0;

  constructor(queue: EntryQueue, first: number) {
    super();
    this.#queue = queue;
    this.first = first;
  }

  override get weight(): number {
    return ENTRY_WEIGHT;
  }

  override get bytes(): number {
    let bytes = ENTRY_WEIGHT;
    if (!this.isEmpty) for (const { payloadBytes } of this.#entries) bytes += payloadBytes;
    return bytes;
  }

  override get grows(): boolean {
    return !this.isEmpty && !this.#wasWritten;
  }

  /** In their order, some that are gone among them. */
  get entries(): readonly QueueEntry[] {
    return this.#entries;
  }

  get isEmpty(): boolean {
    return this.#left === 0;
  }

  /** Takes one more entry. @returns false if it is full, or on disk already: what is there has settled */
  take(entry: QueueEntry): boolean {
    if (this.#wasWritten || !this.#size.add(entry)) return false;
    this.add(entry);
    return true;
  }

  /** Adds an entry that was read, or taken. */
  add(entry: QueueEntry): void {
    assert(entry.sequence >= this.first, 'an entry stands in a record that begins before it');
    this.#entries.push(entry);
    this.#left += 1;
  }

  /** Something about an entry is new. */
  change(entry: QueueEntry): void {
    const { sharedId, isGone } = entry;
    assert(entry.record === this, 'an entry changes in its own record');
    if (isGone) this.#left -= 1;
    if (isGone || (sharedId !== null && entry.state === 'awaiting PUBCOMP')) {
      if (sharedId !== null || entry.wasForwarded) this.#gone.push({ entry, sharedId });
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
    if (this.#left < this.#entries.length) this.#entries = this.#entries.filter(({ isGone }) => !isGone);
    assert(this.#left === this.#entries.length, 'a record counts the entries that are left');
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

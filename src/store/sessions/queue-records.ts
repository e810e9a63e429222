/**
 * Messages of a queue as bytes. One record holds some that follow each other, so that a full queue costs the store a
 * fraction of a record a message; its key has the sequence of the first.
 *
 *   record   version(1) then for each message: length(4) varint(sequence minus the one before) entry
 *   entry    flags(1) state(1) packet id(2) varint(payload bytes) varint(count) varint(subscription id)…
 *            then the message (`message-records.ts`), or the id of a shared one (14)
 *
 * The record ends with its checksum(4). One of version 2 has none, one of version 1 is a single entry. A message that follows one with the same topic and publisher does not
 * repeat them.
 */
import type { DeliveryState } from '../../model/queued-record.js';
import type { Qos } from '../../mqtt/packets.js';
import { Publication } from '../../mqtt/publication.js';
import type { DeliveryFields } from '../../session/session-storage.js';
import { MESSAGE_ID_LENGTH } from '../keys.js';
import { QUEUE_RECORD_BYTES_MAX } from '../limits.js';
import { checkedQos, hasSameSource, readMessage, writeHead } from '../message-records.js';
import { DamagedRecordError, RecordReader, type RecordWriter, SEALED, writer } from '../record-bytes.js';

const SINGLE_VERSION = 1;
const PLAIN_VERSION = 2;

/** Bytes of an entry besides topic, source, properties and payload; rather a few too many. */
const ENTRY_BYTES = 24;

const QueuedFlag = { qos: 0x03, retain: 0x04, dup: 0x08, shared: 0x10 } as const;

const STATES: readonly DeliveryState[] = [
  'queued',
  'awaiting PUBACK',
  'awaiting PUBREC',
  'awaiting PUBCOMP',
  'awaiting PUBREL',
];

const STATE_CODES = Object.fromEntries(STATES.map((state, code) => [state, code])) as Record<
  DeliveryState,
  number
>;

/** A queued message without the message itself. */
export interface QueuedHeader extends DeliveryFields {
  sequence: number;
  /** Of the message as published, for the limits of queues; the record may hold less. */
  payloadBytes: number;
}

/** A message to be written. */
export interface QueuedContent extends Readonly<QueuedHeader> {
  readonly publication: Publication;
  /** The id of the shared record that has the message; `null` = it is written here. */
  readonly sharedId: Buffer | null;
}

/** How much of a record is taken: tells when the next message has to begin another one. */
export class RecordSize {
  #bytes = 0;
  #last: QueuedContent | null = null;

  /** @returns false if the record is full, and nothing is added */
  add(entry: QueuedContent): boolean {
    const bytes = this.#sizeOf(entry);
    if (this.#last !== null && this.#bytes + bytes > QUEUE_RECORD_BYTES_MAX) return false;
    this.#bytes += bytes;
    this.#last = entry;
    return true;
  }

  #sizeOf({ publication, subscriptionIds, sharedId }: QueuedContent): number {
    const bytes = ENTRY_BYTES + 4 * subscriptionIds.length;
    if (sharedId !== null) return bytes + MESSAGE_ID_LENGTH;
    const { topicStart, topicEnd, propertiesStart, propertiesEnd, payloadLength } = publication;
    const content = bytes + payloadLength + propertiesEnd - propertiesStart;
    if (this.#last?.sharedId === null && hasSameSource(publication, this.#last.publication)) return content;
    return content + topicEnd - topicStart + sourceBytes(publication);
  }
}

/** Rather a few too many: a listener is mostly a port, in two bytes or three. */
function sourceBytes({ origin, originUsername, originListener }: Publication): number {
  return origin.length + originUsername.length + originListener.length;
}

/** @param entries in their order, at least one @param first the sequence in the record's key */
export function encodeQueue(entries: readonly QueuedContent[], first: number): Buffer {
  writer.start().uint8(SEALED);
  let sequence = first;
  let before: Publication | null = null;
  for (let i = 0; i < entries.length; i += 1) {
    const entry = entries[i]!;
    const { publication, sharedId } = entry;
    const start = writer.length;
    writer.uint32(0).varint(entry.sequence - sequence);
    sequence = entry.sequence;
    writeHeader(writer, entry);
    if (sharedId !== null) writer.raw(sharedId);
    else writeHead(writer, publication, before);
    before = sharedId === null ? publication : null;
    const { buffer, payloadStart, payloadEnd } = sharedId === null ? publication : NO_PAYLOAD;
    writer.uint32At(start, writer.length - start - 4 + payloadEnd - payloadStart);
    if (i === entries.length - 1) return writer.finish(buffer, payloadStart, payloadEnd);
    writer.part(buffer, payloadStart, payloadEnd);
  }
  return writer.finish();
}

const NO_PAYLOAD = { buffer: new Uint8Array(0), payloadStart: 0, payloadEnd: 0 };

function writeHeader(to: RecordWriter, entry: QueuedContent): void {
  const { state, packetId, qos, retain, dup, subscriptionIds, payloadBytes, sharedId } = entry;
  const flags =
    qos |
    (retain ? QueuedFlag.retain : 0) |
    (dup ? QueuedFlag.dup : 0) |
    (sharedId === null ? 0 : QueuedFlag.shared);
  to.uint8(flags).uint8(STATE_CODES[state]).uint16(packetId);
  to.varint(payloadBytes).varint(subscriptionIds.length);
  for (const id of subscriptionIds) to.varint(id);
}

/**
 * Goes through the messages of a record. It describes one after the other itself, so that a queue of a million
 * messages is counted or read without an object more than needed.
 *
 *     const reader = new QueueReader(record, first);
 *     while (reader.next()) …reader.sequence, reader.state, reader.content()…
 */
export class QueueReader implements QueuedHeader {
  sequence: number;
  state: DeliveryState = 'queued';
  packetId = 0;
  qos: Qos = 0;
  retain = false;
  dup = false;
  payloadBytes = 0;
  subscriptionIds: readonly number[] = NO_IDS;
  readonly #reader: RecordReader;
  readonly #version: number;
  #isShared = false;
  /** The only message of a record of version 1 has been read. */
  #isAtEnd = false;
  /** The message before, if it is at hand: the next one may not repeat its topic. */
  #before: Publication | null = null;

  /**
   * @param record nobody else's bytes: the messages lie in them
   * @param first the sequence in its key
   * @throws {DamagedRecordError}
   */
  constructor(record: Uint8Array, first: number) {
    this.#reader = new RecordReader(record);
    this.#version = this.#reader.version();
    this.sequence = first;
    if (this.#version !== SEALED && this.#version !== PLAIN_VERSION && this.#version !== SINGLE_VERSION) {
      throw new DamagedRecordError(`layout version ${this.#version}`);
    }
  }

  /** Goes to the next message. @returns false if there is none @throws {DamagedRecordError} */
  next(): boolean {
    const reader = this.#reader;
    reader.widen();
    if (reader.remaining === 0) return false;
    if (this.#version === SINGLE_VERSION) {
      if (this.#isAtEnd) return false;
      this.#isAtEnd = true;
    } else {
      reader.narrow(reader.uint32());
      this.sequence += reader.varint();
    }
    const flags = reader.uint8();
    this.state = checkedState(reader.uint8());
    this.packetId = reader.uint16();
    this.qos = checkedQos(flags & QueuedFlag.qos);
    this.retain = (flags & QueuedFlag.retain) !== 0;
    this.dup = (flags & QueuedFlag.dup) !== 0;
    this.payloadBytes = reader.varint();
    this.subscriptionIds = readSubscriptionIds(reader);
    this.#isShared = (flags & QueuedFlag.shared) !== 0;
    return true;
  }

  /**
   * The message itself, or the id of the shared one. To be called once for each message or for none.
   * @throws {DamagedRecordError}
   */
  content(): Publication | Buffer {
    if (this.#isShared) {
      this.#before = null;
      return this.#sharedId();
    }
    const publication = new Publication();
    readMessage(this.#reader, publication, this.#before);
    this.#before = publication.asOwned();
    return publication;
  }

  #sharedId(): Buffer {
    const id = Buffer.from(this.#reader.bytes(MESSAGE_ID_LENGTH));
    this.#reader.end();
    return id;
  }
}

/**
 * The shared messages that a record refers to.
 * @throws {DamagedRecordError}
 */
export function sharedIdsOf(record: Uint8Array, first: number): { sequence: number; id: Buffer }[] {
  const found: { sequence: number; id: Buffer }[] = [];
  for (const reader = new QueueReader(record, first); reader.next(); ) {
    const content = reader.content();
    if (content instanceof Uint8Array) found.push({ sequence: reader.sequence, id: content });
  }
  return found;
}

/**
 * The record without the messages that refer to a missing one. None is in flight with packet identifier 0: it waits
 * again, or is left out if only its identifier would be of use.
 * @returns `null` if nothing is left
 * @throws {DamagedRecordError}
 */
export function withoutMissing(
  record: Buffer,
  first: number,
  isMissing: (id: Buffer) => boolean,
): Buffer | null {
  const left: QueuedContent[] = [];
  for (const reader = new QueueReader(record, first); reader.next(); ) {
    const content = reader.content();
    const isShared = content instanceof Uint8Array;
    if (isShared && isMissing(content)) continue;
    const { sequence, state, packetId, qos, retain, dup, subscriptionIds, payloadBytes } = reader;
    const isLost = state !== 'queued' && packetId === 0; // nobody can have sent it with this identifier
    if (isLost && (state === 'awaiting PUBREL' || state === 'awaiting PUBCOMP')) continue;
    const header = { sequence, packetId, qos, retain, dup, subscriptionIds, payloadBytes };
    left.push({
      ...header,
      state: isLost ? 'queued' : state,
      publication: isShared ? NO_MESSAGE : content,
      sharedId: isShared ? content : null,
    });
  }
  return left.length === 0 ? null : encodeQueue(left, first);
}

const NO_MESSAGE = new Publication();

function readSubscriptionIds(reader: RecordReader): readonly number[] {
  const count = reader.varint();
  if (count === 0) return NO_IDS;
  if (count > reader.remaining) throw new DamagedRecordError('more subscription identifiers than bytes');
  return Array.from({ length: count }, () => reader.varint());
}

const NO_IDS: readonly number[] = [];

function checkedState(code: number): DeliveryState {
  const state = STATES[code];
  if (state === undefined) throw new DamagedRecordError(`delivery state ${code}`);
  return state;
}

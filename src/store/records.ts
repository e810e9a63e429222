/**
 * Records as bytes. Every record begins with the version of its layout, so that a later one can change it. Reading
 * is strict: what does not fit is a `DamagedRecordError`, never a guess.
 *
 *   message       flags(1) text(topic) text(client id) text(user name) [expiry(8)] bytes(properties) payload…
 *   retained      version(1) message
 *   queued        version(1) flags(1) state(1) packet id(2) varint(payload bytes)
 *                 varint(count) varint(subscription id)… then the message, or the id of a shared one (14)
 *   session       version(1) flags(1) protocol(1) expiry interval(4) expires(8) disconnected(8) packet id(2)
 *                 session(8) text(client id) text(user name) [delay(4) will expiry(4) due(8) message]
 *   subscription  version(1) options(1) identifier(4) filter…
 *
 * Numbers are big-endian, times are doubles (milliseconds since the epoch), text(x) and bytes(x) begin with their
 * length as a variable byte integer, … goes to the end of the record.
 */

import { isValidUtf8 } from '../base/utf8.js';
import type { StoredMessage } from '../model/message.js';
import type { DeliveryState } from '../model/queued-record.js';
import type { SessionRecord, SubscriptionRecord, WillRecord } from '../model/session-record.js';
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';
import { writeVarint } from '../mqtt/varint.js';
import { asBuffer, MESSAGE_ID_LENGTH, SESSION_KEY_LENGTH } from './keys.js';

/** A record that nothing of ours wrote, or that has rotted. */
export class DamagedRecordError extends Error {
  override readonly name = 'DamagedRecordError';
}

const LAYOUT_VERSION = 1;

const NOTHING = Buffer.alloc(0);

const MessageFlag = { qos: 0x03, retain: 0x04, expires: 0x08 } as const;
const QueuedFlag = { qos: 0x03, retain: 0x04, dup: 0x08, shared: 0x10 } as const;
const SessionFlag = { username: 0x01, will: 0x02 } as const;
const SubscriptionFlag = { qos: 0x03, noLocal: 0x04, retainAsPublished: 0x08, handlingShift: 4 } as const;

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

// ------------------------------------------------------------------- messages

export function encodeRetained(message: StoredMessage): Buffer {
  writer.start().uint8(LAYOUT_VERSION);
  return writeMessage(message);
}

/** @throws {DamagedRecordError} */
export function decodeRetained(record: Uint8Array): StoredMessage {
  const reader = startReading(record);
  return readMessage(reader);
}

/** Everything but the payload is written; the result ends with it. */
function writeMessage(message: StoredMessage): Buffer {
  const { topic, qos, retain, expiresAt, originClientId, originUsername, properties, payload } = message;
  writer.uint8(qos | (retain ? MessageFlag.retain : 0) | (expiresAt === 0 ? 0 : MessageFlag.expires));
  writer.text(topic).text(originClientId).text(originUsername);
  if (expiresAt !== 0) writer.float64(expiresAt);
  writer.bytes(properties);
  return writer.finish(payload);
}

function readMessage(reader: RecordReader): StoredMessage {
  const flags = reader.uint8();
  return {
    qos: checkedQos(flags & MessageFlag.qos),
    retain: (flags & MessageFlag.retain) !== 0,
    topic: reader.text(),
    originClientId: reader.text(),
    originUsername: reader.text(),
    expiresAt: (flags & MessageFlag.expires) === 0 ? 0 : reader.time(),
    properties: reader.bytes(reader.varint()),
    payload: reader.rest(),
  };
}

// --------------------------------------------------------------------- queues

/** A queued message without the message itself. */
export interface QueuedHeader {
  state: DeliveryState;
  packetId: number;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  subscriptionIds: readonly number[];
  /** Of the message as published, for the limits of queues; the record may hold less. */
  payloadBytes: number;
}

export function encodeQueuedInline(header: QueuedHeader, message: StoredMessage): Buffer {
  writeQueuedHeader(header, false);
  return writeMessage(message);
}

/** @param messageId of the message, which other queues have as well */
export function encodeQueuedShared(header: QueuedHeader, messageId: Buffer): Buffer {
  writeQueuedHeader(header, true);
  return writer.finish(messageId);
}

function writeQueuedHeader(header: QueuedHeader, shared: boolean): void {
  const { state, packetId, qos, retain, dup, subscriptionIds, payloadBytes } = header;
  const flags =
    qos | (retain ? QueuedFlag.retain : 0) | (dup ? QueuedFlag.dup : 0) | (shared ? QueuedFlag.shared : 0);
  writer.start().uint8(LAYOUT_VERSION).uint8(flags).uint8(STATE_CODES[state]).uint16(packetId);
  writer.varint(payloadBytes).varint(subscriptionIds.length);
  for (const id of subscriptionIds) writer.varint(id);
}

/** A queued message with its content, or the id of the shared message that is its content. */
export interface DecodedQueued extends QueuedHeader {
  content: StoredMessage | Buffer;
}

/** @throws {DamagedRecordError} */
export function decodeQueued(record: Uint8Array): DecodedQueued {
  const reader = startReading(record);
  const flags = reader.uint8();
  return {
    state: checkedState(reader.uint8()),
    packetId: reader.uint16(),
    qos: checkedQos(flags & QueuedFlag.qos),
    retain: (flags & QueuedFlag.retain) !== 0,
    dup: (flags & QueuedFlag.dup) !== 0,
    payloadBytes: reader.varint(),
    subscriptionIds: readSubscriptionIds(reader),
    content: (flags & QueuedFlag.shared) === 0 ? readMessage(reader) : readMessageId(reader),
  };
}

function readMessageId(reader: RecordReader): Buffer {
  const messageId = Buffer.from(reader.bytes(MESSAGE_ID_LENGTH));
  reader.end();
  return messageId;
}

/** What counting a queue needs, read without the rest of the record. */
export function peekQueued(record: Uint8Array): { state: DeliveryState; qos: Qos; payloadBytes: number } {
  const reader = startReading(record);
  const qos = checkedQos(reader.uint8() & QueuedFlag.qos);
  const state = checkedState(reader.uint8());
  reader.uint16();
  return { state, qos, payloadBytes: reader.varint() };
}

function readSubscriptionIds(reader: RecordReader): readonly number[] {
  const count = reader.varint();
  if (count === 0) return NO_IDS;
  if (count > reader.remaining) throw new DamagedRecordError('more subscription identifiers than bytes');
  return Array.from({ length: count }, () => reader.varint());
}

const NO_IDS: readonly number[] = [];

// ------------------------------------------------------------------- sessions

/** @param key the number under which the session's other records are kept */
export function encodeSession(session: SessionRecord, key: Buffer): Buffer {
  const { username, will } = session;
  const flags =
    (username === undefined ? 0 : SessionFlag.username) | (will === undefined ? 0 : SessionFlag.will);
  writer.start().uint8(LAYOUT_VERSION).uint8(flags).uint8(session.protocolVersion);
  writer.uint32(session.sessionExpiry).float64(session.expiresAt).float64(session.disconnectedAt);
  writer
    .uint16(session.lastPacketId)
    .raw(key)
    .text(session.clientId)
    .text(username ?? '');
  if (will === undefined) return writer.finish(NOTHING);
  writer.uint32(will.delay).uint32(will.expiry).float64(will.dueAt);
  return writeMessage(will.message);
}

/** @throws {DamagedRecordError} */
export function decodeSession(record: Uint8Array): { session: SessionRecord; key: Buffer } {
  const reader = startReading(record);
  const flags = reader.uint8();
  const protocolVersion = checkedProtocol(reader.uint8());
  const sessionExpiry = reader.uint32();
  const expiresAt = reader.time();
  const disconnectedAt = reader.time();
  const lastPacketId = reader.uint16();
  const key = Buffer.from(reader.bytes(SESSION_KEY_LENGTH));
  const clientId = reader.text();
  const username = reader.text();
  const will = (flags & SessionFlag.will) === 0 ? undefined : readWill(reader);
  if (will === undefined) reader.end();
  const session: SessionRecord = {
    clientId,
    username: (flags & SessionFlag.username) === 0 ? undefined : username,
    protocolVersion,
    sessionExpiry,
    expiresAt,
    disconnectedAt,
    lastPacketId,
    will,
  };
  return { session, key };
}

function readWill(reader: RecordReader): WillRecord {
  const delay = reader.uint32();
  const expiry = reader.uint32();
  const dueAt = reader.time();
  return { delay, expiry, dueAt, message: readMessage(reader) };
}

export function encodeSubscription(subscription: SubscriptionRecord): Buffer {
  const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId } = subscription;
  const options =
    qos |
    (noLocal ? SubscriptionFlag.noLocal : 0) |
    (retainAsPublished ? SubscriptionFlag.retainAsPublished : 0) |
    (retainHandling << SubscriptionFlag.handlingShift);
  writer.start().uint8(LAYOUT_VERSION).uint8(options).uint32(subscriptionId);
  return writer.finish(Buffer.from(filter));
}

/** @throws {DamagedRecordError} */
export function decodeSubscription(record: Uint8Array): SubscriptionRecord {
  const reader = startReading(record);
  const options = reader.uint8();
  const retainHandling = options >> SubscriptionFlag.handlingShift;
  if (retainHandling !== 0 && retainHandling !== 1 && retainHandling !== 2) {
    throw new DamagedRecordError(`retain handling ${retainHandling}`);
  }
  return {
    qos: checkedQos(options & SubscriptionFlag.qos),
    noLocal: (options & SubscriptionFlag.noLocal) !== 0,
    retainAsPublished: (options & SubscriptionFlag.retainAsPublished) !== 0,
    retainHandling,
    subscriptionId: reader.uint32(),
    filter: reader.textToEnd(),
  };
}

// --------------------------------------------------------------------- checks

function startReading(record: Uint8Array): RecordReader {
  const reader = new RecordReader(record);
  const version = reader.uint8();
  if (version !== LAYOUT_VERSION) throw new DamagedRecordError(`layout version ${version}`);
  return reader;
}

function checkedQos(qos: number): Qos {
  if (qos > 2) throw new DamagedRecordError('quality of service 3');
  return qos as Qos;
}

function checkedState(code: number): DeliveryState {
  const state = STATES[code];
  if (state === undefined) throw new DamagedRecordError(`delivery state ${code}`);
  return state;
}

function checkedProtocol(version: number): ProtocolVersion {
  if (version !== 3 && version !== 4 && version !== 5)
    throw new DamagedRecordError(`protocol version ${version}`);
  return version;
}

// ------------------------------------------------------------ writer and reader

/** Collects the fields of one record; one object for all records of a thread, which are written one by one. */
class RecordWriter {
  #scratch = Buffer.allocUnsafe(4096);
  #length = 0;

  start(): this {
    this.#length = 0;
    return this;
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#scratch[this.#length] = value;
    this.#length += 1;
    return this;
  }

  uint16(value: number): this {
    this.#reserve(2);
    this.#length = this.#scratch.writeUInt16BE(value, this.#length);
    return this;
  }

  uint32(value: number): this {
    this.#reserve(4);
    this.#length = this.#scratch.writeUInt32BE(value, this.#length);
    return this;
  }

  float64(value: number): this {
    this.#reserve(8);
    this.#length = this.#scratch.writeDoubleBE(value, this.#length);
    return this;
  }

  varint(value: number): this {
    this.#reserve(4);
    this.#length = writeVarint(this.#scratch, this.#length, value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#scratch.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  text(text: string): this {
    const length = Buffer.byteLength(text);
    this.varint(length).#reserve(length);
    this.#length += this.#scratch.write(text, this.#length);
    return this;
  }

  /** @returns the record, with `rest` at its end, in memory of its own */
  finish(rest: Uint8Array): Buffer {
    const record = Buffer.allocUnsafe(this.#length + rest.length);
    this.#scratch.copy(record, 0, 0, this.#length);
    record.set(rest, this.#length);
    return record;
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#scratch.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + length));
    this.#scratch.copy(larger, 0, 0, this.#length);
    this.#scratch = larger;
  }
}

const writer = new RecordWriter();

/** Reads the fields of one record in turn. Every method throws `DamagedRecordError` at the end of the record. */
class RecordReader {
  readonly #record: Buffer;
  #position = 0;

  constructor(record: Uint8Array) {
    this.#record = asBuffer(record);
  }

  get remaining(): number {
    return this.#record.length - this.#position;
  }

  uint8(): number {
    return this.#record[this.#advance(1)]!;
  }

  uint16(): number {
    return this.#record.readUInt16BE(this.#advance(2));
  }

  uint32(): number {
    return this.#record.readUInt32BE(this.#advance(4));
  }

  /** Milliseconds since the epoch. */
  time(): number {
    const value = this.#record.readDoubleBE(this.#advance(8));
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw new DamagedRecordError(`time ${value}`);
    return value;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.uint8();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new DamagedRecordError('an integer of more than four bytes');
  }

  bytes(length: number): Uint8Array {
    if (length === 0) return NOTHING;
    const start = this.#advance(length);
    return this.#record.subarray(start, start + length);
  }

  text(): string {
    return this.#text(this.varint());
  }

  textToEnd(): string {
    return this.#text(this.remaining);
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  end(): void {
    if (this.remaining !== 0) throw new DamagedRecordError(`${this.remaining} bytes too many`);
  }

  #text(length: number): string {
    const start = this.#advance(length);
    if (!isValidUtf8(this.#record, start, start + length))
      throw new DamagedRecordError('text that is not UTF-8');
    return this.#record.toString('utf8', start, start + length);
  }

  #advance(length: number): number {
    if (length > this.remaining) throw new DamagedRecordError('the record is cut off');
    const position = this.#position;
    this.#position += length;
    return position;
  }
}

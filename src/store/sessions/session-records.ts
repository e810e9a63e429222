/**
 * Sessions and subscriptions as bytes. Every record begins with the version of its layout, so that a later one can
 * change it.
 *
 *   session       version(1) flags(1) protocol(1) expiry interval(4) expires(8) disconnected(8) packet id(2)
 *                 session(8) text(client id) text(user name) [delay(4) will expiry(4) due(8) message]
 *                 checksum(4)
 *   subscription  version(1) options(1) identifier(4) filter… checksum(4)
 *
 * What the parts are made of is said in `message-records.ts`.
 */
import type { SessionRecord, SubscriptionRecord, WillRecord } from '../../model/session-record.js';
import type { ProtocolVersion } from '../../mqtt/packets.js';
import { Publication } from '../../mqtt/publication.js';
import { SESSION_KEY_LENGTH } from '../keys.js';
import { checkedQos, expectVersion, finishMessage, readMessage } from '../message-records.js';
import { DamagedRecordError, RecordReader, SEALED, writer } from '../record-bytes.js';

/** Of records without a checksum. */
const PLAIN_VERSION = 1;

const SessionFlag = { username: 0x01, will: 0x02, sending: 0x04, listener: 0x08 } as const;
const SubscriptionFlag = { qos: 0x03, noLocal: 0x04, retainAsPublished: 0x08, handlingShift: 4 } as const;

/** @param key the number that begins the keys of the session's other records */
export function encodeSession(session: SessionRecord, key: Buffer): Buffer {
  const { username, will, isSending, listener } = session;
  const flags =
    (username === undefined ? 0 : SessionFlag.username) |
    (will === undefined ? 0 : SessionFlag.will) |
    (isSending ? SessionFlag.sending : 0) |
    (listener === undefined ? 0 : SessionFlag.listener);
  writer.start().uint8(SEALED).uint8(flags).uint8(session.protocolVersion);
  writer.uint32(session.sessionExpiry).float64(session.expiresAt).float64(session.disconnectedAt);
  writer
    .uint16(session.lastPacketId)
    .raw(key)
    .text(session.clientId)
    .text(username ?? '');
  if (listener !== undefined) writer.text(listener);
  if (will === undefined) return writer.finish();
  writer.uint32(will.delay).uint32(will.expiry).float64(will.dueAt);
  return finishMessage(writer, Publication.fromStored(will.message));
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
  const listener = (flags & SessionFlag.listener) === 0 ? undefined : reader.text();
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
  if ((flags & SessionFlag.sending) !== 0) session.isSending = true;
  if (listener !== undefined) session.listener = listener;
  return { session, key };
}

function readWill(reader: RecordReader): WillRecord {
  const delay = reader.uint32();
  const expiry = reader.uint32();
  const dueAt = reader.time();
  const message = new Publication();
  readMessage(reader, message, null);
  return { delay, expiry, dueAt, message: message.toStored() };
}

export function encodeSubscription(subscription: SubscriptionRecord): Buffer {
  const { filter, qos, noLocal, retainAsPublished, retainHandling, subscriptionId } = subscription;
  const options =
    qos |
    (noLocal ? SubscriptionFlag.noLocal : 0) |
    (retainAsPublished ? SubscriptionFlag.retainAsPublished : 0) |
    (retainHandling << SubscriptionFlag.handlingShift);
  writer.start().uint8(SEALED).uint8(options).uint32(subscriptionId);
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

function startReading(record: Uint8Array): RecordReader {
  const reader = new RecordReader(record);
  expectVersion(reader, PLAIN_VERSION);
  return reader;
}

function checkedProtocol(version: number): ProtocolVersion {
  if (version !== 3 && version !== 4 && version !== 5)
    throw new DamagedRecordError(`protocol version ${version}`);
  return version;
}

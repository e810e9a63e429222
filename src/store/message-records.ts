/**
 * Messages as bytes: the whole record of a retained or a shared message, a part of a session's (its will), and of a
 * queue's.
 *
 *   message  flags(1) text(topic) text(client id) text(user name) [listener] [expiry(8)] bytes(properties) payload…
 *   listener varint(port), or 0 and text(path of its socket)
 *   record   version(1) message checksum(4)
 *
 * Numbers are big-endian, times are doubles (milliseconds since the epoch), text(x) and bytes(x) begin with their
 * length as a variable byte integer, … goes to the end of the record, or to
 * its checksum.
 */
import type { Qos } from '../mqtt/packets.js';
import { Publication } from '../mqtt/publication.js';
import { DamagedRecordError, RecordReader, type RecordWriter, SEALED, writer } from './record-bytes.js';

/** Of records without a checksum. */
const PLAIN_VERSION = 1;

const MessageFlag = { qos: 0x03, retain: 0x04, expires: 0x08, again: 0x10, listener: 0x20 } as const;

/** The record of a message. @param message with its topic as text known or not */
export function encodeMessage(message: Publication): Buffer {
  return finishMessage(writer.start().uint8(SEALED), message);
}

/**
 * @param record nobody else's bytes: the message lies in them
 * @throws {DamagedRecordError}
 */
export function decodeMessage(record: Uint8Array): Publication {
  const message = new Publication();
  decodeMessageInto(message, record);
  return message.asOwned();
}

/**
 * The same with an object that will soon describe another message.
 * @throws {DamagedRecordError}
 */
export function decodeMessageInto(message: Publication, record: Uint8Array): void {
  const reader = new RecordReader(record);
  expectVersion(reader, PLAIN_VERSION);
  readMessage(reader, message, null);
}

/** Writes the message as the last part of a record. @returns the record */
export function finishMessage(to: RecordWriter, message: Publication): Buffer {
  writeHead(to, message, null);
  return to.finish(message.buffer, message.payloadStart, message.payloadEnd);
}

/** Everything but the payload. @param before a message whose topic and source need not be repeated, if they are the same */
export function writeHead(to: RecordWriter, message: Publication, before: Publication | null): void {
  const { qos, retain, expiresAt, properties, propertiesStart, propertiesEnd } = message;
  const again = before !== null && hasSameSource(message, before);
  const hasListener = !again && message.originListener !== '';
  to.uint8(
    qos |
      (retain ? MessageFlag.retain : 0) |
      (expiresAt === 0 ? 0 : MessageFlag.expires) |
      (again ? MessageFlag.again : 0) |
      (hasListener ? MessageFlag.listener : 0),
  );
  if (!again) {
    to.varint(message.topicEnd - message.topicStart).part(
      message.buffer,
      message.topicStart,
      message.topicEnd,
    );
    to.text(message.origin).text(message.originUsername);
    if (hasListener) writeListener(to, message.originListener);
  }
  if (expiresAt !== 0) to.float64(expiresAt);
  to.varint(propertiesEnd - propertiesStart).part(properties, propertiesStart, propertiesEnd);
}

const PORT = /^[1-9]\d{0,4}$/;

function writeListener(to: RecordWriter, key: string): void {
  if (PORT.test(key)) to.varint(Number(key));
  else to.varint(0).text(key);
}

function readListener(reader: RecordReader): string {
  const port = reader.varint();
  return port === 0 ? reader.text() : String(port);
}

/** Whether topic and publisher are the same. */
export function hasSameSource(message: Publication, before: Publication): boolean {
  return (
    message.topic === before.topic &&
    message.origin === before.origin &&
    message.originUsername === before.originUsername &&
    message.originListener === before.originListener
  );
}

/**
 * Reads the message that goes to the reader's end.
 * @param before the message before it in a queue's record
 */
export function readMessage(reader: RecordReader, into: Publication, before: Publication | null): void {
  const flags = reader.uint8();
  into.pointAt(reader.buffer);
  into.qos = checkedQos(flags & MessageFlag.qos);
  into.retain = (flags & MessageFlag.retain) !== 0;
  if ((flags & MessageFlag.again) === 0) readSource(reader, into, (flags & MessageFlag.listener) !== 0);
  else if (before === null) throw new DamagedRecordError('a message that repeats none');
  else takeSource(into, before);
  if ((flags & MessageFlag.expires) !== 0) into.expiresAt = reader.time();
  const length = reader.varint();
  into.propertiesStart = reader.skip(length);
  into.propertiesEnd = into.propertiesStart + length;
  into.payloadStart = reader.position;
  into.payloadEnd = reader.position + reader.remaining;
}

function readSource(reader: RecordReader, into: Publication, hasListener: boolean): void {
  const length = reader.varint();
  into.topicStart = reader.position;
  into.topic = reader.textOf(length);
  into.topicEnd = reader.position;
  into.origin = reader.text();
  into.originUsername = reader.text();
  if (hasListener) into.originListener = readListener(reader);
}

/** The bytes of the topic are in the same record. */
function takeSource(into: Publication, before: Publication): void {
  into.topic = before.topic;
  into.topicStart = before.topicStart;
  into.topicEnd = before.topicEnd;
  into.origin = before.origin;
  into.originUsername = before.originUsername;
  into.originListener = before.originListener;
}

/** @param plain the version of such records without a checksum */
export function expectVersion(reader: RecordReader, plain: number): void {
  const found = reader.version();
  if (found !== SEALED && found !== plain) throw new DamagedRecordError(`layout version ${found}`);
}

export function checkedQos(qos: number): Qos {
  if (qos > 2) throw new DamagedRecordError('quality of service 3');
  return qos as Qos;
}

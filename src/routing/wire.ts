/**
 * Messages packed for another thread: records one after the other in one buffer.
 *
 *   0  u32  length of the whole record
 *   4  u8   bits 0-1 QoS, bit 2 retain, bit 3 set the retained message, bit 4 deliver to subscribers,
 *           bit 5 deliver to one member of the shared group named in the record,
 *           bit 6 the sender stores it, and may send it again after a crash: the origin is the name of the message
 *   5  f64  when it expires, milliseconds since the epoch; 0 = never
 *  13  u32  length of the group's key        17  u32  length of the origin, the publisher's client id
 *  21  u32  length of its user name          25  u16  length of the topic
 *  27  u32  length of the properties         31  u8   length of the listener that the publisher came through
 *  32  group key, origin, user name, listener, topic, properties, payload
 *
 * A topic fits into two bytes, for whoever joins one with a prefix checks that; a listener is a port, or a socket's path
 * of 107 bytes at the most. The others may be longer than what comes over the network: a key is a whole filter, and a
 * user name may be a certificate's subject.
 *
 * Before a group's key there are four bytes: bit n is set when worker n was asked for a member already.
 */
import { copyBytes } from '../base/copy-bytes.js';
import { OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import type { Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';

const HEADER = 32;
const ASKED = 4;

export const RecordFlag = {
  retain: 0x04,
  /** Set or clear the retained message of the topic. */
  setRetained: 0x08,
  /** Deliver to the receiver's ordinary subscriptions. */
  deliver: 0x10,
  /** Deliver to one of the receiver's members of the named shared group. */
  group: 0x20,
  /** Deliver to nobody a second time who is known to have it. */
  once: 0x40,
} as const;

/**
 * Appends one record (hot path between workers).
 * @param asked for a group: bit n is set when worker n was, or is hereby, asked for a member
 */
export function packRecord(
  out: OutgoingBuffer,
  publication: Publication,
  what: number,
  groupKey: string,
  asked = 0,
): void {
  const group = groupKey === '' ? 0 : ASKED + Buffer.byteLength(groupKey);
  const isRetained = (what & RecordFlag.setRetained) !== 0;
  const { once } = publication;
  const originText = once !== null ? once.messageId : isRetained ? publication.origin : '';
  const origin = originText === '' ? 0 : Buffer.byteLength(originText);
  const userText = isRetained ? publication.originUsername : '';
  const user = userText === '' ? 0 : Buffer.byteLength(userText);
  const listenerText = isRetained ? publication.originListener : '';
  const listener = listenerText === '' ? 0 : Buffer.byteLength(listenerText);
  const topic = publication.topicEnd - publication.topicStart;
  const properties = publication.propertiesEnd - publication.propertiesStart;
  const payload = publication.payloadEnd - publication.payloadStart;
  const length = HEADER + group + origin + user + listener + topic + properties + payload;
  let at = out.reserve(length);
  const chunk = out.chunk!;
  chunk.writeUInt32LE(length, at);
  const flags = (publication.retain ? RecordFlag.retain : 0) | (once === null ? 0 : RecordFlag.once);
  chunk[at + 4] = publication.qos | flags | what;
  chunk.writeDoubleLE(publication.expiresAt, at + 5);
  chunk.writeUInt32LE(group, at + 13);
  chunk.writeUInt32LE(origin, at + 17);
  chunk.writeUInt32LE(user, at + 21);
  chunk.writeUInt16LE(topic, at + 25);
  chunk.writeUInt32LE(properties, at + 27);
  chunk[at + 31] = listener;
  at += HEADER;
  if (group > 0) {
    chunk.writeInt32LE(asked, at);
    at += ASKED + chunk.write(groupKey, at + ASKED);
  }
  if (origin > 0) at += chunk.write(originText, at);
  if (user > 0) at += chunk.write(userText, at);
  if (listener > 0) at += chunk.write(listenerText, at);
  copyBytes(publication.buffer, publication.topicStart, publication.topicEnd, chunk, at);
  at += topic;
  copyBytes(publication.properties, publication.propertiesStart, publication.propertiesEnd, chunk, at);
  at += properties;
  copyBytes(publication.buffer, publication.payloadStart, publication.payloadEnd, chunk, at);
}

/** Records of these messages as bytes of their own, for a thread that has no link. */
export function packedRecords(publications: readonly Publication[], what: number): Uint8Array {
  const collected: Buffer[] = [];
  const sink = {
    write: (chunk: Buffer, length: number): boolean => {
      collected.push(Buffer.from(chunk.subarray(0, length)));
      return true;
    },
  };
  const out = new OutgoingBuffer(sink, { add: () => {} });
  for (const publication of publications) packRecord(out, publication, what, '');
  out.flush();
  return new Uint8Array(Buffer.concat(collected));
}

/**
 * Reads the records of a batch into one reused publication.
 * @param failed gets what `each` has thrown, and the record is passed over
 * @param each gets the publication, what to do with it (`RecordFlag`), and for a group its key (else '') and the
 * workers that were asked for a member
 */
export function unpackRecords(
  records: Uint8Array,
  into: Publication,
  each: (publication: Publication, what: number, groupKey: string, asked: number) => void,
  failed: (error: unknown) => void = rethrow,
): void {
  const bytes = Buffer.from(records.buffer, records.byteOffset, records.length);
  const place = { next: 0 };
  while (place.next < bytes.length) {
    const start = place.next;
    try {
      unpackFrom(bytes, place, into, each);
    } catch (error) {
      if (place.next === start) throw error; // the batch itself does not read
      failed(error);
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}

/** @param place where the next record begins: beyond the last one that was read, should `each` throw */
function unpackFrom(
  bytes: Buffer,
  place: { next: number },
  into: Publication,
  each: (publication: Publication, what: number, groupKey: string, asked: number) => void,
): void {
  while (place.next < bytes.length) {
    const at = place.next;
    const end = at + bytes.readUInt32LE(at);
    const what = bytes[at + 4]!;
    const groupStart = at + HEADER;
    const originStart = groupStart + bytes.readUInt32LE(at + 13);
    const userStart = originStart + bytes.readUInt32LE(at + 17);
    const listenerStart = userStart + bytes.readUInt32LE(at + 21);
    const topicStart = listenerStart + bytes[at + 31]!;
    const topicEnd = topicStart + bytes.readUInt16LE(at + 25);
    place.next = end;
    into.pointAt(bytes);
    into.qos = (what & 3) as Qos;
    into.retain = (what & RecordFlag.retain) !== 0;
    into.topicStart = topicStart;
    into.topicEnd = topicEnd;
    into.propertiesStart = topicEnd;
    into.propertiesEnd = topicEnd + bytes.readUInt32LE(at + 27);
    into.payloadStart = into.propertiesEnd;
    into.payloadEnd = end;
    into.expiresAt = bytes.readDoubleLE(at + 5);
    const origin = originStart === userStart ? '' : bytes.toString('utf8', originStart, userStart);
    if ((what & RecordFlag.once) !== 0) into.once = { messageId: origin, isElsewhere: true };
    else into.origin = origin;
    if (userStart !== listenerStart) into.originUsername = bytes.toString('utf8', userStart, listenerStart);
    if (listenerStart !== topicStart) into.originListener = bytes.toString('utf8', listenerStart, topicStart);
    if (groupStart === originStart) each(into, what, '', 0);
    else
      each(
        into,
        what,
        bytes.toString('utf8', groupStart + ASKED, originStart),
        bytes.readInt32LE(groupStart),
      );
  }
}

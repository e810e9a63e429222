/** What can still be read of a PUBLISH that is malformed, so that it can be acknowledged and named. */
import { decodePacket } from '../mqtt/decode.js';
import { isPacketError } from '../mqtt/packet-error.js';
import type { ProtocolVersion } from '../mqtt/packets.js';
import { PropertyId } from '../mqtt/property-ids.js';
import { NO_ALIAS } from '../mqtt/publication.js';

export interface MalformedPublish {
  /** 3 does not exist, and has no acknowledgement. */
  qos: number;
  /** 0 = none can be read. */
  packetId: number;
  /** Its bytes, as far as they are there. */
  topic: Uint8Array;
  topicAlias: number;
  /** A clause for people. */
  fault: string;
}

/** Bytes of the values of the properties of PUBLISH that have a fixed length. */
const FIXED_LENGTHS: ReadonlyMap<number, number> = new Map([
  [PropertyId.payloadFormatIndicator, 1],
  [PropertyId.messageExpiryInterval, 4],
  [PropertyId.topicAlias, 2],
]);

export function readMalformedPublish(
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
): MalformedPublish {
  const qos = (buffer[start]! >> 1) & 3;
  const topicStart = Math.min(end, bodyStart + 2);
  const topicEnd = topicStart + (bodyStart + 2 > end ? 0 : uint16(buffer, bodyStart));
  const hasPacketId = qos > 0 && topicEnd + 2 <= end;
  const propertiesStart = topicEnd + (qos > 0 ? 2 : 0);
  const error = decodePacket(buffer, start, bodyStart, end, version, 'server');
  return {
    qos,
    packetId: hasPacketId ? uint16(buffer, topicEnd) : 0,
    topic: buffer.slice(topicStart, Math.min(topicEnd, end)),
    topicAlias: version === 5 ? aliasIn(buffer, propertiesStart, end) : NO_ALIAS,
    fault: isPacketError(error) ? faultOf(error.message) : 'malformed packet',
  };
}

/** The decoder's words, some of which are a whole line of the log. */
function faultOf(message: string): string {
  return message.replace(/( from \{id\}, disconnecting)?\.$/, '');
}

/** The alias is in force for later messages, whatever else is wrong with this one. */
function aliasIn(buffer: Uint8Array, position: number, end: number): number {
  let length = 0;
  let at = position;
  for (let shift = 0; ; shift += 7) {
    if (at >= end || shift > 21) return NO_ALIAS;
    const byte = buffer[at]!;
    at += 1;
    length += (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  const stop = Math.min(end, at + length);
  while (at + 2 < stop) {
    const id = buffer[at]!;
    if (id === PropertyId.topicAlias) return uint16(buffer, at + 1);
    at = valueEnd(id, buffer, at + 1);
    if (at < 0) break;
  }
  return NO_ALIAS;
}

/** @returns -1 for what is no property of PUBLISH */
function valueEnd(id: number, buffer: Uint8Array, at: number): number {
  const length = FIXED_LENGTHS.get(id);
  if (length !== undefined) return at + length;
  const textEnd = at + 2 + uint16(buffer, at);
  switch (id) {
    case PropertyId.contentType:
    case PropertyId.responseTopic:
    case PropertyId.correlationData:
      return textEnd;
    case PropertyId.userProperty:
      return textEnd + 2 + uint16(buffer, textEnd);
    case PropertyId.subscriptionIdentifier: {
      while (buffer[at]! >= 0x80) at += 1;
      return at + 1;
    }
    default:
      return -1;
  }
}

/** What is behind the end of the buffer reads as 0. */
function uint16(buffer: Uint8Array, at: number): number {
  return ((buffer[at] ?? 0) << 8) | (buffer[at + 1] ?? 0);
}

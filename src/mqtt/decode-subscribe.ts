/** SUBSCRIBE and UNSUBSCRIBE with their topic filters. */
import { isValidTopicFilter, parseSharedFilter } from '../topic/topic-filter.js';
import { PacketError } from './packet-error.js';
import type { PacketReader } from './packet-reader.js';
import type {
  ProtocolVersion,
  Qos,
  SubscribePacket,
  SubscriptionRequest,
  UnsubscribePacket,
} from './packets.js';
import { readProperties } from './properties.js';
import { ReasonCode } from './reason-codes.js';

export function readSubscribe(reader: PacketReader, version: ProtocolVersion): SubscribePacket {
  const packet = beginSubscribe(reader, version);
  while (!readSubscriptions(reader, version, packet, Number.POSITIVE_INFINITY));
  return packet;
}

/** What stands before the filters. */
export function beginSubscribe(reader: PacketReader, version: ProtocolVersion): SubscribePacket {
  const packetId = readPacketId(reader);
  const properties = version === 5 ? readProperties(reader, 'subscribe') : {};
  return { type: 'subscribe', packetId, subscriptions: [], properties };
}

/** @returns whether these were all, and the packet is read or has an error */
export function readSubscriptions(
  reader: PacketReader,
  version: ProtocolVersion,
  { subscriptions }: SubscribePacket,
  bytesMax: number,
): boolean {
  const stop = reader.position + bytesMax;
  while (reader.hasMore && reader.position < stop) subscriptions.push(readSubscription(reader, version));
  if (reader.hasMore) return false;
  // At least one filter [MQTT-3.8.3-2]; MQTT 3.1 does not say so.
  if (subscriptions.length === 0 && version !== 3) reader.malformed('no topic filter');
  return true;
}

export function readUnsubscribe(reader: PacketReader, version: ProtocolVersion): UnsubscribePacket {
  const packet = beginUnsubscribe(reader, version);
  while (!readUnsubscriptions(reader, version, packet, Number.POSITIVE_INFINITY));
  return packet;
}

export function beginUnsubscribe(reader: PacketReader, version: ProtocolVersion): UnsubscribePacket {
  const packetId = readPacketId(reader);
  const properties = version === 5 ? readProperties(reader, 'unsubscribe') : {};
  return { type: 'unsubscribe', packetId, filters: [], properties };
}

/** @returns whether these were all, and the packet is read or has an error */
export function readUnsubscriptions(
  reader: PacketReader,
  version: ProtocolVersion,
  { filters }: UnsubscribePacket,
  bytesMax: number,
): boolean {
  const stop = reader.position + bytesMax;
  while (reader.hasMore && reader.position < stop) filters.push(readFilter(reader, UNSUBSCRIPTION));
  if (reader.hasMore) return false;
  // [MQTT-3.10.3-2]
  if (filters.length === 0 && version !== 3) reader.malformed('no topic filter');
  return true;
}

/** Here 0 is malformed, in other packets a protocol error [mosq: SUBSCRIBE]. */
function readPacketId(reader: PacketReader): number {
  const packetId = reader.uint16();
  if (packetId === 0) reader.malformed('mid = 0'); // [MQTT-2.2.1-3]
  return packetId;
}

/** Lines in Mosquitto's log for filters that are none. */
const SUBSCRIPTION = {
  invalid: 'Invalid subscription string from {address}, disconnecting.',
  empty: 'Empty subscription string from {address}, disconnecting.',
};
const UNSUBSCRIPTION = {
  invalid: 'Invalid unsubscription string from {id}, disconnecting.',
  empty: 'Empty unsubscription string from {id}, disconnecting.',
};

function readFilter(reader: PacketReader, lines: typeof SUBSCRIPTION): string {
  const filter = reader.text('topic filter');
  if (reader.error !== undefined) return filter;
  if (filter === '') {
    reader.fail(new PacketError(ReasonCode.malformedPacket, lines.empty)); // [MQTT-4.7.3-1]
  } else if (!isValidTopicFilter(filter)) {
    reader.fail(new PacketError(ReasonCode.malformedPacket, lines.invalid));
  } else if (parseSharedFilter(filter) === 'invalid') {
    reader.fail(new PacketError(ReasonCode.protocolError, lines.invalid)); // [MQTT-4.8.2-1, MQTT-4.8.2-2]
  }
  return filter;
}

/** The options byte: QoS in bits 0 and 1, then no local, retain as published, retain handling [MQTT 5.0, 3.8.3.1]. */
function readSubscription(reader: PacketReader, version: ProtocolVersion): SubscriptionRequest {
  const filter = readFilter(reader, SUBSCRIPTION);
  const options = reader.byte();
  const qos = options & 3;
  const noLocal = (options & 4) !== 0;
  const retainHandling = (options >> 4) & 3;
  if (qos === 3) {
    reader.malformed('invalid QoS (3)'); // [MQTT 3.1.1, MQTT-3-8.3-4]
  } else if ((options & (version === 5 ? 0xc0 : 0xfc)) !== 0 || retainHandling === 3) {
    reader.malformed(`invalid subscription options (${options.toString(16).padStart(2, '0')})`); // [MQTT-3.8.3-5]
  } else if (noLocal && filter.startsWith('$share/')) {
    reader.fail(new PacketError(ReasonCode.protocolError, '$share subscription with no-local set.')); // [MQTT-3.8.3-4]
  }
  return {
    filter,
    qos: qos as Qos,
    noLocal,
    retainAsPublished: (options & 8) !== 0,
    retainHandling: retainHandling as 0 | 1 | 2,
  };
}

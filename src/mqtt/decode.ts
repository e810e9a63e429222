/**
 * Bytes to packets, for both directions and all versions. Nothing is thrown for any input: what is wrong with a
 * packet is returned as `PacketError`.
 *
 * The reason codes are those of MQTT 5.0 and, where that leaves a choice, Mosquitto's [mosq: protocol fault table].
 */
import { hasTooManyLevels, isValidTopicNameText } from '../topic/topic-name.js';
import { decodeConnect } from './decode-connect.js';
import {
  beginSubscribe,
  beginUnsubscribe,
  readSubscribe,
  readSubscriptions,
  readUnsubscribe,
  readUnsubscriptions,
} from './decode-subscribe.js';
import { PacketError, reservedPacket } from './packet-error.js';
import { PacketReader } from './packet-reader.js';
import {
  type AckPacket,
  type AuthPacket,
  type ConnackPacket,
  type DisconnectPacket,
  PACKET_NAMES,
  type Packet,
  PacketType,
  type PingreqPacket,
  type ProtocolVersion,
  type PublishPacket,
  type Qos,
  type SubackPacket,
  type UnsubackPacket,
} from './packets.js';
import { readProperties } from './properties.js';
import { ConnectReturnCode, isReasonCodeAllowed, ReasonCode } from './reason-codes.js';

/** Which side sent the packet: some packets only come from one. */
export type PacketOrigin = 'client' | 'server';

const CLIENT_ONLY: ReadonlySet<number> = new Set([
  PacketType.connect,
  PacketType.subscribe,
  PacketType.unsubscribe,
]);

const SERVER_ONLY: ReadonlySet<number> = new Set([
  PacketType.connack,
  PacketType.suback,
  PacketType.unsuback,
  PacketType.pingresp,
]);

/**
 * Decodes one packet. Its strings and bytes are copies; the buffer may be used again.
 *
 * @param start where the packet begins in `buffer`
 * @param bodyStart where its variable header begins, behind the remaining length
 * @param end behind its last byte
 * @param version what CONNECT agreed on; a CONNECT itself is read by the version it names
 */
export function decodePacket(
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
  origin: PacketOrigin,
): Packet | PacketError {
  const first = buffer[start]!;
  const type = first >> 4;
  const refusal = refuseType(type, version, origin);
  if (refusal !== undefined) return refusal;
  if (type === PacketType.connect) return decodeConnect(buffer, start, bodyStart, end);
  const wrongFlags = checkFlags(type, first & 0x0f, version);
  if (wrongFlags !== undefined) return wrongFlags;
  const reader = new PacketReader(buffer, bodyStart, end, PACKET_NAMES[type]!);
  const packet = readPacket(reader, first, version, origin);
  reader.expectEnd();
  return reader.error ?? packet;
}

/**
 * Decodes a long SUBSCRIBE or UNSUBSCRIBE of a client in steps, a part of its filters in each.
 *
 * @param buffer must stay as it is until the last step
 * @param bytesMax of each step; a filter that has begun is read to its end
 * @returns takes the next step; returns `null` as long as there is more to read
 */
export function decodeInSteps(
  buffer: Uint8Array,
  bodyStart: number,
  version: ProtocolVersion,
  bytesMax: number,
): () => Packet | PacketError | null {
  const first = buffer[0]!;
  const type = first >> 4;
  const wrongFlags = checkFlags(type, first & 0x0f, version);
  if (wrongFlags !== undefined) return () => wrongFlags;
  const reader = new PacketReader(buffer, bodyStart, buffer.length, PACKET_NAMES[type]!);
  if (type === PacketType.subscribe) {
    const packet = beginSubscribe(reader, version);
    return () => {
      if (!readSubscriptions(reader, version, packet, bytesMax)) return null;
      return reader.error ?? packet;
    };
  }
  const packet = beginUnsubscribe(reader, version);
  return () => {
    if (!readUnsubscriptions(reader, version, packet, bytesMax)) return null;
    return reader.error ?? packet;
  };
}

/** Packets that this origin must not send, or not in this version. */
function refuseType(type: number, version: ProtocolVersion, origin: PacketOrigin): PacketError | undefined {
  if (type === 0 || (type === PacketType.auth && version !== 5)) {
    return reservedPacket();
  }
  const refused = origin === 'client' ? SERVER_ONLY : CLIENT_ONLY;
  const disconnectedByOldServer = type === PacketType.disconnect && origin === 'server' && version !== 5;
  if (!refused.has(type) && !disconnectedByOldServer) return undefined;
  return new PacketError(ReasonCode.protocolError, `${PACKET_NAMES[type]} packet from a ${origin}.`);
}

/** Set in MQTT 3.1, where it is sent again, on PUBREL, SUBSCRIBE and UNSUBSCRIBE too [MQTT 3.1, 2.1]. */
const DUP = 0x08;

/** The lower four bits of the first byte [MQTT-2.1.3-1]; those of PUBLISH mean something. */
function checkFlags(type: number, flags: number, version: ProtocolVersion): PacketError | undefined {
  if (type === PacketType.publish) return undefined;
  // Mosquitto does not look at them.
  if (type === PacketType.pubrel && version === 3) return undefined;
  const withFlags =
    type === PacketType.pubrel || type === PacketType.subscribe || type === PacketType.unsubscribe;
  if (flags === (withFlags ? 0x02 : 0)) return undefined;
  if (withFlags && version === 3 && flags === (0x02 | DUP)) return undefined;
  const firstByte = ((type << 4) | flags).toString(16).toUpperCase();
  return new PacketError(
    ReasonCode.malformedPacket,
    `${PACKET_NAMES[type]} with non-zero reserved flags (${firstByte}).`,
  );
}

function readPacket(
  reader: PacketReader,
  first: number,
  version: ProtocolVersion,
  origin: PacketOrigin,
): Packet {
  switch (first >> 4) {
    case PacketType.connack:
      return readConnack(reader, version);
    case PacketType.publish:
      return readPublish(reader, first, version, origin);
    case PacketType.puback:
      return readAcknowledgement(reader, 'puback', version);
    case PacketType.pubrec:
      return readAcknowledgement(reader, 'pubrec', version);
    case PacketType.pubrel:
      return readAcknowledgement(reader, 'pubrel', version);
    case PacketType.pubcomp:
      return readAcknowledgement(reader, 'pubcomp', version);
    case PacketType.subscribe:
      return readSubscribe(reader, version);
    case PacketType.suback:
      return readSuback(reader, version);
    case PacketType.unsubscribe:
      return readUnsubscribe(reader, version);
    case PacketType.unsuback:
      return readUnsuback(reader, version);
    case PacketType.pingreq:
      return readPingreq(reader);
    case PacketType.pingresp:
      return { type: 'pingresp' };
    case PacketType.disconnect:
      return readDisconnect(reader, version, origin);
    default:
      return readAuth(reader);
  }
}

// ------------------------------------------------------------------------------------------------ messages

function readPublish(
  reader: PacketReader,
  first: number,
  version: ProtocolVersion,
  origin: PacketOrigin,
): PublishPacket {
  const qos = (first >> 1) & 3;
  const dup = (first & 0x08) !== 0;
  if (qos === 3) {
    failPublish(reader, 'Invalid QoS in PUBLISH from {id}, disconnecting.'); // [MQTT-3.3.1-4]
  } else if (qos === 0 && dup) {
    failPublish(reader, 'Invalid PUBLISH (QoS=0 and DUP=1) from {id}, disconnecting.'); // [MQTT-3.3.1-2]
  }
  const topic = reader.text('topic');
  const packetId = qos === 0 ? 0 : readPacketId(reader);
  const properties = version === 5 ? readProperties(reader, 'publish') : {};
  if (topic !== '') {
    if (!isValidTopicNameText(topic)) failTopic(reader, topic, version);
  } else if (version !== 5) {
    reader.malformed('empty topic'); // [MQTT-4.7.3-1]
  } else if (properties.topicAlias === undefined) {
    reader.violation('neither topic nor topic-alias'); // [MQTT 5.0, 3.3.2.1]
  }
  if (origin === 'client' && properties.subscriptionIdentifiers !== undefined) {
    reader.violation('subscription-identifier from a client'); // [MQTT-3.3.4-6]
  }
  const payload = reader.rest();
  const retain = (first & 1) !== 0;
  return { type: 'publish', topic, payload, qos: qos as Qos, retain, dup, packetId, properties };
}

/** Nothing is malformed in a topic with more levels than are taken, which only MQTT 5.0 can be told. */
function failTopic(reader: PacketReader, topic: string, version: ProtocolVersion): void {
  const isTooDeep = version === 5 && hasTooManyLevels(topic);
  const reasonCode = isTooDeep ? ReasonCode.topicNameInvalid : ReasonCode.malformedPacket; // [MQTT-3.3.2-2]
  reader.fail(new PacketError(reasonCode, 'PUBLISH packet with invalid topic.'));
}

function failPublish(reader: PacketReader, line: string): void {
  reader.fail(new PacketError(ReasonCode.malformedPacket, line));
}

/** MQTT 5.0 may leave out the properties, and the reason code if it is 0 [MQTT 5.0, 3.4.2.1]. */
function readAcknowledgement(
  reader: PacketReader,
  type: AckPacket['type'],
  version: ProtocolVersion,
): AckPacket {
  const packetId = readPacketId(reader);
  if (version !== 5) return { type, packetId, reasonCode: 0, properties: {} };
  const reasonCode = reader.hasMore ? readReasonCode(reader, PacketType[type]) : ReasonCode.success;
  const properties = reader.hasMore ? readProperties(reader, type) : {};
  return { type, packetId, reasonCode, properties };
}

// ----------------------------------------------------------------------------------- answers of the server

function readConnack(reader: PacketReader, version: ProtocolVersion): ConnackPacket {
  const flags = reader.byte();
  // [MQTT-3.2.2-1]; MQTT 3.1 has no session present flag, its byte is reserved.
  if (version !== 3 && (flags & 0xfe) !== 0) reader.malformed('reserved acknowledge flags set');
  const sessionPresent = version !== 3 && (flags & 1) !== 0;
  const reasonCode = reader.byte();
  if (version !== 5 || isAnswerOfOldServer(reader, reasonCode)) {
    return { type: 'connack', sessionPresent, reasonCode, properties: {} };
  }
  checkReasonCode(reader, PacketType.connack, reasonCode);
  return { type: 'connack', sessionPresent, reasonCode, properties: readProperties(reader, 'connack') };
}

/** A server that does not know MQTT 5.0 refuses it in its own way: with a return code and without properties. */
function isAnswerOfOldServer(reader: PacketReader, returnCode: number): boolean {
  return !reader.hasMore && returnCode > 0 && returnCode <= ConnectReturnCode.notAuthorized;
}

function readSuback(reader: PacketReader, version: ProtocolVersion): SubackPacket {
  const packetId = readPacketId(reader);
  const properties = version === 5 ? readProperties(reader, 'suback') : {};
  const reasonCodes = Array.from(reader.rest());
  for (const reasonCode of reasonCodes) {
    if (version === 5) checkReasonCode(reader, PacketType.suback, reasonCode);
    else if (reasonCode > 2 && reasonCode !== 0x80) reader.malformed(`invalid return code (${reasonCode})`); // [MQTT 3.1.1, MQTT-3.9.3-2]
  }
  return { type: 'suback', packetId, reasonCodes, properties };
}

function readUnsuback(reader: PacketReader, version: ProtocolVersion): UnsubackPacket {
  const packetId = readPacketId(reader);
  if (version !== 5) return { type: 'unsuback', packetId, reasonCodes: [], properties: {} };
  const properties = readProperties(reader, 'unsuback');
  const reasonCodes = Array.from(reader.rest());
  for (const reasonCode of reasonCodes) checkReasonCode(reader, PacketType.unsuback, reasonCode);
  return { type: 'unsuback', packetId, reasonCodes, properties };
}

// ------------------------------------------------------------------------------------------ the connection

/** One with a payload is cut off without a DISCONNECT [mosq: protocol fault table]. */
function readPingreq(reader: PacketReader): PingreqPacket {
  if (reader.hasMore) {
    const message = 'PINGREQ packet with payload.';
    reader.fail(new PacketError(ReasonCode.malformedPacket, message, { silent: true }));
  }
  return { type: 'pingreq' };
}

function readDisconnect(
  reader: PacketReader,
  version: ProtocolVersion,
  origin: PacketOrigin,
): DisconnectPacket {
  if (version !== 5) return { type: 'disconnect', reasonCode: 0, properties: {} };
  const reasonCode = reader.hasMore
    ? readReasonCode(reader, PacketType.disconnect)
    : ReasonCode.normalDisconnection;
  const properties = reader.hasMore ? readProperties(reader, 'disconnect') : {};
  if (origin === 'server' && properties.sessionExpiryInterval !== undefined) {
    reader.violation('session-expiry-interval from a server'); // [MQTT-3.14.2-2]
  }
  return { type: 'disconnect', reasonCode, properties };
}

function readAuth(reader: PacketReader): AuthPacket {
  const reasonCode = reader.hasMore ? readReasonCode(reader, PacketType.auth) : ReasonCode.success;
  const properties = reader.hasMore ? readProperties(reader, 'auth') : {};
  // [MQTT 5.0, 3.15.2.2.2]
  if (properties.authenticationMethod === undefined) reader.violation('no authentication-method');
  return { type: 'auth', reasonCode, properties };
}

// ------------------------------------------------------------------------------------- parts of several packets

/** Not 0 [MQTT-2.2.1-3]. */
function readPacketId(reader: PacketReader): number {
  const packetId = reader.uint16();
  if (packetId === 0) reader.violation('mid = 0');
  return packetId;
}

function readReasonCode(reader: PacketReader, packetType: number): number {
  const reasonCode = reader.byte();
  checkReasonCode(reader, packetType, reasonCode);
  return reasonCode;
}

function checkReasonCode(reader: PacketReader, packetType: number, reasonCode: number): void {
  if (!isReasonCodeAllowed(packetType, reasonCode)) reader.violation(`invalid reason code (${reasonCode})`);
}

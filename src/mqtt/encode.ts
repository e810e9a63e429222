/** Packets to bytes, for both directions and all versions. */
import type {
  AckPacket,
  AuthPacket,
  ConnackPacket,
  ConnectPacket,
  DisconnectPacket,
  Packet,
  Properties,
  ProtocolVersion,
  PublishPacket,
  SubackPacket,
  SubscribePacket,
  UnsubackPacket,
  UnsubscribePacket,
} from './packets.js';
import { PacketType } from './packets.js';
import { propertiesLength, writeBinary, writeProperties, writeText } from './properties.js';
import { ReasonCode } from './reason-codes.js';
import { varintLength, writeVarint } from './varint.js';

/**
 * Encodes one packet. What `version` does not know is left out: before MQTT 5.0 properties and reason codes. A
 * CONNECT names its own version.
 *
 * The caller has checked the values: a text of more than 65535 bytes is an error of ours and throws.
 */
export function encodePacket(packet: Packet, version: ProtocolVersion): Buffer {
  switch (packet.type) {
    case 'connect':
      return encodeConnect(packet);
    case 'connack':
      return encodeConnack(packet, version);
    case 'publish':
      return encodePublish(packet, version);
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      return encodeAcknowledgement(packet, version);
    case 'subscribe':
      return encodeSubscribe(packet, version);
    case 'suback':
      return encodeSuback(packet, version);
    case 'unsubscribe':
      return encodeUnsubscribe(packet, version);
    case 'unsuback':
      return encodeUnsuback(packet, version);
    case 'disconnect':
      return version === 5 ? encodeReason(packet) : emptyPacket(PacketType.disconnect);
    case 'auth':
      return encodeReason(packet);
    case 'pingreq':
    case 'pingresp':
      return emptyPacket(PacketType[packet.type]);
  }
}

/** A packet being written: its bytes, and where the next one goes. */
class PacketWriter {
  readonly bytes: Buffer;
  #at: number;

  /** @param bodyLength the remaining length [MQTT 5.0, 2.1.4] */
  constructor(firstByte: number, bodyLength: number) {
    this.bytes = Buffer.allocUnsafe(1 + varintLength(bodyLength) + bodyLength);
    this.bytes[0] = firstByte;
    this.#at = writeVarint(this.bytes, 1, bodyLength);
  }

  byte(value: number): void {
    this.bytes[this.#at++] = value;
  }

  uint16(value: number): void {
    this.#at = this.bytes.writeUInt16BE(value, this.#at);
  }

  text(value: string): void {
    this.#at = writeText(this.bytes, this.#at, value);
  }

  /** Bytes behind their length. */
  binary(value: Uint8Array): void {
    this.#at = writeBinary(this.bytes, this.#at, value);
  }

  /** Bytes without a length. */
  raw(value: Uint8Array | readonly number[]): void {
    this.bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Properties behind their length, in MQTT 5.0. `length` is their `lengthOf`. */
  properties(properties: Properties, length: number, version: ProtocolVersion): void {
    if (version !== 5) return;
    this.#at = writeVarint(this.bytes, this.#at, length);
    if (length > 0) this.#at = writeProperties(this.bytes, this.#at, properties);
  }
}

/** Bytes of the properties without their length; nothing before MQTT 5.0. */
function lengthOf(properties: Properties, version: ProtocolVersion): number {
  return version === 5 ? propertiesLength(properties) : 0;
}

/** What properties of this length take up with the length itself; nothing before MQTT 5.0. */
function withLength(length: number, version: ProtocolVersion): number {
  return version === 5 ? varintLength(length) + length : 0;
}

function textLength(text: string): number {
  return 2 + Buffer.byteLength(text);
}

function emptyPacket(type: number): Buffer {
  return new PacketWriter(type << 4, 0).bytes;
}

function encodeConnect(packet: ConnectPacket): Buffer {
  const { version, will, username, password } = packet;
  const name = version === 3 ? 'MQIsdp' : 'MQTT';
  const properties = lengthOf(packet.properties, version);
  const willProperties = will === undefined ? 0 : lengthOf(will.properties, version);
  let length = textLength(name) + 4 + withLength(properties, version) + textLength(packet.clientId);
  if (will !== undefined) {
    length += withLength(willProperties, version) + textLength(will.topic) + 2 + will.payload.length;
  }
  if (username !== undefined) length += textLength(username);
  if (password !== undefined) length += 2 + password.length;
  const writer = new PacketWriter(0x10, length);
  writer.text(name);
  writer.byte(packet.bridge ? version | 0x80 : version);
  writer.byte(connectFlags(packet));
  writer.uint16(packet.keepAlive);
  writer.properties(packet.properties, properties, version);
  writer.text(packet.clientId);
  if (will !== undefined) {
    writer.properties(will.properties, willProperties, version);
    writer.text(will.topic);
    writer.binary(will.payload);
  }
  if (username !== undefined) writer.text(username);
  if (password !== undefined) writer.binary(password);
  return writer.bytes;
}

/** [MQTT 5.0, 3.1.2.3] */
function connectFlags({ cleanStart, will, username, password }: ConnectPacket): number {
  let flags = cleanStart ? 0x02 : 0;
  if (will !== undefined) flags |= 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0);
  if (password !== undefined) flags |= 0x40;
  if (username !== undefined) flags |= 0x80;
  return flags;
}

function encodeConnack(packet: ConnackPacket, version: ProtocolVersion): Buffer {
  const properties = lengthOf(packet.properties, version);
  const writer = new PacketWriter(0x20, 2 + withLength(properties, version));
  writer.byte(packet.sessionPresent && version !== 3 ? 1 : 0);
  writer.byte(packet.reasonCode);
  writer.properties(packet.properties, properties, version);
  return writer.bytes;
}

function encodePublish(packet: PublishPacket, version: ProtocolVersion): Buffer {
  const { topic, payload, qos } = packet;
  const properties = lengthOf(packet.properties, version);
  const packetIdLength = qos === 0 ? 0 : 2;
  const length = textLength(topic) + packetIdLength + withLength(properties, version) + payload.length;
  const writer = new PacketWriter(0x30 | (packet.dup ? 8 : 0) | (qos << 1) | (packet.retain ? 1 : 0), length);
  writer.text(topic);
  if (qos !== 0) writer.uint16(packet.packetId);
  writer.properties(packet.properties, properties, version);
  writer.raw(payload);
  return writer.bytes;
}

/** In the shortest of its three forms [MQTT 5.0, 3.4.2.1]. */
function encodeAcknowledgement(packet: AckPacket, version: ProtocolVersion): Buffer {
  const firstByte = (PacketType[packet.type] << 4) | (packet.type === 'pubrel' ? 0x02 : 0);
  const properties = lengthOf(packet.properties, version);
  const withProperties = properties > 0;
  const withReason = version === 5 && (withProperties || packet.reasonCode !== ReasonCode.success);
  const length = 2 + (withReason ? 1 : 0) + (withProperties ? withLength(properties, version) : 0);
  const writer = new PacketWriter(firstByte, length);
  writer.uint16(packet.packetId);
  if (withReason) writer.byte(packet.reasonCode);
  if (withProperties) writer.properties(packet.properties, properties, version);
  return writer.bytes;
}

function encodeSubscribe(packet: SubscribePacket, version: ProtocolVersion): Buffer {
  const properties = lengthOf(packet.properties, version);
  let length = 2 + withLength(properties, version);
  for (const { filter } of packet.subscriptions) length += textLength(filter) + 1;
  const writer = new PacketWriter(0x82, length);
  writer.uint16(packet.packetId);
  writer.properties(packet.properties, properties, version);
  for (const { filter, qos, noLocal, retainAsPublished, retainHandling } of packet.subscriptions) {
    writer.text(filter);
    const options = (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4);
    writer.byte(version === 5 ? qos | options : qos);
  }
  return writer.bytes;
}

function encodeSuback(packet: SubackPacket, version: ProtocolVersion): Buffer {
  const properties = lengthOf(packet.properties, version);
  const writer = new PacketWriter(0x90, 2 + withLength(properties, version) + packet.reasonCodes.length);
  writer.uint16(packet.packetId);
  writer.properties(packet.properties, properties, version);
  for (const reasonCode of packet.reasonCodes) writer.byte(subackCode(reasonCode, version));
  return writer.bytes;
}

/** MQTT 3.1.1 knows one failure, 3.1 none: all it can say is that QoS 0 is the most there will be. */
function subackCode(reasonCode: number, version: ProtocolVersion): number {
  if (version === 5 || reasonCode < 0x80) return reasonCode;
  return version === 4 ? 0x80 : 0;
}

function encodeUnsubscribe(packet: UnsubscribePacket, version: ProtocolVersion): Buffer {
  const properties = lengthOf(packet.properties, version);
  let length = 2 + withLength(properties, version);
  for (const filter of packet.filters) length += textLength(filter);
  const writer = new PacketWriter(0xa2, length);
  writer.uint16(packet.packetId);
  writer.properties(packet.properties, properties, version);
  for (const filter of packet.filters) writer.text(filter);
  return writer.bytes;
}

function encodeUnsuback(packet: UnsubackPacket, version: ProtocolVersion): Buffer {
  const properties = lengthOf(packet.properties, version);
  const reasonCodes = version === 5 ? packet.reasonCodes : [];
  const writer = new PacketWriter(0xb0, 2 + withLength(properties, version) + reasonCodes.length);
  writer.uint16(packet.packetId);
  writer.properties(packet.properties, properties, version);
  writer.raw(reasonCodes);
  return writer.bytes;
}

/** DISCONNECT and AUTH of MQTT 5.0 in the shortest of their three forms [MQTT 5.0, 3.14.2.1, 3.15.2.1]. */
function encodeReason(packet: DisconnectPacket | AuthPacket): Buffer {
  const properties = propertiesLength(packet.properties);
  const withReason = properties > 0 || packet.reasonCode !== ReasonCode.success;
  const length = (withReason ? 1 : 0) + (properties > 0 ? withLength(properties, 5) : 0);
  const writer = new PacketWriter(PacketType[packet.type] << 4, length);
  if (withReason) writer.byte(packet.reasonCode);
  if (properties > 0) writer.properties(packet.properties, properties, 5);
  return writer.bytes;
}

/**
 * CONNECT, the packet that says how everything after it is to be read. Faults are looked for in Mosquitto's order
 * and carry what CONNACK answers them, if any [mosq: CONNECT handling].
 *
 * What depends on the configuration is not checked here: accepted versions, QoS and retain of the will, the client
 * id's prefix, whether an empty client id is welcome.
 */
import { isValidTopicNameText } from '../topic/topic-name.js';
import { PacketError } from './packet-error.js';
import { PacketReader } from './packet-reader.js';
import type { ConnectPacket, Properties, ProtocolVersion, Qos, Will } from './packets.js';
import { readProperties } from './properties.js';
import { ConnectReturnCode, ReasonCode } from './reason-codes.js';

/** In the protocol level before MQTT 5.0: the peer is a bridge [mosq: try_private]. */
const BRIDGE_BIT = 0x80;

/** Bits of the connect flags [MQTT 5.0, 3.1.2.3]. */
const Flag = {
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willQos: 0x18,
  willRetain: 0x20,
  password: 0x40,
  username: 0x80,
} as const;

export function decodeConnect(
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): ConnectPacket | PacketError {
  const first = buffer[start]!;
  const reader = new PacketReader(buffer, bodyStart, end, 'CONNECT');
  const level = readProtocolLevel(reader);
  // A CONNECT with flags [MQTT-2.1.3-1]; MQTT 3.1 does not use them there [MQTT 3.1, 3.1].
  if (first !== 0x10 && (reader.error !== undefined || (level & ~BRIDGE_BIT) !== 3))
    return firstPacketNotConnect(first);
  if (reader.error !== undefined) return closing(reader.error);
  const version = (level & ~BRIDGE_BIT) as ProtocolVersion;
  const packet = readConnect(reader, version, (level & BRIDGE_BIT) !== 0);
  if (reader.error === undefined) return packet;
  return withAnswer(reader.error, version, packet.properties.maximumPacketSize);
}

/** A client must begin with CONNECT [MQTT-3.1.0-1]. */
function firstPacketNotConnect(firstByte: number): PacketError {
  const hex = firstByte.toString(16).toUpperCase().padStart(2, '0');
  return new PacketError(ReasonCode.protocolError, `First packet not CONNECT (${hex}).`, { silent: true });
}

/** No fault of a CONNECT is answered with DISCONNECT [MQTT-3.14.0-1]. */
function closing({ reasonCode, message, version, connackCode, packetSizeMax }: PacketError): PacketError {
  return new PacketError(reasonCode, message, { version, connackCode, packetSizeMax, silent: true });
}

/** What the client is told: in MQTT 5.0 the reason of any fault that is not silent, before it only a refused id. */
function withAnswer(
  error: PacketError,
  version: ProtocolVersion,
  packetSizeMax: number | undefined,
): PacketError {
  const { reasonCode, message, silent } = error;
  const connackCode = error.connackCode ?? (version === 5 && !silent ? reasonCode : undefined);
  return closing(new PacketError(reasonCode, message, { version, connackCode, packetSizeMax }));
}

/** Protocol name and level, which decide the version [MQTT-3.1.2-1, MQTT-3.1.2-2]. */
function readProtocolLevel(reader: PacketReader): number {
  const name = readProtocolName(reader);
  const level = reader.byte();
  if (reader.error !== undefined) return 0;
  const isBridge = (level & BRIDGE_BIT) !== 0;
  const version = level & ~BRIDGE_BIT;
  const message = `CONNECT with invalid protocol version (${level}).`;
  const reasonCode = ReasonCode.unsupportedProtocolVersion;
  if (version < 3 || version > 5 || (version === 5 && isBridge)) {
    reader.fail(new PacketError(reasonCode, message, { version: 5, connackCode: reasonCode }));
  } else if ((version === 3) !== (name === 'MQIsdp')) {
    const connackCode = ConnectReturnCode.unacceptableProtocolVersion;
    reader.fail(new PacketError(reasonCode, message, { version: 4, connackCode }));
  }
  return level;
}

function readProtocolName(reader: PacketReader): string {
  const bytes = reader.binary();
  if (reader.error !== undefined || (bytes.length !== 4 && bytes.length !== 6)) {
    closeWithout(reader, `CONNECT with incorrect protocol string length (${bytes.length}).`);
    return '';
  }
  const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  if (name !== 'MQTT' && name !== 'MQIsdp') {
    closeWithout(reader, `CONNECT with invalid protocol "${name.replace(/[^ -~]/g, '?')}".`);
  }
  return name;
}

/** The client is not answered, only cut off. */
function closeWithout(reader: PacketReader, message: string): void {
  reader.fail(new PacketError(ReasonCode.protocolError, message, { silent: true }));
}

function readConnect(reader: PacketReader, version: ProtocolVersion, bridge: boolean): ConnectPacket {
  const flags = reader.byte();
  checkFlags(reader, version, flags);
  const keepAlive = reader.uint16();
  const properties = version === 5 ? readProperties(reader, 'connect') : {};
  const willQos = (flags & Flag.willQos) >> 3;
  if (willQos === 3) {
    // [MQTT-3.1.2-12]
    reader.fail(new PacketError(ReasonCode.malformedPacket, 'CONNECT with invalid Will QoS (3).'));
  }
  checkAuthentication(reader, properties);
  const cleanStart = (flags & Flag.cleanStart) !== 0;
  const clientId = readClientId(reader, version, cleanStart);
  const packet: ConnectPacket = {
    type: 'connect',
    version,
    bridge,
    cleanStart,
    keepAlive,
    clientId,
    properties,
  };
  if ((flags & Flag.will) !== 0) {
    packet.will = readWill(reader, version, willQos as Qos, (flags & Flag.willRetain) !== 0);
  }
  if ((flags & Flag.username) !== 0 && isPresent(reader, version, 'username')) {
    packet.username = reader.text('username');
  }
  if ((flags & Flag.password) !== 0 && isPresent(reader, version, 'password')) {
    packet.password = reader.binary();
  }
  reader.expectEnd();
  return packet;
}

/** MQTT 3.1 leaves the reserved bit and the will's bits without a will undefined, so there they are not looked at. */
function checkFlags(reader: PacketReader, version: ProtocolVersion, flags: number): void {
  if (version !== 3 && (flags & Flag.reserved) !== 0) {
    closeWithout(reader, 'CONNECT with reserved connect flag set.'); // [MQTT-3.1.2-3]
  }
  if (version !== 3 && (flags & Flag.will) === 0 && (flags & (Flag.willQos | Flag.willRetain)) !== 0) {
    closeWithout(reader, 'CONNECT with Will QoS or Will Retain set, but no Will.'); // [MQTT-3.1.2-11, -13]
  }
  if (version !== 5 && (flags & Flag.password) !== 0 && (flags & Flag.username) === 0) {
    closeWithout(reader, 'CONNECT with password, but no username.'); // [MQTT 3.1.1, MQTT-3.1.2-22]
  }
}

/** [MQTT 5.0, 3.1.2.11.10] */
function checkAuthentication(reader: PacketReader, properties: Properties): void {
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    reader.violation('authentication-data, but no authentication-method');
  }
}

/** Before MQTT 5.0 an empty id asks for a clean session [MQTT 3.1.1, MQTT-3.1.3-7 and -8], and 3.1 has no empty ids. */
function readClientId(reader: PacketReader, version: ProtocolVersion, cleanStart: boolean): string {
  const clientId = reader.text('client id', ReasonCode.clientIdentifierNotValid);
  if (clientId !== '' || version === 5 || (version === 4 && cleanStart)) return clientId;
  const message =
    version === 3
      ? 'v3.1 CONNECT with zero length clientid.'
      : 'CONNECT with zero length clientid when forbidden.';
  const connackCode = ConnectReturnCode.identifierRejected;
  reader.fail(new PacketError(ReasonCode.clientIdentifierNotValid, message, { connackCode }));
  return '';
}

function readWill(reader: PacketReader, version: ProtocolVersion, qos: Qos, retain: boolean): Will {
  const properties = version === 5 ? readProperties(reader, 'will') : {};
  const topic = reader.text('will topic');
  if (topic === '') {
    reader.violation('empty will topic');
  } else if (!isValidTopicNameText(topic) || topic.startsWith('$CONTROL/')) {
    // Before MQTT 5.0 nothing can be told [MQTT 5.0, 3.2.2.2].
    const connackCode = version === 5 ? ReasonCode.topicNameInvalid : undefined;
    const message = 'CONNECT with invalid will topic.';
    reader.fail(new PacketError(ReasonCode.topicNameInvalid, message, { connackCode, silent: true }));
  }
  return { topic, payload: reader.binary(), qos, retain, properties };
}

/** A string that the flags announce [MQTT-3.1.2-17, MQTT-3.1.2-19]; MQTT 3.1 lets it be missing [MQTT 3.1, 3.1]. */
function isPresent(reader: PacketReader, version: ProtocolVersion, what: string): boolean {
  if (reader.hasMore || reader.error !== undefined) return true;
  if (version !== 3) closeWithout(reader, `CONNECT with missing ${what}.`);
  return false;
}

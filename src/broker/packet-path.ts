/**
 * Each packet of a connection to the path that works on it; acknowledgements, PINGREQ and DISCONNECT are dealt with
 * here.
 */
import { assertNever } from '../base/assert.js';
import { LogMask } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import { decodeInSteps, decodePacket } from '../mqtt/decode.js';
import { PacketError } from '../mqtt/packet-error.js';
import { type AckPacket, type Packet, PacketType } from '../mqtt/packets.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import { Counter } from '../sys/counters.js';
import type { Broker } from './broker.js';
import { receiveConnect } from './connect-path.js';
import { Connection } from './connection.js';
import type { Transport } from './ports.js';
import { receivePublish, releasePublication } from './publish-path.js';
import { receiveSubscribe, receiveUnsubscribe } from './subscribe-path.js';

/**
 * Sizes of whole packets of MQTT 5.0 beyond which they are no honest ones; older versions have no properties that
 * could make them so long [mosq: built-in packet limits].
 */
const LONG_SIZE_MAX = 100_000;
const SHORT_SIZE_MAX = 10_000;

/** SUBSCRIBE, UNSUBSCRIBE and AUTH: packet types of which long ones are honest. */
const LONG_TYPES = (1 << PacketType.subscribe) | (1 << PacketType.unsubscribe) | (1 << PacketType.auth);

/** Bytes of a SUBSCRIBE or UNSUBSCRIBE that are decoded in one turn of the event loop: up to a millisecond. */
const FILTER_BYTES_A_TURN = 8192;

const FILTER_TYPES = (1 << PacketType.subscribe) | (1 << PacketType.unsubscribe);

/** A connection of the broker over a transport that begins. */
export function openConnection(broker: Broker, transport: Transport): Connection {
  return new Connection(broker, transport, receiveFrame);
}

/** @returns false to stop reading frames */
function receiveFrame(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): boolean {
  const { broker } = connection;
  broker.counters[Counter.packetsReceived]! += 1;
  if (connection.isConnected) {
    if (buffer[start]! >> 4 === PacketType.publish) {
      receivePublish(connection, buffer, start, bodyStart, end);
      return connection.goesOn;
    }
    receivePacket(connection, buffer, start, bodyStart, end);
    return connection.goesOn;
  }
  if (connection.beginConnect()) receiveConnect(connection, buffer, start, bodyStart, end);
  return connection.isConnected;
}

function receivePacket(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  if (
    end - bodyStart === 2 &&
    receiveShortAck(connection, buffer[start]!, (buffer[bodyStart]! << 8) | buffer[end - 1]!)
  ) {
    return;
  }
  const size = end - start;
  const isLong = ((LONG_TYPES >> (buffer[start]! >> 4)) & 1) !== 0;
  if (connection.version === 5 && size > (isLong ? LONG_SIZE_MAX : SHORT_SIZE_MAX)) {
    connection.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.oversizePacket });
    return;
  }
  if (buffer[start]! >> 4 === PacketType.connect) {
    refuseSecondConnect(connection);
    return;
  }
  if (size > FILTER_BYTES_A_TURN && ((FILTER_TYPES >> (buffer[start]! >> 4)) & 1) !== 0) {
    receiveInSteps(connection, buffer, start, bodyStart, end);
    return;
  }
  receiveDecoded(connection, decodePacket(buffer, start, bodyStart, end, connection.version, 'client'));
}

/** A client of MQTT 3 may send a SUBSCRIBE with a million filters, and they are decoded before one is looked at. */
function receiveInSteps(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  const packet = new Uint8Array(buffer.subarray(start, end));
  const decode = decodeInSteps(packet, bodyStart - start, connection.version, FILTER_BYTES_A_TURN);
  connection.inSteps(() => {
    const decoded = decode();
    if (decoded === null) return false;
    receiveDecoded(connection, decoded);
    return true;
  });
}

function receiveDecoded(connection: Connection, packet: Packet | PacketError): void {
  if (packet instanceof PacketError) connection.refusePacket(packet);
  else handle(connection, packet);
}

/** Whatever is in it, and without DISCONNECT, as Mosquitto does; the session stays [MQTT-3.1.0-2]. */
function refuseSecondConnect(connection: Connection): void {
  const { remoteAddress, remotePort } = connection.transport;
  connection.broker.log.write('notice', lines.multipleConnects(remoteAddress, remotePort));
  connection.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.protocolError });
}

/**
 * An acknowledgement that is nothing but its packet id, as nearly all are (hot path).
 * @returns false for anything else, or if something is wrong with it
 */
function receiveShortAck(connection: Connection, first: number, packetId: number): boolean {
  if (packetId === 0) return false;
  switch (first) {
    case 0x40:
      receiveAck(connection, 'puback', packetId, 0);
      return true;
    case 0x50:
      receiveAck(connection, 'pubrec', packetId, 0);
      return true;
    case 0x62:
      receiveAck(connection, 'pubrel', packetId, 0);
      return true;
    case 0x70:
      receiveAck(connection, 'pubcomp', packetId, 0);
      return true;
    default:
      return false;
  }
}

function receiveAck(
  connection: Connection,
  type: AckPacket['type'],
  packetId: number,
  reasonCode: number,
): void {
  const { session } = connection;
  if ((connection.broker.log.mask & LogMask.debug) !== 0) logAck(connection, type, packetId, reasonCode);
  switch (type) {
    case 'puback':
      beginRemoval(connection);
      if (session.outbound.puback(packetId)) connection.sender.pump();
      else refuseWrongAck(connection, type, packetId);
      return;
    case 'pubrec':
      receivePubrec(connection, packetId, reasonCode);
      return;
    case 'pubrel':
      releasePublication(connection, packetId);
      return;
    case 'pubcomp':
      beginRemoval(connection);
      if (session.outbound.pubcomp(packetId)) connection.sender.pump();
      else refuseWrongAck(connection, type, packetId);
      return;
    default:
      assertNever(type);
  }
}

/** A stored queue that is emptied must not become one transaction. */
function beginRemoval({ session, broker }: Connection): void {
  if (session.storage !== null) broker.store.mark();
}

/** PUBREL follows when it is stored that PUBREC came: the message is not sent again then. */
function receivePubrec(connection: Connection, packetId: number, reasonCode: number): void {
  const { session, broker } = connection;
  const mark = broker.store.mark();
  if (!session.outbound.pubrec(packetId, reasonCode) && session.outbound.isInFlight(packetId)) {
    refuseWrongAck(connection, 'pubrec', packetId);
  } else if (reasonCode >= 0x80) {
    connection.sender.pump(); // no PUBREL follows, whether the packet id is known or not [MQTT-4.3.3-4]
  } else {
    // An unknown id is answered all the same, so that the client can go on [MQTT-4.3.3-5].
    connection.acknowledgements.acknowledge(mark, 0, 'pubrel', packetId, 0);
  }
}

/**
 * An acknowledgement that no message waits for. If one in flight waits for another kind, the client has lost count:
 * ignored, the message would stay in flight for ever [mosq: protocol fault table]. Unknown packet ids are ignored.
 */
function refuseWrongAck(
  connection: Connection,
  type: 'puback' | 'pubrec' | 'pubcomp',
  packetId: number,
): void {
  if (!connection.session.outbound.isInFlight(packetId)) return;
  connection.fault(ReasonCode.protocolError, lines.protocolFault.wrongAck(type, packetId));
}

function handle(connection: Connection, packet: Packet): void {
  switch (packet.type) {
    case 'puback':
    case 'pubrec':
    case 'pubrel':
    case 'pubcomp':
      receiveAck(connection, packet.type, packet.packetId, packet.reasonCode);
      return;
    case 'subscribe':
      receiveSubscribe(connection, packet);
      return;
    case 'unsubscribe':
      receiveUnsubscribe(connection, packet);
      return;
    case 'pingreq':
      connection.spend(1);
      if (connection.broker.logs('debug'))
        connection.broker.log.write('debug', lines.receivedPingreq(connection.clientId));
      connection.sender.send({ type: 'pingresp' });
      if (connection.broker.logs('debug'))
        connection.broker.log.write('debug', lines.sendingPingresp(connection.clientId));
      return;
    case 'disconnect':
      receiveDisconnect(connection, packet.reasonCode, packet.properties.sessionExpiryInterval);
      return;
    case 'auth':
      // Re-authentication without an authentication method in CONNECT [MQTT-4.12.1-1].
      connection.fault(ReasonCode.protocolError, 'AUTH packet without authentication method.');
      return;
    default:
      connection.fault(ReasonCode.protocolError, `${packet.type.toUpperCase()} packet from a client.`);
  }
}

function receiveDisconnect(
  connection: Connection,
  reasonCode: number,
  sessionExpiry: number | undefined,
): void {
  const { broker, session } = connection;
  if (broker.logs('debug')) broker.log.write('debug', lines.receivedDisconnect(connection.clientId));
  if (sessionExpiry !== undefined) {
    if (session.expiryInterval === 0 && sessionExpiry !== 0) {
      // [MQTT-3.14.2-2]
      const text = lines.protocolFault.sessionExpiryMismatch(sessionExpiry, 0);
      connection.fault(ReasonCode.protocolError, text);
      return;
    }
    session.expiryInterval = sessionExpiry;
  }
  // Only an ordinary end deletes the will [MQTT-3.14.4-3]; Mosquitto deletes it at any code but 0x04.
  connection.close({ kind: 'disconnect packet', withWill: reasonCode !== ReasonCode.normalDisconnection });
}

function logAck(connection: Connection, type: AckPacket['type'], packetId: number, reasonCode: number): void {
  const line = {
    puback: lines.receivedPuback,
    pubrec: lines.receivedPubrec,
    pubrel: lines.receivedPubrel,
    pubcomp: lines.receivedPubcomp,
  }[type];
  connection.broker.log.write('debug', line(connection.clientId, packetId, reasonCode));
}

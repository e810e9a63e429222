/**
 * From CONNECT to CONNACK: checks in Mosquitto's order, authentication, the claim to the client id, takeover of an
 * older connection, and the session that is resumed or made.
 */
import { isUtf8 } from 'node:buffer';
import { OPEN_ACL } from '../auth/acl-check.js';
import { asBuffer } from '../base/as-buffer.js';
import type { Settings } from '../config/settings.js';
import * as lines from '../log/mosquitto-lines.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import { decodePacket } from '../mqtt/decode.js';
import { encodePacket } from '../mqtt/encode.js';
import { PacketError } from '../mqtt/packet-error.js';
import type { ConnectPacket, Properties, ProtocolVersion } from '../mqtt/packets.js';
import { ReasonCode, toConnectReturnCode } from '../mqtt/reason-codes.js';
import type { ClaimAnswer } from '../routing/messages.js';
import { packedRecords, RecordFlag } from '../routing/wire.js';
import { NEVER, type Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { isValidTopicNameText } from '../topic/topic-name.js';
import type { Connection, ConnectResult } from './connection.js';
import type { Admission, Login } from './ports.js';
import { removeExpired, removeSession, storeConnected } from './session-path.js';
import { publishWill } from './will-path.js';
import { type PreparedWill, prepareWill, type WillOwner, willRecord } from './wills.js';

/** `max_inflight_messages` at which no limit is announced [mosq: max_inflight_messages]. */
const UNLIMITED = 0xffff;

export function receiveConnect(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  connection.broker.counters[Counter.connects]! += 1;
  const packet = decodePacket(buffer, start, bodyStart, end, connection.version, 'client');
  if (packet instanceof PacketError) {
    if (packet.connackCode !== undefined) {
      const { version = connection.version, connackCode, packetSizeMax } = packet;
      sendRefusal(connection, version, connackCode, packetSizeMax);
    }
    connection.refusePacket(packet);
    return;
  }
  if (packet.type !== 'connect') return;
  // An own copy, for when the claim is answered: the connection may have to move with all it has read.
  const frame = new Uint8Array(buffer.subarray(start, end));
  const assignedId = packet.clientId === '';
  const refusal = refusalOf(connection, packet);
  connection.presentedId = packet.clientId;
  if (refusal !== null) {
    refuse(connection, packet, refusal.reasonCode, refusal.why);
    return;
  }
  connection.holdInput();
  logIn(connection, packet, (admission) => {
    packet.clientId = admission.clientId;
    if (refusesConnack(connection, packet, assignedId)) return;
    claim(connection, packet, frame, assignedId);
  });
}

/**
 * Closes a connection whose client does not take a packet as large as its CONNACK [MQTT-3.1.2-24]: before it displaces
 * an older connection, or its will the will of that one.
 */
function refusesConnack(connection: Connection, packet: ConnectPacket, assignedId: boolean): boolean {
  const { maximumPacketSize } = packet.properties;
  if (maximumPacketSize === undefined) return false;
  const properties = connackProperties(connection, packet, assignedId);
  const connack = { type: 'connack', sessionPresent: false, reasonCode: 0, properties } as const;
  const { length } = encodePacket(connack, packet.version);
  if (length <= maximumPacketSize) return false;
  const text = lines.protocolFault.connackTooLarge(length, maximumPacketSize);
  connection.broker.log.write('information', lines.protocolError(packet.clientId, text));
  connection.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.oversizePacket });
  return true;
}

interface Refusal {
  /** MQTT 5.0; translated for older versions. 0 = the connection is closed without CONNACK. */
  reasonCode: number;
  why: string;
}

/** What the listener and the options do not allow; also gives a client without an id its own. */
function refusalOf(connection: Connection, packet: ConnectPacket): Refusal | null {
  const { settings } = connection.broker;
  const { listener } = connection;
  const { version } = packet;
  if (!listener.acceptProtocolVersions.includes(version)) {
    return { reasonCode: ReasonCode.unsupportedProtocolVersion, why: DisconnectReason.protocolError };
  }
  const { will } = packet;
  if (will?.retain && !settings.retainAvailable) {
    return {
      reasonCode: version === 5 ? ReasonCode.retainNotSupported : 0,
      why: DisconnectReason.disallowedFeature,
    };
  }
  if (will !== undefined && will.qos > listener.maxQos) {
    return {
      reasonCode: version === 5 ? ReasonCode.qosNotSupported : 0,
      why: DisconnectReason.disallowedFeature,
    };
  }
  if (packet.clientId === '') {
    if (!listener.allowZeroLengthClientid) {
      const reasonCode = version === 5 ? ReasonCode.unspecifiedError : ReasonCode.clientIdentifierNotValid;
      connection.broker.log.write(
        'information',
        lines.protocolError(connection.address, lines.protocolFault.emptyClientIdForbidden()),
      );
      return { reasonCode, why: DisconnectReason.protocolError };
    }
    packet.clientId = listener.autoIdPrefix + idOf(connection.broker.randomBytes(16));
  }
  if (!connection.broker.store.knowsSessions && (expiryOf(packet) > 0 || !packet.cleanStart)) {
    return { reasonCode: ReasonCode.serverUnavailable, why: 'its session cannot be read at present' };
  }
  if (will !== undefined && !isValidTopicNameText((listener.mountPoint ?? '') + will.topic)) {
    // The topic alone is one, or the packet would not have been decoded.
    return {
      reasonCode: version === 5 ? ReasonCode.topicNameInvalid : 0,
      why: DisconnectReason.protocolError,
    };
  }
  if (will?.topic.startsWith('$CONTROL/')) {
    // A request to the broker that nobody waits for [mosq: $CONTROL].
    return { reasonCode: 0, why: DisconnectReason.protocolError };
  }
  const { messageSizeLimit } = settings;
  if (will !== undefined && messageSizeLimit > 0 && will.payload.length > messageSizeLimit) {
    const reasonCode = version === 5 ? ReasonCode.packetTooLarge : ReasonCode.notAuthorized;
    return { reasonCode, why: DisconnectReason.oversizePayload };
  }
  if (will?.properties.payloadFormatIndicator === 1 && !isUtf8(will.payload)) {
    return { reasonCode: ReasonCode.payloadFormatInvalid, why: DisconnectReason.payloadFormatInvalid };
  }
  const { maxKeepalive } = settings;
  if (version !== 5 && maxKeepalive > 0 && (packet.keepAlive === 0 || packet.keepAlive > maxKeepalive)) {
    return { reasonCode: ReasonCode.clientIdentifierNotValid, why: DisconnectReason.protocolError };
  }
  return null;
}

/** 16 random bytes in the form of a UUID, as Mosquitto does [mosq: auto_id_prefix]. */
function idOf(bytes: Uint8Array): string {
  const hex = asBuffer(bytes).toString('hex').toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** Asks whether the client may connect; the answer may take a while, and the connection may be gone by then. */
function logIn(
  connection: Connection,
  packet: ConnectPacket,
  admitted: (admission: Admission & { admitted: true }) => void,
): void {
  const login = loginOf(connection, packet);
  const answer = connection.broker.access.login(login);
  if (answer instanceof Promise)
    answer.then(
      (admission) => connection.guarded(() => decided(connection, packet, login, admission, admitted)),
      (error) => connection.failed(error),
    );
  else decided(connection, packet, login, answer, admitted);
}

/** The connection holds it for a reload: it is made in a function of its own, so that `isGone` holds nothing else. */
function loginOf(connection: Connection, packet: ConnectPacket): Login {
  const { transport } = connection;
  const { clientId, username, password } = packet;
  const { listener, remoteAddress: address } = transport;
  const identity = transport.tls?.identity;
  const { authenticationMethod } = packet.properties;
  const isGone = () => connection.isClosed;
  return {
    listener,
    request: { clientId, username, password, authenticationMethod, identity, address, isGone },
  };
}

function decided(
  connection: Connection,
  packet: ConnectPacket,
  login: Login,
  admission: Admission,
  admitted: (admission: Admission & { admitted: true }) => void,
): void {
  if (connection.isClosed) return;
  const { broker } = connection;
  const { clientId } = login.request;
  if (admission.admitted) {
    connection.admitted({ login, admission });
    admitted(admission);
    return;
  }
  const { reasonCode, why } = admission;
  if (broker.settings.connectionMessages) {
    broker.log.write('notice', lines.loginRefused(clientId, connection.address, why));
  }
  refuse(
    connection,
    packet,
    reasonCode,
    reasonCode === ReasonCode.badAuthenticationMethod
      ? DisconnectReason.disallowedFeature
      : lines.disconnectReason(reasonCode),
  );
}

/** Asks main for the client id; the answer may be that its session lives on another worker. */
function claim(connection: Connection, packet: ConnectPacket, frame: Uint8Array, assignedId: boolean): void {
  const { broker } = connection;
  const { clientId, cleanStart } = packet;
  const will = packet.will === undefined ? null : prepareWill(packet.will, willOwner(connection, clientId));
  const id = broker.directory.claim(
    {
      clientId,
      cleanStart,
      durable: expiryOf(packet) > 0,
      will: will === null ? null : willForMain(connection, clientId, will),
    },
    (answer) =>
      connection.guarded(() => {
        if (connection.isClosed) abandon(connection, clientId, answer);
        else if (answer.verdict === 'elsewhere') moveTo(connection, answer.worker, frame);
        else if (answer.verdict === 'full') refuseFull(connection, packet);
        else if (broker.memory.refusesSessions && !broker.sessions.has(clientId)) {
          abandon(connection, clientId, answer);
          refuseForMemory(connection, packet);
        } else broker.withStored(clientId, () => accept(connection, packet, will, assignedId));
      }),
  );
  if (will !== null) will.claim = id;
}

function willOwner(connection: Connection, clientId: string): WillOwner {
  const { transport, username, listener, listenerKey } = connection;
  const mountPoint = listener.mountPoint ?? '';
  return { clientId, listener: transport.listener, listenerKey, username, mountPoint };
}

/** What main publishes if this worker dies: nothing that the client may not publish itself. */
function willForMain(
  connection: Connection,
  clientId: string,
  { publication, listener, username }: PreparedWill,
): Uint8Array | null {
  const acl = connection.broker.access.aclOf(listener, username, clientId) ?? OPEN_ACL;
  if (!acl.canWrite(publication.topic)) return null;
  return packedRecords([publication], RecordFlag.deliver | (publication.retain ? RecordFlag.setRetained : 0));
}

/** The client is gone before its claim was answered: give the id back unless a session needs it. */
function abandon(connection: Connection, clientId: string, answer: ClaimAnswer): void {
  const { broker } = connection;
  if (answer.verdict !== 'granted') return;
  if (broker.sessions.has(clientId)) broker.directory.willDone(clientId, answer.id);
  else broker.directory.sessionEnded(clientId);
}

function moveTo(connection: Connection, worker: number, frame: Uint8Array): void {
  const received = Buffer.concat([frame, connection.unreadInput()]);
  connection.passedOn();
  connection.broker.directory.pass(worker, connection.transport, received);
}

/** [mosq: global_max_clients] */
function refuseFull(connection: Connection, packet: ConnectPacket): void {
  refuse(connection, packet, packet.version === 5 ? ReasonCode.serverBusy : 0, DisconnectReason.serverBusy);
}

/** [memory_limit] */
function refuseForMemory(connection: Connection, packet: ConnectPacket): void {
  const { quotaExceeded, serverUnavailable } = ReasonCode;
  refuse(
    connection,
    packet,
    packet.version === 5 ? quotaExceeded : serverUnavailable,
    DisconnectReason.outOfMemory,
  );
}

function refuse(connection: Connection, packet: ConnectPacket, reasonCode: number, why: string): void {
  const { maximumPacketSize } = packet.properties;
  if (reasonCode !== 0) sendRefusal(connection, packet.version, reasonCode, maximumPacketSize);
  connection.close({ kind: 'refused', reasonCode: 0, reason: why });
}

/**
 * The CONNACK of a refusal; the session present flag is 0 [MQTT-3.2.2-6].
 * @param packetSizeMax bytes; a client that takes less gets none [MQTT-3.1.2-24]
 */
function sendRefusal(
  connection: Connection,
  version: ProtocolVersion,
  reasonCode: number,
  packetSizeMax = Number.MAX_SAFE_INTEGER,
): void {
  const v5 = version === 5;
  const code = v5 || reasonCode < 0x80 ? reasonCode : toConnectReturnCode(reasonCode);
  const properties: Properties = {};
  if (v5 && connection.listener.maxQos < 2) properties.maximumQos = connection.listener.maxQos as 0 | 1;
  const connack = { type: 'connack', sessionPresent: false, reasonCode: code, properties } as const;
  const bytes = encodePacket(connack, version);
  if (bytes.length > packetSizeMax) return;
  connection.out.append(bytes);
  if (connection.broker.logs('debug')) {
    connection.broker.log.write('debug', lines.sendingConnack(refusedName(connection), false, code));
  }
}

function refusedName({ presentedId, transport }: Connection): string {
  return presentedId === '' ? transport.remoteAddress : presentedId;
}

/** Seconds that the session is to outlive the connection. */
function expiryOf(packet: ConnectPacket): number {
  if (packet.version === 5) return packet.properties.sessionExpiryInterval ?? 0;
  return packet.cleanStart ? 0 : NEVER;
}

/** The client id is ours: take over, make or resume the session, answer, send what waits. */
function accept(
  connection: Connection,
  packet: ConnectPacket,
  will: PreparedWill | null,
  assignedId: boolean,
): void {
  const { broker } = connection;
  broker.refreshNow();
  const resumed = takeOver(connection, packet);
  const session = resumed ?? broker.createSession(packet.clientId, packet.version);
  session.version = packet.version;
  session.username = connection.username;
  session.listener = connection.transport.listener;
  session.expiryInterval = expiryOf(packet);
  storeConnected(broker, session, {
    isSending: true,
    will: will === null ? undefined : willRecord(will, 0),
  });
  if (!packet.cleanStart) broker.changed();
  connection.connected(resultOf(connection, packet, session, will));
  logConnected(connection, packet);
  const mark = broker.store.markWithin();
  if (resumed === null) broker.store.relyOnEnd(packet.clientId);
  if (broker.store.changedSince(mark)) {
    // Another connection of the client finds this one meanwhile, and ends it.
    session.attach(connection.sender, broker.now);
    broker.store.whenSettled(mark, () => answer(connection, packet, false, assignedId));
  } else {
    answer(connection, packet, resumed !== null && packet.version !== 3, assignedId);
  }
}

/** CONNACK, once it is stored that an earlier session of the client is over: it must not come back after a kill. */
function answer(
  connection: Connection,
  packet: ConnectPacket,
  sessionPresent: boolean,
  assignedId: boolean,
): void {
  if (!connection.isConnected) return;
  const { broker } = connection;
  const properties = connackProperties(connection, packet, assignedId);
  connection.sender.send({ type: 'connack', sessionPresent, reasonCode: 0, properties });
  if (broker.logs('debug')) {
    broker.log.write('debug', lines.sendingConnack(connection.clientId, sessionPresent, 0));
  }
  connection.start();
}

/**
 * Ends an older connection of the client id. @returns the session that goes on, `null` if a new one begins
 * [MQTT-3.1.2-4], [MQTT-3.1.2-5]
 */
function takeOver(connection: Connection, packet: ConnectPacket): Session | null {
  const { broker } = connection;
  const session = broker.sessions.get(packet.clientId);
  if (session === undefined) return null;
  if (broker.hasExpired(session)) {
    removeExpired(broker, session);
    return null;
  }
  const goesOn = !packet.cleanStart && session.outlivesConnection;
  session.peer?.takenOver(goesOn);
  // A delay that is over, and a session that is, are seen here if the client comes before the next second.
  const isDue = !goesOn || broker.delayedWills.isDue(packet.clientId, broker.now);
  const delayed = broker.delayedWills.take(packet.clientId);
  if (delayed !== undefined) {
    if (isDue) publishWill(broker, packet.clientId, delayed);
    else broker.directory.willDone(packet.clientId, delayed.claim);
  }
  if (goesOn) return session;
  removeSession(broker, session);
  return null;
}

/** What the connection is to be from here on. */
function resultOf(
  connection: Connection,
  packet: ConnectPacket,
  session: Session,
  will: PreparedWill | null,
): ConnectResult {
  const { settings } = connection.broker;
  const { version, clientId, bridge: isBridge, properties } = packet;
  const window = windowOf(settings);
  return {
    version,
    clientId,
    session,
    will,
    isBridge,
    keepAlive: keepAliveOf(settings, packet),
    receiveMaximum: version === 5 ? window : UNLIMITED,
    limits: {
      sendMaximum: properties.receiveMaximum ?? window,
      packetSizeMax: properties.maximumPacketSize ?? Number.MAX_SAFE_INTEGER,
      aliasesMax: Math.min(properties.topicAliasMaximum ?? 0, connection.listener.maxTopicAliasBroker),
    },
  };
}

/** How many QoS 1 and 2 messages may be unacknowledged, in each direction. */
function windowOf({ maxInflightMessages }: Settings): number {
  return maxInflightMessages <= 0 ? UNLIMITED : maxInflightMessages;
}

/** Seconds; 0 = off. */
function keepAliveOf({ maxKeepalive }: Settings, { keepAlive }: ConnectPacket): number {
  const isTooLong = maxKeepalive > 0 && (keepAlive === 0 || keepAlive > maxKeepalive);
  return isTooLong ? maxKeepalive : keepAlive;
}

/** In Mosquitto's order, in which they are written. */
function connackProperties(connection: Connection, packet: ConnectPacket, assignedId: boolean): Properties {
  const { listener } = connection;
  const { settings } = connection.broker;
  const properties: Properties = {};
  if (packet.version !== 5) return properties;
  const keepAlive = keepAliveOf(settings, packet);
  if (keepAlive !== packet.keepAlive) properties.serverKeepAlive = keepAlive;
  if (listener.maxTopicAlias > 0) properties.topicAliasMaximum = listener.maxTopicAlias;
  if (assignedId) properties.assignedClientIdentifier = packet.clientId;
  if (!settings.retainAvailable) properties.retainAvailable = 0;
  if (settings.maxPacketSize > 0) properties.maximumPacketSize = settings.maxPacketSize;
  const receiveMaximum = windowOf(settings);
  if (receiveMaximum !== UNLIMITED) properties.receiveMaximum = receiveMaximum;
  if (listener.maxQos < 2) properties.maximumQos = listener.maxQos as 0 | 1;
  return properties;
}

function logConnected(connection: Connection, packet: ConnectPacket): void {
  const { broker, transport, clientId, username } = connection;
  const { log } = broker;
  if (broker.settings.connectionMessages) {
    const { version, cleanStart, keepAlive, bridge } = packet;
    const { remoteAddress: address, remotePort: port } = transport;
    const client = { address, port, clientId, version, cleanStart, keepAlive, username, bridge };
    log.write('notice', lines.clientConnected(client));
    const { tls } = transport;
    // The TLS that a proxy has ended was logged when its header came.
    if (tls !== null && tls.identity?.kind !== 'proxy')
      log.write('notice', lines.negotiatedTls(clientId, tls.protocol, tls.cipher));
  }
  if (!broker.logs('debug')) return;
  const { will } = packet;
  if (will === undefined) {
    log.write('debug', lines.noWillSpecified());
  } else {
    const { payload, retain, qos, topic } = will;
    for (const line of lines.willSpecified({ payloadBytes: payload.length, retain, qos, topic })) {
      log.write('debug', line);
    }
  }
}

/**
 * One network connection from its first byte to its end.
 *
 *   new ──CONNECT──► claiming ──claim granted──► connected ──┐
 *    │                  │ (session elsewhere: passed on)     │ DISCONNECT, fault, keepalive, takeover, EOF
 *    └──────────────────┴────────────────────────────────────┴──► closed
 *
 * In `claiming` nothing is read: what follows the CONNECT waits in the framer.
 */
import type { TopicAcl } from '../auth/acl-check.js';
import { assert } from '../base/assert.js';
import { listenerKey } from '../config/listener-key.js';
import type { ListenerSettings } from '../config/settings.js';
import * as lines from '../log/mosquitto-lines.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import { Framer } from '../mqtt/framer.js';
import { OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import type { PacketError } from '../mqtt/packet-error.js';
import { type AckPacket, PACKET_NAMES, PacketType, type ProtocolVersion } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import type { ReceivedAliases } from '../mqtt/topic-aliases.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { Acknowledgements, type AckTarget } from './acknowledgements.js';
import type { Broker, OpenConnection } from './broker.js';
import {
  type CloseCause,
  type EndingConnection,
  leaveSession,
  logEnd,
  sendDisconnect,
} from './connection-end.js';
import type { AdmittedLogin, Transport } from './ports.js';
import { Sender, type SendingConnection, type SendLimits } from './sender.js';
import { publishWill } from './will-path.js';
import type { PreparedWill } from './wills.js';

/** Milliseconds a client may take until its CONNECT is complete [mosq: 30 s]. */
const CONNECT_TIMEOUT_MS = 30_000;

/** Milliseconds without a PUBREL after which a client beyond its receive maximum is closed. */
const EXCESS_MS = 5000;

/** Bytes of the largest CONNECT [mosq: built-in packet limits]. */
export const CONNECT_SIZE_MAX = 100_000;

/** The first byte of a TLS record that begins a handshake. */
const TLS_HANDSHAKE = 0x16;

/**
 * What one client's packets may cost in a turn of the event loop, beside acknowledgements and PUBLISH to topics that are
 * cheap to route: about a millisecond. A PINGREQ costs one unit.
 */
const UNITS_A_TURN = 256;

/** Why nothing is read from a client. */
const Hold = {
  /** A link to another worker is congested. */
  congestion: 1,
  /** The client does not read the answers to what it sends. */
  answers: 2,
  /** It has used up its share of this turn. */
  turn: 4,
  /** Its client occupies too much memory: it is read from once a second. */
  memory: 8,
} as const;

const NO_MOUNT_POINT = new Uint8Array(0);

type State = 'new' | 'claiming' | 'connected' | 'closed';

/** From when on a client beyond its receive maximum has released nothing. */
interface Excess {
  /** Milliseconds since the epoch. */
  since: number;
  /** How many messages the session had seen released by then. */
  released: number;
  /** How often more messages came that the client sent after it had the answers to all before. */
  repeated: number;
  /** Bytes that had been sent to the client when they last came. */
  sent: number;
}

export type FrameReceiver = (
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
) => boolean;

/** What a CONNECT leads to if it is accepted. */
export interface ConnectResult {
  version: ProtocolVersion;
  clientId: string;
  session: Session;
  will: PreparedWill | null;
  /** Another broker's bridge [mosq: try_private]. */
  isBridge: boolean;
  /** Seconds; 0 = off. */
  keepAlive: number;
  /** How many QoS 2 messages of the client may wait for PUBREL. */
  receiveMaximum: number;
  /** What the client takes. */
  limits: SendLimits;
}

export class Connection implements OpenConnection, AckTarget, EndingConnection, SendingConnection {
  /** In `Broker.connections`. */
  slot = -1;
  readonly broker: Broker;
  readonly transport: Transport;
  readonly listener: ListenerSettings;
  /** The listener as it is stored with the client's session and messages. */
  readonly listenerKey: string;
  readonly out: OutgoingBuffer;
  readonly sender: Sender;
  readonly mountPoint: Uint8Array;
  version: ProtocolVersion = 4;
  clientId = '';
  /** What CONNECT called the client, or the id that the broker has chosen, for the log; '' before. */
  presentedId = '';
  username: string | undefined = undefined;
  /** How the client was let in; `null` until then. */
  admittedLogin: AdmittedLogin | null = null;
  /** Its rights; `null` = everything but the broker's own topics. */
  acl: TopicAcl | null = null;
  will: PreparedWill | null = null;
  /** The topic aliases that the client has set; `null` until it sets one. */
  aliases: ReceivedAliases<Uint8Array> | null = null;
  /** How many QoS 2 messages of the client may wait for PUBREL. */
  receiveMaximum = 0xffff;
  /** Seconds; 0 = off. */
  keepAlive = 0;
  /** Another broker's bridge [mosq: try_private]. */
  isBridge = false;
  #state: State = 'new';
  /** CONNACK is sent; a connected client waits for that until the end of its earlier session is stored. */
  #isAnswered = false;
  #session: Session | null = null;
  readonly #framer: Framer;
  /** Milliseconds since the epoch. */
  #lastReceivedAt: number;
  readonly #connectDeadline: number;
  readonly acknowledgements: Acknowledgements;
  /** Why nothing is read at the moment: bits of `Hold`. */
  #holds = 0;
  /** Bit n: the link to worker n was congested when reading stopped. */
  #pausedFor = 0;
  /** What the packets of this turn have cost, in the units of `UNITS_A_TURN`. */
  #spent = 0;
  /** Nothing more of this client is worked on in this turn. */
  #waitsForTurn = false;
  /** The rest of a packet's work; see `inSteps`. */
  #step: (() => boolean) | null = null;
  /** It has more QoS 2 messages unreleased than it may. */
  #excess: Excess | null = null;
  #hasReceived = false;
  /** Bytes that had been sent to the client when it reached its receive maximum. */
  #sentAtMaximum = 0;
  /** Of the packet that came last. */
  #packetType = 0;

  /** @param receiveFrame takes each packet; returns false to stop reading */
  constructor(broker: Broker, transport: Transport, receiveFrame: FrameReceiver) {
    this.broker = broker;
    this.transport = transport;
    this.listener = broker.settings.listeners[transport.listener]!;
    this.listenerKey = listenerKey(this.listener);
    const { mountPoint } = this.listener;
    this.mountPoint = mountPoint === undefined ? NO_MOUNT_POINT : Buffer.from(mountPoint);
    this.out = new OutgoingBuffer(transport, broker.flushList);
    this.sender = new Sender(broker, this.out, this.mountPoint, this);
    this.#framer = new Framer((buffer, start, bodyStart, end) => {
      this.#packetType = buffer[start]! >> 4;
      return receiveFrame(this, buffer, start, bodyStart, end);
    });
    this.#framer.maximumPacketSize = Math.min(
      broker.settings.maxPacketSize || CONNECT_SIZE_MAX,
      CONNECT_SIZE_MAX,
    );
    this.#lastReceivedAt = broker.refreshNow();
    this.#connectDeadline = this.#lastReceivedAt + CONNECT_TIMEOUT_MS;
    this.acknowledgements = new Acknowledgements(broker, this, () => this.refuse(ReasonCode.serverBusy));
    broker.connections.add(this);
  }

  /** The session of a connected client. */
  get session(): Session {
    return this.#session!;
  }

  get openSession(): Session | null {
    return this.isConnected ? this.#session : null;
  }

  get unreadBytes(): number {
    return this.#framer.pendingBytes;
  }

  get bufferedBytes(): number {
    return this.unreadBytes + this.out.waitingBytes;
  }

  get willBytes(): number {
    return this.will === null ? 0 : 2 * this.will.publication.payloadLength;
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** Milliseconds since the epoch. */
  get acceptedAt(): number {
    return this.#connectDeadline - CONNECT_TIMEOUT_MS;
  }

  /** When bytes came last, in milliseconds since the epoch. */
  get lastReceivedAt(): number {
    return this.#lastReceivedAt;
  }

  /** What log lines call the client: its id, or its address until that is known. */
  get name(): string {
    return this.clientId === '' ? this.address : this.clientId;
  }

  get address(): string {
    const { remoteAddress, remotePort } = this.transport;
    return `${remoteAddress}:${remotePort}`;
  }

  // ----------------------------------------------------------------- input

  /** Bytes have arrived (hot path). The buffer is the caller's again afterwards. */
  receive(buffer: Uint8Array, length: number): void {
    try {
      this.#receive(buffer, length);
    } catch (error) {
      this.failed(error);
    }
  }

  #receive(buffer: Uint8Array, length: number): void {
    const { broker } = this;
    this.#lastReceivedAt = broker.refreshNow();
    broker.counters[Counter.bytesReceived]! += length;
    if (!this.#hasReceived && !this.#beginsWithConnect(buffer[0]!)) return;
    const fault = this.#framer.push(buffer, length);
    if (fault !== undefined) this.#framingFault(fault);
    this.#heedMemory();
  }

  /** Once a read: has so much passed that it is time to look, and does the client hold too much of a packet? */
  #heedMemory(): void {
    const { memory, counters, now } = this.broker;
    if (counters[Counter.bytesReceived]! + counters[Counter.publishBytesSent]! > memory.lookAt)
      memory.look(now);
    if (memory.isTight && this.unreadBytes > memory.slowedFrom) this.slowDown();
  }

  /** A peer that speaks something else is refused at its first byte: its packet might never be complete. */
  #beginsWithConnect(first: number): boolean {
    this.#hasReceived = true;
    if (first >> 4 === PacketType.connect) return true;
    const { remoteAddress, remotePort } = this.transport;
    if (first === TLS_HANDSHAKE) {
      this.broker.log.write('error', lines.tlsOnPlainListener(remoteAddress, remotePort));
    }
    this.fault(0, lines.protocolFault.firstPacketNotConnect(first));
    return false;
  }

  /** The peer closed, or the socket failed. `reason` is empty for an ordinary end of the stream. */
  transportEnded(reason: string): void {
    this.guarded(() =>
      this.close({ kind: 'lost', reason: reason === '' ? DisconnectReason.closedByClient : reason }),
    );
  }

  /** The kernel takes bytes again. */
  drained(): void {
    try {
      this.out.written();
      if (!this.isConnected) return;
      if (!this.out.blocked) {
        this.sender.drained();
        this.#readAgain(Hold.answers);
      }
      this.sender.pump();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Does what goes on with the client's input after a wait. */
  guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.failed(error);
    }
  }

  /** An exception that nobody expected has come out of this connection's input: it ends. @throws if all has to */
  failed(error: unknown): void {
    const { broker } = this;
    const from = this.clientId === '' ? this.address : `${this.clientId} [${this.address}]`;
    broker.guard.caught(error, { from, what: `a ${PACKET_NAMES[this.#packetType]} packet` });
    if (!this.isClosed) this.refuse(ReasonCode.implementationSpecificError);
    // It has failed in its end: the session may be half way between two states.
    else if (this.#session?.peer === this.sender) throw error;
    else this.transport.destroy();
  }

  // ----------------------------------------------------------------- connecting

  /** The first packet has arrived. @returns false if another one has before: nothing is read while claiming */
  beginConnect(): boolean {
    if (this.#state !== 'new') return false;
    this.#state = 'claiming';
    return true;
  }

  /** The client is let in, and may have to be sent away by a reload from now on. */
  admitted(admittedLogin: AdmittedLogin): void {
    this.username = admittedLogin.admission.username;
    this.admittedLogin = admittedLogin;
  }

  /** The CONNECT is accepted: from here on the session is served. */
  connected(result: ConnectResult): void {
    const { version, clientId, session, will, isBridge, keepAlive, receiveMaximum, limits } = result;
    assert(this.#state === 'claiming', 'a connection is accepted once, and not after its end');
    assert(session.peer === null, 'the session has left the connection before');
    this.#state = 'connected';
    this.version = version;
    this.clientId = clientId;
    this.will = will;
    this.isBridge = isBridge;
    this.keepAlive = keepAlive;
    this.receiveMaximum = receiveMaximum;
    this.#session = session;
    this.#grantRights();
    this.sender.connected(session, version, limits);
    this.#framer.maximumPacketSize = this.broker.settings.maxPacketSize || Number.MAX_SAFE_INTEGER;
  }

  /** After the CONNACK: what was missed, then what the client sent meanwhile. */
  start(): void {
    this.#isAnswered = true;
    this.broker.reportDrops(this.session, 'while it was away');
    if (this.session.peer === null) this.session.attach(this.sender, this.broker.now);
    this.transport.resume();
    const fault = this.#framer.resume();
    if (fault !== undefined) this.#framingFault(fault);
  }

  /** Reading stops until `start`; what has arrived waits. */
  holdInput(): void {
    this.transport.pause();
  }

  /** What has arrived and was not worked on. */
  unreadInput(): Uint8Array {
    return this.#framer.rest();
  }

  /** The connection goes on elsewhere: forget it without a trace. */
  passedOn(): void {
    this.#state = 'closed';
    this.out.close();
    this.broker.connections.delete(this);
  }

  // ----------------------------------------------------------------- acknowledgements

  /** At once; `acknowledgements` says when. PUBREL answers a PUBREC, the others a PUBLISH or a PUBREL. */
  sendAck(type: AckPacket['type'], packetId: number, reasonCode: number): void {
    if (type === 'pubrel') this.sender.sendPubrel(packetId);
    else this.sender.sendAck(type, packetId, reasonCode);
  }

  // ----------------------------------------------------------------- holding back

  /** Stops reading while the links to these workers are congested. */
  heedCongestion(workers: number): void {
    if (this.#pausedFor !== 0 || !this.broker.cluster.congested(workers)) return;
    this.#pausedFor = workers;
    this.#stopReading(Hold.congestion);
  }

  /** Some link has room again. */
  relieve(): void {
    if (this.#pausedFor === 0 || this.broker.cluster.congested(this.#pausedFor)) return;
    this.#pausedFor = 0;
    this.#readAgain(Hold.congestion);
  }

  answersPileUp(): void {
    this.#stopReading(Hold.answers);
  }

  /** The client occupies too much memory [memory_limit]. */
  slowDown(): void {
    if (!this.isClosed) this.#stopReading(Hold.memory);
  }

  #stopReading(hold: number): void {
    if (this.#holds === 0) this.transport.pause();
    this.#holds |= hold;
  }

  #readAgain(hold: number): void {
    if ((this.#holds & hold) === 0) return;
    this.#holds &= ~hold;
    if (this.#holds === 0) this.transport.resume();
  }

  // ----------------------------------------------------------------- turns

  /** Whether the client's next packet may be worked on in this turn. */
  get goesOn(): boolean {
    return this.#state === 'connected' && !this.#waitsForTurn;
  }

  /** A packet has cost so much. If that was this turn's share, the next packet has to wait for the next turn. */
  spend(units: number): void {
    this.#spent += units;
    if (this.#spent >= UNITS_A_TURN) this.#waitForTurn();
  }

  /**
   * Work for a packet that may be long: one step now and one in each of the following turns, until one returns true.
   * The client's next packet waits for that.
   */
  inSteps(step: () => boolean): void {
    if (step()) return;
    this.#step = step;
    this.#waitForTurn();
  }

  inNextTurn(work: () => void): void {
    const { broker } = this;
    broker.nextTurn(() => {
      this.guarded(() => {
        if (!this.isConnected) return;
        broker.refreshNow();
        work();
      });
    });
  }

  #waitForTurn(): void {
    if (this.#waitsForTurn || this.isClosed) return;
    this.#waitsForTurn = true;
    this.#stopReading(Hold.turn);
    this.inNextTurn(this.#beginTurn);
  }

  readonly #beginTurn = (): void => {
    this.#waitsForTurn = false;
    this.#spent = 0;
    const step = this.#step;
    if (step !== null) {
      this.#step = null;
      this.inSteps(step);
      if (!this.goesOn) return;
    }
    const fault = this.#framer.resume();
    if (fault !== undefined) this.#framingFault(fault);
    if (this.goesOn) this.#readAgain(Hold.turn);
  };

  // ----------------------------------------------------------------- time

  /** Once a second. @param now milliseconds since the epoch */
  tick(now: number): void {
    this.#readAgain(Hold.memory);
    if (this.#isAnswered) {
      if (this.#excess !== null) this.#refuseLastingExcess(this.#excess, now);
      if (this.keepAlive === 0) return;
      // One and a half times the keep alive [MQTT-3.1.2-22]
      if (now - this.#lastReceivedAt > this.keepAlive * 1500) {
        this.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.timeout });
      }
    } else if (now > this.#connectDeadline) {
      this.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.timeout });
    }
  }

  reload(): void {
    if (this.isConnected) {
      this.#framer.maximumPacketSize = this.broker.settings.maxPacketSize || Number.MAX_SAFE_INTEGER;
      this.#grantRights();
      this.#withdrawWill();
    }
    if (this.admittedLogin !== null) void this.#leaveUnlessAdmitted(this.admittedLogin);
  }

  /** Dynamic security has changed: rights that are held find that themselves. */
  rightsChanged(): void {
    if (this.isConnected) this.#withdrawWill();
  }

  /**
   * Ends the connection if it is that of one of these users, even before it has its answer to CONNECT.
   * @param anonymous the clients without a username, too
   */
  leaveIfKicked(usernames: ReadonlySet<string>, anonymous: boolean): void {
    if (this.admittedLogin === null || !this.listener.usesDynamicSecurity) return;
    const { username } = this.admittedLogin.admission;
    if (username ? !usernames.has(username) : !anonymous) return;
    this.close({ kind: 'administrative action' });
  }

  #grantRights(): void {
    const { broker, transport, session } = this;
    this.acl = broker.access.aclOf(transport.listener, session.username, session.clientId);
    session.rights = this.acl;
  }

  /** Main must not send a will, should this worker die, that the client may not publish any more. */
  #withdrawWill(): void {
    const { will, acl, broker } = this;
    if (will === null || acl === null || acl.canWrite(will.publication.topic)) return;
    broker.directory.willDone(this.clientId, will.claim);
  }

  /** [mosq: SIGHUP] */
  async #leaveUnlessAdmitted(admitted: AdmittedLogin): Promise<void> {
    try {
      if (await this.broker.access.isStillAdmitted(admitted)) return;
      this.broker.refreshNow();
      this.close({ kind: 'not admitted any more' });
    } catch (error) {
      this.failed(error);
    }
  }

  // ----------------------------------------------------------------- the end

  takenOver(sessionGoesOn: boolean): void {
    const { broker, clientId, address, username = '', acceptedAt } = this;
    broker.counters[Counter.takeovers]! += 1;
    broker.directory.takenOver({ clientId, address, username, connectedAt: acceptedAt });
    this.close({ kind: 'taken over', sessionGoesOn });
  }

  /** The client broke the protocol. @param reasonCode of the DISCONNECT; 0 = none is sent */
  fault(reasonCode: number, text: string): void {
    if (this.isClosed) return;
    this.broker.log.write('information', lines.protocolError(this.name, text));
    this.close({ kind: 'refused', reasonCode, reason: lines.disconnectReason(reasonCode) });
  }

  /** A packet does not decode. One that is to be refused silently, or before CONNACK, draws no DISCONNECT. */
  refusePacket(error: PacketError): void {
    if (this.isClosed) return;
    this.broker.log.write('information', error.logLine(this.name, this.address));
    const reason = lines.disconnectReason(error.reasonCode);
    this.close({ kind: 'refused', reasonCode: error.silent ? 0 : error.reasonCode, reason });
  }

  #framingFault(fault: PacketError): void {
    if (fault.reasonCode === ReasonCode.packetTooLarge) {
      const reasonCode = this.isConnected ? fault.reasonCode : 0;
      this.close({ kind: 'refused', reasonCode, reason: DisconnectReason.oversizePacket });
    } else {
      this.refusePacket(fault);
    }
  }

  refuseQos(): void {
    this.broker.log.write('information', lines.tooHighQos(this.clientId));
    this.refuse(ReasonCode.qosNotSupported);
  }

  /** [mosq: memory_limit] */
  refuseOutOfMemory(): void {
    this.close({ kind: 'refused', reasonCode: 0, reason: DisconnectReason.outOfMemory });
  }

  /** Its packets occupy too much memory [memory_limit]. */
  refuseForMemory(): void {
    if (this.version === 5 && this.isConnected) this.refuse(ReasonCode.quotaExceeded);
    else this.refuseOutOfMemory();
  }

  refuseRetain(): void {
    this.refuse(ReasonCode.retainNotSupported);
  }

  /**
   * A QoS 2 message that takes the client to its receive maximum, or beyond [MQTT-3.3.4-7]. Clients that never look at
   * that send a burst, and release it as it is answered. Were they closed, they would send all of it again, at best; so
   * a burst is taken. A client is closed if it goes on sending after the answers, as soon as it has sent twice its
   * maximum that way, or if it stays beyond the maximum.
   * @returns false if it is closed
   */
  staysWithinReceiveMaximum(): boolean {
    const { receivedCount, releasedCount } = this.session.inbound;
    if (receivedCount + 1 === this.receiveMaximum) this.#sentAtMaximum = this.out.bytesWritten;
    if (receivedCount < this.receiveMaximum) return true;
    if (this.#excess === null) {
      this.broker.log.write('warning', lines.receiveMaximumExceeded(this.clientId));
      const since = this.broker.now;
      this.#excess = { since, released: releasedCount, repeated: 0, sent: this.#sentAtMaximum };
    }
    const excess = this.#excess;
    if (excess.released !== releasedCount) {
      excess.released = releasedCount;
      excess.since = this.broker.now;
      excess.repeated = 0;
    }
    // What waits to be stored is not answered yet.
    if (excess.sent !== this.out.bytesWritten && this.acknowledgements.isEmpty) excess.repeated += 1;
    excess.sent = this.out.bytesWritten;
    if (excess.repeated < this.receiveMaximum) return true;
    this.refuse(ReasonCode.receiveMaximumExceeded);
    return false;
  }

  #refuseLastingExcess(excess: Excess, now: number): void {
    const { receivedCount, releasedCount } = this.session.inbound;
    if (receivedCount <= this.receiveMaximum) {
      this.#excess = null;
    } else if (releasedCount !== excess.released || !this.acknowledgements.isEmpty) {
      excess.since = now;
      excess.released = releasedCount;
    } else if (now - excess.since > EXCESS_MS) {
      this.refuse(ReasonCode.receiveMaximumExceeded);
    }
  }

  /** The broker ends the connection. @param reasonCode of the DISCONNECT */
  refuse(reasonCode: number): void {
    this.close({ kind: 'refused', reasonCode, reason: lines.disconnectReason(reasonCode) });
  }

  close(cause: CloseCause): void {
    if (this.isClosed) return;
    const { broker } = this;
    const wasConnected = this.isConnected;
    this.#state = 'closed';
    if (this.#isAnswered) sendDisconnect(this, cause);
    this.out.flush();
    this.sender.countSent();
    this.transport.end();
    this.out.close();
    broker.connections.delete(this);
    broker.directory.closed(this.transport.listener);
    logEnd(this, cause);
    if (wasConnected) leaveSession(this, cause);
  }

  /** Orderly end of the broker: no DISCONNECT, no log line, the will is out already. */
  stop(): void {
    this.close({ kind: 'broker stops' });
  }

  publishWillNow(): void {
    const { will } = this;
    this.will = null;
    if (will !== null && this.isConnected) publishWill(this.broker, this.clientId, will);
  }

  // ----------------------------------------------------------------- log

  /** A line about a PUBLISH of this client. */
  logPublish(
    line: (publish: lines.LoggedPublish, why: string) => string,
    publication: Publication,
    why = '',
  ): void {
    if (!this.broker.logs('debug')) return;
    const { dup, qos, retain, packetId, topic, payloadLength } = publication;
    const text = line({ clientId: this.clientId, dup, qos, retain, packetId, topic, payloadLength }, why);
    this.broker.log.write('debug', text);
  }
}

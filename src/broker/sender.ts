/**
 * What goes to one client: packets, written into its outgoing buffer as its version, its limits and its listener want
 * them. This is what the client's session sees of the connection, so that a message takes the short way from the
 * session into the buffer (hot path).
 */
import { LogMask } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import { encodePacket } from '../mqtt/encode.js';
import type { OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import { type Packet, PacketType, type ProtocolVersion, type Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import { type Delivery, newDelivery, writePublish } from '../mqtt/publish-writer.js';
import { SentAliases } from '../mqtt/topic-aliases.js';
import { varintLength } from '../mqtt/varint.js';
import type { Peer } from '../session/outbound.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import type { Broker } from './broker.js';
import { RetainedDelivery, retainedPace } from './retained-delivery.js';

/** What the client takes, as its CONNECT and the listener say. */
export interface SendLimits {
  /** QoS 1 and 2 messages that are not acknowledged. */
  sendMaximum: number;
  /** Bytes of the largest packet. */
  packetSizeMax: number;
  /** Topics that may be given aliases. */
  aliasesMax: number;
}

/** The connection that it sends on. */
export interface SendingConnection {
  /** Another connection of the same client takes over. */
  takenOver(sessionGoesOn: boolean): void;
  /** Does it in the next turn of the event loop, if the client is still connected then. */
  inNextTurn(work: () => void): void;
  /** The client does not read, and much waits for it that it has asked for. */
  answersPileUp(): void;
}

/** Bytes of answers that may wait for a client that does not read. */
const WAITING_ANSWERS_MAX = 256 * 1024;

export class Sender implements Peer {
  readonly broker: Broker;
  readonly out: OutgoingBuffer;
  readonly mountPoint: Uint8Array;
  readonly #connection: SendingConnection;
  readonly retainedDelivery = new RetainedDelivery();
  version: ProtocolVersion = 4;
  /** How many QoS 1 and 2 messages the client takes unacknowledged. */
  sendMaximum = 0xffff;
  #packetSizeMax = Number.MAX_SAFE_INTEGER;
  #session: Session | null = null;
  /** `null` if the client takes none. */
  #aliases: SentAliases | null = null;
  readonly #delivery = newDelivery(4);
  #bytesCounted = 0;
  /** Bytes of packets other than PUBLISH since the kernel took none. */
  #waitingAnswers = 0;

  constructor(broker: Broker, out: OutgoingBuffer, mountPoint: Uint8Array, connection: SendingConnection) {
    this.broker = broker;
    this.out = out;
    this.mountPoint = mountPoint;
    this.#connection = connection;
  }

  /** The client is connected: this is its session. */
  connected(session: Session, version: ProtocolVersion, limits: SendLimits): void {
    const { sendMaximum, packetSizeMax, aliasesMax } = limits;
    this.#session = session;
    this.version = version;
    this.#delivery.version = version;
    this.sendMaximum = sendMaximum;
    this.#packetSizeMax = packetSizeMax;
    if (aliasesMax > 0) this.#aliases = new SentAliases(aliasesMax);
  }

  takenOver(sessionGoesOn: boolean): void {
    this.#connection.takenOver(sessionGoesOn);
  }

  /** The session of a connected client. */
  get session(): Session {
    return this.#session!;
  }

  /** The kernel does not take more bytes at the moment; `Connection.drained` is called when it does again. */
  get isBlocked(): boolean {
    return this.out.blocked;
  }

  /** Bytes that the kernel has not taken. */
  get waitingBytes(): number {
    return this.out.waitingBytes;
  }

  /** Whether the client takes a packet with this remaining length, in bytes [MQTT-3.1.2-24]. */
  takes(remainingLength: number): boolean {
    return 1 + varintLength(remainingLength) + remainingLength <= this.#packetSizeMax;
  }

  // ----------------------------------------------------------------- messages

  sendPublish(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | null,
  ): boolean {
    const { broker, out } = this;
    const { counters } = broker;
    if (qos === 0 && out.waitingPackets > 0 && this.#backlogIsFull()) {
      broker.dropped(this.session, 'backlog');
      return true;
    }
    const delivery = this.#delivery;
    delivery.qos = qos;
    delivery.retain = retain;
    delivery.dup = dup;
    delivery.packetId = packetId;
    delivery.subscriptionIdentifiers = this.version === 5 ? identifiers : null;
    delivery.now = broker.now;
    if (this.#aliases !== null) this.#aliases.choose(delivery, publication.topic);
    const sent =
      this.mountPoint.length === 0
        ? writePublish(out, publication, delivery, this.#packetSizeMax)
        : this.#sendUnmounted(publication);
    if (!sent) {
      broker.log.write(
        'notice',
        lines.droppingTooLargeOutgoingPublish(this.session.clientId, publication.payloadLength),
      );
      return false;
    }
    if (this.#aliases !== null) this.#aliases.written(delivery, publication.topic);
    counters[Counter.publishSent]! += 1;
    counters[Counter.packetsSent]! += 1;
    counters[Counter.publishBytesSent]! += publication.payloadEnd - publication.payloadStart;
    if ((broker.log.mask & LogMask.debug) !== 0) this.#logSending(publication, delivery);
    return true;
  }

  /** Without the mount point, which the client does not know [mosq: mount_point]. */
  #sendUnmounted(publication: Publication): boolean {
    const { topicStart, frameStart } = publication;
    if (isMounted(publication, this.mountPoint)) {
      publication.topicStart += this.mountPoint.length;
      publication.frameStart = -1;
    }
    const sent = writePublish(this.out, publication, this.#delivery, this.#packetSizeMax);
    publication.topicStart = topicStart;
    publication.frameStart = frameStart;
    return sent;
  }

  /** QoS 0 for a client that does not take its messages [mosq: max_queued_messages]. */
  #backlogIsFull(): boolean {
    const { maxQueuedMessages } = this.broker.settings;
    if (maxQueuedMessages > 0 && this.out.waitingPackets >= maxQueuedMessages) return true;
    return this.session.restraint !== 'none';
  }

  #logSending(publication: Publication, { dup, qos, retain, packetId }: Delivery): void {
    const { topic, payloadLength } = publication;
    const { clientId } = this.session;
    const text = lines.sendingPublish({ clientId, dup, qos, retain, packetId, topic, payloadLength });
    this.broker.log.write('debug', text);
  }

  /** Sends what waits in the session and of retained messages, as far as the client takes it. */
  pump(): void {
    const { broker, session } = this;
    session.outbound.pump(broker.now);
    if (this.retainedDelivery.isDue) this.#pumpRetained();
  }

  /** By itself, as `pump` is called at each acknowledgement, and a function that makes a closure allocates at each call. */
  #pumpRetained(): void {
    const nextTurn = () => this.#connection.inNextTurn(this.#continueRetained);
    this.retainedDelivery.pump(retainedPace(this.broker, this.session, this.out, nextTurn));
  }

  readonly #continueRetained = (): void => {
    this.retainedDelivery.beginTurn();
    this.pump();
  };

  // ----------------------------------------------------------------- other packets

  sendPubrel(packetId: number): void {
    this.#sendShortAck(0x62, packetId);
    if (!this.broker.logs('debug')) return;
    this.broker.log.write('debug', lines.sendingPubrel(this.session.clientId, packetId));
  }

  /** An acknowledgement of a PUBLISH; the reason code goes to MQTT 5.0 clients only. */
  sendAck(type: 'puback' | 'pubrec' | 'pubcomp', packetId: number, reasonCode: number): void {
    if (reasonCode === 0 || this.version !== 5) {
      this.#sendShortAck(PacketType[type] << 4, packetId);
    } else {
      this.send({ type, packetId, reasonCode, properties: {} });
    }
    if (!this.broker.logs('debug')) return;
    this.broker.log.write('debug', lines.sendingAck(type, this.session.clientId, packetId, reasonCode));
  }

  #sendShortAck(firstByte: number, packetId: number): void {
    const { out } = this;
    const at = out.reserve(4);
    const chunk = out.chunk!;
    chunk[at] = firstByte;
    chunk[at + 1] = 2;
    chunk[at + 2] = packetId >> 8;
    chunk[at + 3] = packetId & 0xff;
    this.broker.counters[Counter.packetsSent]! += 1;
    if (out.blocked) this.#answerWaits(4);
  }

  send(packet: Packet): void {
    const bytes = encodePacket(packet, this.version);
    this.out.append(bytes);
    this.broker.counters[Counter.packetsSent]! += 1;
    if (this.out.blocked) this.#answerWaits(bytes.length);
  }

  #answerWaits(bytes: number): void {
    this.#waitingAnswers += bytes;
    if (this.#waitingAnswers > WAITING_ANSWERS_MAX) this.#connection.answersPileUp();
  }

  /** The kernel has taken all that waited. */
  drained(): void {
    this.#waitingAnswers = 0;
  }

  /** Adds what was sent since the last call to the worker's counter. */
  countSent(): void {
    const sent = this.out.bytesWritten;
    this.broker.counters[Counter.bytesSent]! += sent - this.#bytesCounted;
    this.#bytesCounted = sent;
  }
}

/** Whether the topic begins with the mount point: not if the session subscribed through another listener. */
function isMounted({ buffer, topicStart, topicEnd }: Publication, mountPoint: Uint8Array): boolean {
  if (topicEnd - topicStart <= mountPoint.length) return false;
  for (let i = 0; i < mountPoint.length; i += 1) {
    if (buffer[topicStart + i] !== mountPoint[i]) return false;
  }
  return true;
}

/**
 * A bridge's side of one connection to the other broker, without I/O: bytes and the time go in, packets come out
 * through an outgoing buffer, and what the other broker says goes to `RemoteEvents`.
 *
 *   start ──CONNECT──► (CONNACK) ──accept──► publish, subscribe … ──► close
 *
 * Unlike the engine of the command-line clients (`client/`) it holds no messages: those in flight belong to the local
 * session, which is stored, and acknowledgements are sent when the broker says so. Times are milliseconds on a
 * clock that only goes forward.
 */
import { decodePacket } from '../mqtt/decode.js';
import { encodePacket } from '../mqtt/encode.js';
import { Framer } from '../mqtt/framer.js';
import { type ByteSink, type FlushList, OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import { isPacketError } from '../mqtt/packet-error.js';
import {
  type AckPacket,
  type ConnackPacket,
  type ConnectPacket,
  type DisconnectPacket,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type Qos,
  type SubackPacket,
} from '../mqtt/packets.js';
import { NO_ALIAS, Publication, readPublish } from '../mqtt/publication.js';
import { type Delivery, newDelivery, writePublish } from '../mqtt/publish-writer.js';
import { ReceivedAliases, resolveAlias, SentAliases } from '../mqtt/topic-aliases.js';
import { type MalformedPublish, readMalformedPublish } from './malformed-publish.js';
import type { BridgeFilter } from './topic-map.js';

export interface RemoteEvents {
  connack(packet: ConnackPacket): void;
  /** A message; the object and its bytes are the connection's again afterwards. Its topic alias is resolved. */
  publish(publication: Publication): void;
  /** A message that is malformed, other than by its topic. */
  malformed(message: MalformedPublish): void;
  acknowledged(type: AckPacket['type'], packetId: number, reasonCode: number): void;
  subscribed(packet: SubackPacket): void;
  /** The other broker says that it closes the connection (MQTT 5.0). */
  disconnected(packet: DisconnectPacket): void;
  /** The connection is of no more use. @param why a clause for people */
  failed(why: string): void;
}

/** This side's limits, and from CONNACK on the other side's. */
export interface RemoteLimits {
  /** Bytes of the largest packet that may be sent. */
  packetSizeMax: number;
  /** Topic aliases that may be used in packets sent; 0 = none. */
  aliasesMax: number;
}

export class RemoteConnection {
  readonly out: OutgoingBuffer;
  readonly version: ProtocolVersion;
  readonly #connect: ConnectPacket;
  readonly #events: RemoteEvents;
  readonly #framer: Framer;
  readonly #incoming = new Publication();
  readonly #receivedAliases: ReceivedAliases<Uint8Array>;
  #packetSizeMax = Number.MAX_SAFE_INTEGER;
  #sentAliases = new SentAliases(0);
  #keepAliveMs: number;
  #connected = false;
  #closed = false;
  #nowMs = 0;
  /** Milliseconds since the epoch, for the expiry of messages. */
  #time = 0;
  #sentMs = 0;
  #receivedMs = 0;
  /** When the PINGREQ that is not answered yet was sent; 0 = there is none. */
  #pingMs = 0;
  readonly #delivery: Delivery;

  constructor(
    connect: ConnectPacket,
    sink: ByteSink,
    flushList: Pick<FlushList, 'add'>,
    events: RemoteEvents,
  ) {
    this.#connect = connect;
    this.version = connect.version;
    this.#receivedAliases = new ReceivedAliases(connect.properties.topicAliasMaximum ?? 0);
    this.#events = events;
    this.#keepAliveMs = connect.keepAlive * 1000;
    this.out = new OutgoingBuffer(sink, flushList);
    this.#framer = new Framer((buffer, start, bodyStart, end) => this.#frame(buffer, start, bodyStart, end), {
      maximumPacketSize: connect.properties.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    });
    this.#delivery = newDelivery(connect.version);
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  start(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#receivedMs = nowMs;
    this.send(this.#connect);
  }

  /** The CONNACK is a good one: from here on messages may come and go. */
  accept({ properties }: ConnackPacket, limits: RemoteLimits): void {
    this.#connected = true;
    this.#packetSizeMax = limits.packetSizeMax;
    this.#sentAliases = new SentAliases(limits.aliasesMax);
    if (properties.serverKeepAlive !== undefined) this.#keepAliveMs = properties.serverKeepAlive * 1000;
  }

  /** @param time milliseconds since the epoch */
  receive(buffer: Uint8Array, length: number, nowMs: number, time: number): void {
    if (this.#closed) return;
    this.#nowMs = nowMs;
    this.#time = time;
    this.#receivedMs = nowMs;
    this.#pingMs = 0;
    const error = this.#framer.push(buffer, length);
    if (error !== undefined) this.#fail(`it sends what is not MQTT (${error.message})`);
  }

  /** To be called about every second: asks whether the other side is there, and gives up when it is not. */
  tick(nowMs: number): void {
    if (!this.#connected || this.#closed || this.#keepAliveMs === 0) return;
    this.#nowMs = nowMs;
    if (this.#pingMs !== 0) {
      if (nowMs - this.#pingMs >= this.#keepAliveMs) this.#fail('it does not answer any more (keepalive)');
    } else if (nowMs - Math.min(this.#sentMs, this.#receivedMs) >= this.#keepAliveMs) {
      this.send({ type: 'pingreq' });
      this.#pingMs = nowMs;
    }
  }

  // ----------------------------------------------------------------- sending

  /** @param time milliseconds since the epoch @returns false if the packet is larger than the other side takes */
  publish(
    publication: Publication,
    delivery: { qos: Qos; retain: boolean; dup: boolean; packetId: number },
    time: number,
  ): boolean {
    const own = this.#delivery;
    own.qos = delivery.qos;
    own.retain = delivery.retain;
    own.dup = delivery.dup;
    own.packetId = delivery.packetId;
    own.now = time;
    this.#sentAliases.choose(own, publication.topic);
    if (!writePublish(this.out, publication, own, this.#packetSizeMax)) return false;
    this.#sentAliases.written(own, publication.topic);
    this.#sentMs = this.#nowMs;
    return true;
  }

  acknowledge(type: AckPacket['type'], packetId: number): void {
    this.send({ type, packetId, reasonCode: 0, properties: {} });
  }

  /** No-local and retain-as-published are MQTT 5.0; before that the bridge bit in CONNECT says the same. */
  subscribe({ filter, qos }: BridgeFilter, packetId: number): void {
    const request = { filter, qos, noLocal: true, retainAsPublished: true, retainHandling: 0 } as const;
    this.send({ type: 'subscribe', packetId, subscriptions: [request], properties: {} });
  }

  unsubscribe(filter: string, packetId: number): void {
    this.send({ type: 'unsubscribe', packetId, filters: [filter], properties: {} });
  }

  disconnect(): void {
    this.send({ type: 'disconnect', reasonCode: 0, properties: {} });
  }

  send(packet: Packet): void {
    if (this.#closed) return;
    this.out.append(encodePacket(packet, this.version));
    this.#sentMs = this.#nowMs;
  }

  /** Nothing is read or sent after it. What was written leaves, as far as the sink takes it. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.out.flush();
    this.out.close();
  }

  // ----------------------------------------------------------------- receiving

  #frame(buffer: Uint8Array, start: number, bodyStart: number, end: number): boolean {
    if (buffer[start]! >> 4 === PacketType.publish && this.#connected) {
      this.#receivePublish(buffer, start, bodyStart, end);
      return !this.#closed;
    }
    const packet = decodePacket(buffer, start, bodyStart, end, this.version, 'server');
    if (isPacketError(packet)) this.#fail(`it sends what is not MQTT (${packet.message})`);
    else if (this.#connected !== (packet.type !== 'connack'))
      this.#fail(`it sends ${packet.type} out of turn`);
    else this.#receive(packet);
    return !this.#closed;
  }

  #receivePublish(buffer: Uint8Array, start: number, bodyStart: number, end: number): void {
    const publication = this.#incoming;
    const fault = readPublish(publication, buffer, start, bodyStart, end, this.version, this.#time);
    const hasAlias = fault === 0 && publication.topicAlias !== NO_ALIAS;
    if (fault === 0 && !(hasAlias && resolveAlias(this.#receivedAliases, publication) !== 0)) {
      this.#events.publish(publication);
      return;
    }
    const message = readMalformedPublish(buffer, start, bodyStart, end, this.version);
    if (hasAlias) message.fault = 'a topic alias that it has not set';
    else if (message.topic.length > 0 && this.#receivedAliases.allows(message.topicAlias)) {
      this.#receivedAliases.set(message.topicAlias, message.topic);
    }
    this.#events.malformed(message);
  }

  #receive(packet: Packet): void {
    switch (packet.type) {
      case 'connack':
        this.#events.connack(packet);
        return;
      case 'puback':
      case 'pubrec':
      case 'pubrel':
      case 'pubcomp':
        this.#events.acknowledged(packet.type, packet.packetId, packet.reasonCode);
        return;
      case 'suback':
        this.#events.subscribed(packet);
        return;
      case 'disconnect':
        this.#events.disconnected(packet);
        return;
      case 'pingreq':
        this.send({ type: 'pingresp' }); // no standard lets a server ask, and Mosquitto answers
        return;
      case 'unsuback':
      case 'pingresp':
        return;
      default:
        this.#fail(`it sends ${packet.type} out of turn`);
    }
  }

  #fail(why: string): void {
    if (!this.#closed) this.#events.failed(why);
  }
}

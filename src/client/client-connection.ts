/**
 * The client's side of one MQTT connection, without I/O: bytes and the time go in; bytes to send and events come
 * out. Shared by the command-line clients and the bridges.
 *
 * Four kinds of method, in the order of their use:
 *   1. `connect`, once the transport is open;
 *   2. `receive` for what arrives and `tick` when `nextDeadlineMs` has come;
 *   3. `publish`, `subscribe`, `unsubscribe`, `disconnect`;
 *   4. after any of these: `takeOutgoing` for the bytes to send.
 *
 * Events are given to `onEvent` while the methods of 2 and 3 run, and it may call those of 3. After `disconnect`
 * nothing further is read, so what the owner does not want any more stays unacknowledged at the server.
 *
 * Times are milliseconds on any clock that only goes forward. One object serves one connection; what outlives it is
 * in the `ClientSession`.
 */
import { assertNever } from '../base/assert.js';
import { decodePacket } from '../mqtt/decode.js';
import { encodePacket } from '../mqtt/encode.js';
import { Framer } from '../mqtt/framer.js';
import { isPacketError } from '../mqtt/packet-error.js';
import type {
  AckPacket,
  ConnackPacket,
  ConnectPacket,
  Packet,
  Properties,
  PublishPacket,
  SubscriptionRequest,
} from '../mqtt/packets.js';
import { ConnectReturnCode, ReasonCode } from '../mqtt/reason-codes.js';
import { ReceivedAliases } from '../mqtt/topic-aliases.js';
import type { ClientEvent, ClientFault } from './client-events.js';
import type { ClientSession, InFlightMessage, OutgoingMessage } from './client-session.js';

export interface ClientConnectionOptions {
  connect: ConnectPacket;
  /** QoS 1 and 2 messages under way to the server at once; the server may allow fewer. */
  inFlightMax: number;
  /** Report every packet as it passes. */
  trace?: boolean;
}

/** Why a message cannot be published on this connection. */
export type PublishRefusal = 'not-connected' | 'no-topic' | 'qos-not-supported' | 'too-large';

type State = 'idle' | 'connecting' | 'connected' | 'closed';

const NO_PROPERTIES: Properties = {};

export class ClientConnection {
  readonly #options: ClientConnectionOptions;
  readonly #session: ClientSession;
  readonly #onEvent: (event: ClientEvent) => void;
  readonly #framer: Framer;
  readonly #trace: boolean;
  #state: State = 'idle';
  #outgoing: Buffer[] = [];
  /** Messages of the session that take a place in the window. */
  #inFlight = 0;
  #window: number;
  /** What the server allows and has; from its CONNACK. */
  #server: Properties = NO_PROPERTIES;
  #keepAliveMs: number;
  #sentMs = 0;
  #receivedMs = 0;
  #nowMs = 0;
  /** When the PINGREQ that is not answered yet was sent. */
  #pingMs: number | undefined;
  /** Topic aliases that the server has set. */
  readonly #aliases: ReceivedAliases<string>;

  constructor(
    options: ClientConnectionOptions,
    session: ClientSession,
    onEvent: (event: ClientEvent) => void,
  ) {
    this.#options = options;
    this.#session = session;
    this.#onEvent = onEvent;
    this.#trace = options.trace ?? false;
    this.#window = options.inFlightMax;
    this.#aliases = new ReceivedAliases(options.connect.properties.topicAliasMaximum ?? 0);
    this.#keepAliveMs = options.connect.keepAlive * 1000;
    this.#framer = new Framer((buffer, start, bodyStart, end) => this.#frame(buffer, start, bodyStart, end));
  }

  get isConnected(): boolean {
    return this.#state === 'connected';
  }

  /** QoS 1 and 2 messages that may be published before further ones have to wait. */
  get windowRoom(): number {
    return this.#window - this.#session.outbound.size;
  }

  connect(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#receivedMs = nowMs;
    this.#state = 'connecting';
    this.#send(this.#options.connect);
  }

  /** Takes bytes from the server; they may be overwritten afterwards. */
  receive(bytes: Uint8Array, nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#nowMs = nowMs;
    this.#receivedMs = nowMs;
    const error = this.#framer.push(bytes, bytes.length);
    if (error !== undefined) this.#fail(error.reasonCode, error.message);
  }

  /** When `tick` is due; `undefined` = never. */
  get nextDeadlineMs(): number | undefined {
    if (this.#state === 'idle' || this.#state === 'closed' || this.#keepAliveMs === 0) return undefined;
    if (this.#pingMs !== undefined) return this.#pingMs + this.#keepAliveMs;
    return Math.min(this.#sentMs, this.#receivedMs) + this.#keepAliveMs;
  }

  /** Sends a PINGREQ when it is time for it, and gives up when that or the CONNECT was not answered. */
  tick(nowMs: number): void {
    const deadline = this.nextDeadlineMs;
    if (deadline === undefined || nowMs < deadline) return;
    this.#nowMs = nowMs;
    if (this.#pingMs !== undefined || this.#state === 'connecting') {
      this.#close('keep-alive', 'The server does not answer.');
      return;
    }
    this.#pingMs = nowMs;
    this.#send({ type: 'pingreq' });
  }

  /**
   * Publishes a message. With QoS 1 and 2 and a full window it waits its turn. Where the server keeps no messages,
   * the retain flag is taken off, as Mosquitto's clients do.
   * @returns its packet id (one is given with QoS 0 too, to name it), or why it cannot be published
   */
  publish(message: OutgoingMessage, nowMs: number): number | PublishRefusal {
    const refusal = this.#refuse(message);
    if (refusal !== undefined) return refusal;
    this.#nowMs = nowMs;
    if (message.retain && this.#server.retainAvailable === 0) message = { ...message, retain: false };
    const packetId = this.#session.nextPacketId();
    if (message.qos === 0) {
      // Not on the wire; the trace shows it.
      this.#sendPublish(message, packetId, false);
      this.#onEvent({ kind: 'published', packetId, reasonCode: 0, properties: NO_PROPERTIES });
      return packetId;
    }
    const inFlight: InFlightMessage = { packetId, message, state: 'waiting' };
    this.#session.outbound.set(packetId, inFlight);
    if (this.#inFlight < this.#window) this.#launch(inFlight, false);
    return packetId;
  }

  /** @returns the packet id, which the `subscribed` event brings back */
  subscribe(subscriptions: SubscriptionRequest[], properties: Properties, nowMs: number): number {
    this.#nowMs = nowMs;
    const packetId = this.#session.nextPacketId();
    this.#send({ type: 'subscribe', packetId, subscriptions, properties });
    return packetId;
  }

  /** @returns the packet id, which the `unsubscribed` event brings back */
  unsubscribe(filters: string[], properties: Properties, nowMs: number): number {
    this.#nowMs = nowMs;
    const packetId = this.#session.nextPacketId();
    this.#send({ type: 'unsubscribe', packetId, filters, properties });
    return packetId;
  }

  /** Says goodbye; nothing is sent or received after it. The owner closes the transport. */
  disconnect(reasonCode: number, properties: Properties, nowMs: number): void {
    if (this.#state === 'closed') return;
    this.#nowMs = nowMs;
    this.#send({ type: 'disconnect', reasonCode, properties });
    this.#state = 'closed';
  }

  /** The bytes to send next, in one piece; `undefined` = none. */
  takeOutgoing(): Buffer | undefined {
    const outgoing = this.#outgoing;
    if (outgoing.length === 0) return undefined;
    this.#outgoing = [];
    return outgoing.length === 1 ? outgoing[0] : Buffer.concat(outgoing);
  }

  // ---------------------------------------------------------------------------------------------- receiving

  #frame(buffer: Uint8Array, start: number, bodyStart: number, end: number): boolean {
    const version = this.#options.connect.version;
    const packet = decodePacket(buffer, start, bodyStart, end, version, 'server');
    if (isPacketError(packet)) {
      this.#fail(packet.reasonCode, packet.message);
    } else {
      if (packet.type === 'connack') this.#translateOldRefusal(packet);
      if (this.#trace) this.#onEvent({ kind: 'received', packet });
      this.#received(packet);
    }
    return this.#state !== 'closed';
  }

  /** A server that does not know MQTT 5.0 says so with the return code of its own version. */
  #translateOldRefusal(packet: ConnackPacket): void {
    const isOldRefusal = packet.reasonCode === ConnectReturnCode.unacceptableProtocolVersion;
    if (this.#options.connect.version === 5 && isOldRefusal) {
      packet.reasonCode = ReasonCode.unsupportedProtocolVersion;
    }
  }

  #received(packet: Packet): void {
    if (this.#state === 'connecting' && packet.type !== 'connack') {
      this.#fail(ReasonCode.protocolError, `${packet.type} before CONNACK`);
      return;
    }
    switch (packet.type) {
      case 'connack':
        this.#receivedConnack(packet);
        return;
      case 'publish':
        this.#receivedPublish(packet);
        return;
      case 'puback':
      case 'pubcomp':
        this.#acknowledged(packet);
        return;
      case 'pubrec':
        this.#receivedPubrec(packet);
        return;
      case 'pubrel':
        this.#receivedPubrel(packet);
        return;
      case 'suback':
        this.#onEvent({ kind: 'subscribed', packet });
        return;
      case 'unsuback':
        this.#onEvent({ kind: 'unsubscribed', packet });
        return;
      case 'pingresp':
        this.#pingMs = undefined;
        return;
      case 'disconnect':
        this.#state = 'closed';
        this.#onEvent({ kind: 'disconnected', packet });
        return;
      case 'pingreq':
        this.#send({ type: 'pingresp' }); // as libmosquitto answers a server that asks
        return;
      case 'auth':
        this.#fail(ReasonCode.protocolError, 'AUTH without an authentication under way');
        return;
      case 'connect':
      case 'subscribe':
      case 'unsubscribe':
        // The decoder takes none of these from a server.
        this.#fail(ReasonCode.protocolError, `${packet.type} from the server`);
        return;
      default:
        assertNever(packet);
    }
  }

  #receivedConnack(packet: ConnackPacket): void {
    if (this.#state !== 'connecting') {
      this.#fail(ReasonCode.protocolError, 'second CONNACK');
      return;
    }
    if (packet.reasonCode !== 0) {
      this.#state = 'closed';
      this.#onEvent({ kind: 'refused', packet });
      return;
    }
    this.#state = 'connected';
    this.#server = packet.properties;
    const { receiveMaximum, serverKeepAlive } = packet.properties;
    this.#window = Math.min(this.#options.inFlightMax, receiveMaximum ?? 0xffff);
    if (serverKeepAlive !== undefined) this.#keepAliveMs = serverKeepAlive * 1000;
    const { version, cleanStart } = this.#options.connect;
    // MQTT 3.1 does not say whether it remembers: only what was asked for is known.
    const complete = this.#session.resume(version === 3 ? !cleanStart : packet.sessionPresent);
    this.#sendAgain();
    this.#onEvent({ kind: 'connected', packet });
    for (const packetId of complete) {
      this.#onEvent({ kind: 'published', packetId, reasonCode: 0, properties: NO_PROPERTIES });
    }
  }

  /** What an earlier connection left unfinished, in its order [MQTT-4.4.0-1]. */
  #sendAgain(): void {
    for (const inFlight of this.#session.outbound.values()) {
      if (this.#inFlight >= this.#window) return;
      if (inFlight.state === 'released') {
        this.#inFlight += 1;
        this.#acknowledge('pubrel', inFlight.packetId);
      } else {
        this.#launch(inFlight, inFlight.state === 'published');
      }
    }
  }

  #receivedPublish(packet: PublishPacket): void {
    const topic = this.#resolveAlias(packet);
    if (topic === undefined) {
      this.#fail(ReasonCode.topicAliasInvalid, 'PUBLISH with an unknown topic alias');
      return;
    }
    const message = packet.topic === topic ? packet : { ...packet, topic };
    if (packet.qos === 2) {
      this.#session.inbound.set(packet.packetId, message);
      this.#acknowledge('pubrec', packet.packetId);
      return;
    }
    if (packet.qos === 1) this.#acknowledge('puback', packet.packetId);
    this.#onEvent({ kind: 'message', packet: message });
  }

  /** @returns the topic that is meant; `undefined` = an alias that was never set, or one too many */
  #resolveAlias(packet: PublishPacket): string | undefined {
    const alias = packet.properties.topicAlias;
    if (alias === undefined) return packet.topic;
    if (!this.#aliases.allows(alias)) return undefined;
    if (packet.topic === '') return this.#aliases.get(alias);
    this.#aliases.set(alias, packet.topic);
    return packet.topic;
  }

  #receivedPubrel(packet: AckPacket): void {
    const message = this.#session.inbound.get(packet.packetId);
    this.#session.inbound.delete(packet.packetId);
    this.#acknowledge('pubcomp', packet.packetId);
    if (message !== undefined) this.#onEvent({ kind: 'message', packet: message });
  }

  #receivedPubrec(packet: AckPacket): void {
    const inFlight = this.#session.outbound.get(packet.packetId);
    if (packet.reasonCode >= 0x80) {
      this.#acknowledged(packet);
      return;
    }
    if (inFlight !== undefined) inFlight.state = 'released';
    this.#acknowledge('pubrel', packet.packetId);
  }

  /** PUBACK, PUBCOMP, or a PUBREC that refuses: the message has reached its end, whichever it is. */
  #acknowledged(packet: AckPacket): void {
    const { packetId, reasonCode, properties } = packet;
    const inFlight = this.#session.outbound.get(packetId);
    // What was never sent cannot be acknowledged; a late answer to what is done with is left aside, as Mosquitto does.
    if (inFlight === undefined || inFlight.state === 'waiting') return;
    this.#session.outbound.delete(packetId);
    this.#inFlight -= 1;
    if (this.#session.outbound.size > this.#inFlight) this.#launchWaiting();
    this.#onEvent({ kind: 'published', packetId, reasonCode, properties });
  }

  // ------------------------------------------------------------------------------------------------ sending

  #refuse(message: OutgoingMessage): PublishRefusal | undefined {
    if (this.#state !== 'connected') return 'not-connected';
    if (message.topic === '' && message.properties.topicAlias === undefined) return 'no-topic';
    const { maximumQos, maximumPacketSize } = this.#server;
    if (maximumQos !== undefined && message.qos > maximumQos) return 'qos-not-supported';
    if (maximumPacketSize !== undefined && this.#publishLength(message) > maximumPacketSize)
      return 'too-large';
    return undefined;
  }

  /** Bytes of the whole packet. Only asked for if the server has a limit, so it may encode to find out. */
  #publishLength(message: OutgoingMessage): number {
    return encodePacket(publishPacket(message, 1, false), this.#options.connect.version).length;
  }

  #launchWaiting(): void {
    for (const inFlight of this.#session.outbound.values()) {
      if (this.#inFlight >= this.#window) return;
      if (inFlight.state === 'waiting') this.#launch(inFlight, false);
    }
  }

  #launch(inFlight: InFlightMessage, dup: boolean): void {
    inFlight.state = 'published';
    this.#inFlight += 1;
    this.#sendPublish(inFlight.message, inFlight.packetId, dup);
  }

  #sendPublish(message: OutgoingMessage, packetId: number, dup: boolean): void {
    this.#send(publishPacket(message, packetId, dup));
  }

  #acknowledge(type: AckPacket['type'], packetId: number): void {
    this.#send({ type, packetId, reasonCode: ReasonCode.success, properties: NO_PROPERTIES });
  }

  #send(packet: Packet): void {
    this.#outgoing.push(encodePacket(packet, this.#options.connect.version));
    this.#sentMs = this.#nowMs;
    if (this.#trace) this.#onEvent({ kind: 'sent', packet });
  }

  /** The server broke the protocol. MQTT 5.0 tells it so [MQTT 5.0, 4.13.1]. */
  #fail(reasonCode: number, message: string): void {
    if (this.#state === 'closed') return;
    if (this.#options.connect.version === 5 && this.#state === 'connected') {
      this.#send({ type: 'disconnect', reasonCode, properties: NO_PROPERTIES });
    }
    this.#close('protocol-error', message);
  }

  #close(fault: ClientFault, message: string): void {
    this.#state = 'closed';
    this.#onEvent({ kind: 'failed', fault, message });
  }
}

function publishPacket(message: OutgoingMessage, packetId: number, dup: boolean): PublishPacket {
  const { topic, payload, qos, retain, properties } = message;
  return { type: 'publish', topic, payload, qos, retain, dup, packetId, properties };
}

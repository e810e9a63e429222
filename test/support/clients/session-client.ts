/**
 * A light client that follows the rules of QoS 0, 1 and 2 by itself and counts on order: for tests with many
 * connections and many messages, where a full client library would be what is measured.
 */
import type { TestContext } from 'node:test';
import type {
  Packet,
  ProtocolVersion,
  PublishPacket,
  Qos,
  SubscriptionRequest,
} from '../../../src/mqtt/packets.js';
import type { Broker } from '../brokers/broker.js';
import { patienceMs, within } from '../within.js';
import { type ConnectOptions, connectPacket, PacketSocket } from './packet-socket.js';

/** Reason codes from here on are failures. */
const refusal = 0x80;

interface Exchange {
  awaited: Packet['type'];
  resolve: () => void;
  reject: (error: Error) => void;
}

export interface SessionClientOptions extends ConnectOptions {
  /** Set before the first message can come. */
  onMessage?: (message: PublishPacket) => void;
  /** The client whose session this one continues. */
  previous?: SessionClient | undefined;
}

export class SessionClient {
  /** Called for each message, once: a QoS 2 message at its first PUBLISH. */
  onMessage: (message: PublishPacket) => void = () => {};
  sessionPresent = false;
  #socket!: PacketSocket;
  #packetId = 0;
  #connected: Exchange | undefined;
  /** Our own requests by packet id. */
  readonly #exchanges = new Map<number, Exchange>();
  /** Packet ids of QoS 2 messages received and not yet released: what outlives the connection. */
  #unreleased = new Set<number>();
  #closed: Error | undefined;
  #onClosed: () => void = () => {};
  /** Packets that wait for the end of the older connection of this session. */
  #held: Packet[] | undefined;

  static async connect(
    t: TestContext,
    broker: Broker,
    version: ProtocolVersion,
    { onMessage, previous, ...options }: SessionClientOptions = {},
  ): Promise<SessionClient> {
    const client = new SessionClient();
    if (onMessage !== undefined) client.onMessage = onMessage;
    if (previous !== undefined) client.#continueSession(previous);
    client.#socket = await PacketSocket.open(t, broker.port, version, {
      onPacket: (packet) => client.#accept(packet),
      onClose: (error) => client.#close(error ?? new Error('The broker closed the connection.')),
    });
    const connected = new Promise<void>((resolve, reject) => {
      client.#connected = { awaited: 'connack', resolve, reject };
    });
    client.#socket.send(connectPacket(version, options));
    await within(patienceMs, connected, () => 'waiting for CONNACK');
    return client;
  }

  /** @returns at the SUBACK. */
  subscribe(filter: string, qos: Qos): Promise<void> {
    const request: SubscriptionRequest = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    };
    return this.#request('suback', (packetId) =>
      this.#socket.send({ type: 'subscribe', packetId, subscriptions: [request], properties: {} }),
    );
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#request('unsuback', (packetId) =>
      this.#socket.send({ type: 'unsubscribe', packetId, filters: [filter], properties: {} }),
    );
  }

  /** @returns when the broker has taken the message over; at once for QoS 0. */
  publish(topic: string, payload: Uint8Array, qos: Qos, retain = false): Promise<void> {
    const message = {
      type: 'publish' as const,
      topic,
      payload,
      qos,
      retain,
      dup: false,
      properties: {},
    };
    if (qos === 0) {
      this.#socket.send({ ...message, packetId: 0 });
      return Promise.resolve();
    }
    return this.#request(qos === 1 ? 'puback' : 'pubcomp', (packetId) =>
      this.#socket.send({ ...message, packetId }),
    );
  }

  /** Breaks the connection; what the broker had sent and we had not read is gone. */
  destroy(): void {
    this.#socket.destroy();
  }

  #request(awaited: Packet['type'], send: (packetId: number) => void): Promise<void> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const packetId = this.#nextPacketId();
    const answered = new Promise<void>((resolve, reject) => {
      this.#exchanges.set(packetId, { awaited, resolve, reject });
    });
    send(packetId);
    return within(
      patienceMs,
      answered,
      () => `waiting for ${awaited.toUpperCase()} of packet id ${packetId}`,
    );
  }

  #nextPacketId(): number {
    do this.#packetId = (this.#packetId % 0xffff) + 1;
    while (this.#exchanges.has(this.#packetId));
    return this.#packetId;
  }

  /**
   * What came on the older connection counts before what comes on this one, in whatever order the event loop finds
   * the two sockets readable.
   */
  #continueSession(previous: SessionClient): void {
    this.#unreleased = previous.#unreleased;
    if (previous.#closed !== undefined) return;
    this.#held = [];
    previous.#onClosed = () => {
      const held = this.#held ?? [];
      this.#held = undefined;
      for (const packet of held) this.#receive(packet);
    };
  }

  #accept(packet: Packet): void {
    if (this.#held === undefined) this.#receive(packet);
    else this.#held.push(packet);
  }

  #receive(packet: Packet): void {
    switch (packet.type) {
      case 'connack':
        this.sessionPresent = packet.sessionPresent;
        if (packet.reasonCode === 0) this.#connected?.resolve();
        else this.#connected?.reject(new Error(`Refused with code ${packet.reasonCode}.`));
        return;
      case 'publish':
        this.#receivePublish(packet);
        return;
      case 'pubrel':
        this.#unreleased.delete(packet.packetId);
        this.#socket.send({ ...packet, type: 'pubcomp' });
        return;
      case 'pubrec':
        if (packet.reasonCode >= refusal) this.#answer('pubcomp', packet.packetId, packet.reasonCode);
        else this.#socket.send({ ...packet, type: 'pubrel', reasonCode: 0, properties: {} });
        return;
      case 'puback':
      case 'pubcomp':
        this.#answer(packet.type, packet.packetId, packet.reasonCode);
        return;
      case 'suback':
      case 'unsuback':
        this.#answer(packet.type, packet.packetId, Math.max(...packet.reasonCodes, 0));
        return;
      default:
        this.#close(new Error(`The broker sent ${packet.type.toUpperCase()}.`));
    }
  }

  #receivePublish(packet: PublishPacket): void {
    const { qos, packetId } = packet;
    if (qos === 1) this.#socket.send({ type: 'puback', packetId, reasonCode: 0, properties: {} });
    if (qos === 2) {
      this.#socket.send({ type: 'pubrec', packetId, reasonCode: 0, properties: {} });
      if (this.#unreleased.has(packetId)) return;
      this.#unreleased.add(packetId);
    }
    this.onMessage(packet);
  }

  #answer(type: Packet['type'], packetId: number, reasonCode: number): void {
    const exchange = this.#exchanges.get(packetId);
    if (exchange === undefined || exchange.awaited !== type) {
      this.#close(new Error(`${type.toUpperCase()} for packet id ${packetId}, which does not wait for it.`));
      return;
    }
    this.#exchanges.delete(packetId);
    if (reasonCode < refusal) exchange.resolve();
    else exchange.reject(new Error(`${type.toUpperCase()} with reason code ${reasonCode}.`));
  }

  #close(error: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = error;
    this.#socket.destroy();
    this.#connected?.reject(error);
    for (const exchange of this.#exchanges.values()) exchange.reject(error);
    this.#exchanges.clear();
    this.#onClosed();
  }
}

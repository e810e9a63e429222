/**
 * A client whose session lasts over connections and over kills of the broker: whatever the broker had not
 * acknowledged is sent again on the next connection, as MQTT asks of a client with clean session off.
 */
import type { TestContext } from 'node:test';
import type { Packet, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import type { Broker } from '../brokers/broker.js';
import { patienceMs, within } from '../within.js';
import { connectPacket, PacketSocket } from './packet-socket.js';

/** A request that is on its way, and what is to be sent for it on a new connection. */
interface Request {
  packet: Packet;
  awaited: Packet['type'];
  resolve: () => void;
}

export class DurableClient {
  readonly clientId: string;
  /** Called for each message, once for each PUBLISH that is no repetition. */
  readonly #onMessage: (message: PublishPacket) => void;
  #socket: PacketSocket | undefined;
  #connecting: { accepted: (sessionPresent: boolean) => void; lost: (error: Error) => void } | undefined;
  #ended: Promise<void> = Promise.resolve();
  #packetId = 0;
  /** By packet id, in the order of their first sending. */
  readonly #requests = new Map<number, Request>();
  /** Packet ids of QoS 2 messages received and not yet released. */
  readonly #unreleased = new Set<number>();

  constructor(clientId: string, onMessage: (message: PublishPacket) => void = () => {}) {
    this.clientId = clientId;
    this.#onMessage = onMessage;
  }

  /** Requests that are not acknowledged. */
  get pending(): number {
    return this.#requests.size;
  }

  /** Connects and sends again what is not acknowledged. @returns whether the broker has the session */
  async connect(t: TestContext, broker: Broker): Promise<boolean> {
    await this.#ended;
    let ended = () => {};
    this.#ended = new Promise((resolve) => {
      ended = resolve;
    });
    const socket = await PacketSocket.open(t, broker.port, 4, {
      onPacket: (packet) => this.#receive(packet),
      onClose: () => {
        this.#socket = undefined;
        this.#connecting?.lost(new Error(`${this.clientId} lost its connection before CONNACK`));
        this.#connecting = undefined;
        ended();
      },
    });
    const connected = new Promise<boolean>((accepted, lost) => {
      this.#connecting = { accepted, lost };
    });
    this.#socket = socket;
    socket.send(connectPacket(4, { clientId: this.clientId, cleanStart: false }));
    return within(patienceMs, connected, () => `${this.clientId} waits for CONNACK`);
  }

  /** @returns when the connection is gone, be that in an hour */
  get lost(): Promise<void> {
    return this.#ended;
  }

  /** @returns when the connection is gone, which is about to happen */
  get ended(): Promise<void> {
    return within(patienceMs, this.#ended, () => `${this.clientId} waits for the end of its connection`);
  }

  disconnect(): Promise<void> {
    this.#socket?.send({ type: 'disconnect', reasonCode: 0, properties: {} });
    this.#socket?.end();
    return this.ended;
  }

  /** @returns when it is acknowledged, be it several connections later */
  publish(topic: string, payload: string, { qos = 1 as Qos, retain = false } = {}): Promise<void> {
    const message = { type: 'publish' as const, topic, payload: Buffer.from(payload), qos, retain };
    return this.#request(qos === 1 ? 'puback' : 'pubcomp', (packetId) => ({
      ...message,
      packetId,
      dup: false,
      properties: {},
    }));
  }

  subscribe(filter: string, qos: Qos): Promise<void> {
    const request = { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const };
    return this.#request('suback', (packetId) => ({
      type: 'subscribe',
      packetId,
      subscriptions: [request],
      properties: {},
    }));
  }

  unsubscribe(filter: string): Promise<void> {
    return this.#request('unsuback', (packetId) => ({
      type: 'unsubscribe',
      packetId,
      filters: [filter],
      properties: {},
    }));
  }

  #request(awaited: Packet['type'], packetFor: (packetId: number) => Packet): Promise<void> {
    const packetId = this.#nextPacketId();
    const packet = packetFor(packetId);
    return new Promise((resolve) => {
      this.#requests.set(packetId, { packet, awaited, resolve });
      if (this.#connecting === undefined) this.#socket?.send(packet);
    });
  }

  #nextPacketId(): number {
    do this.#packetId = (this.#packetId % 0xffff) + 1;
    while (this.#requests.has(this.#packetId));
    return this.#packetId;
  }

  #receive(packet: Packet): void {
    switch (packet.type) {
      case 'connack':
        this.#resend();
        this.#connecting?.accepted(packet.sessionPresent);
        this.#connecting = undefined;
        return;
      case 'publish':
        this.#receivePublish(packet);
        return;
      case 'pubrel':
        this.#unreleased.delete(packet.packetId);
        this.#socket?.send({ ...packet, type: 'pubcomp' });
        return;
      case 'pubrec':
        this.#release(packet.packetId);
        return;
      case 'puback':
      case 'pubcomp':
      case 'suback':
      case 'unsuback':
        this.#answered(packet.type, packet.packetId);
        return;
      default:
        throw new Error(`${this.clientId} got ${packet.type.toUpperCase()}`);
    }
  }

  #resend(): void {
    for (const { packet } of this.#requests.values()) {
      this.#socket?.send(packet.type === 'publish' ? { ...packet, dup: true } : packet);
    }
  }

  #receivePublish(packet: PublishPacket): void {
    const { qos, packetId } = packet;
    if (qos === 1) this.#socket?.send({ type: 'puback', packetId, reasonCode: 0, properties: {} });
    if (qos === 2) {
      this.#socket?.send({ type: 'pubrec', packetId, reasonCode: 0, properties: {} });
      if (this.#unreleased.has(packetId)) return;
      this.#unreleased.add(packetId);
    }
    this.#onMessage(packet);
  }

  /** From here on it is PUBREL that is sent again. */
  #release(packetId: number): void {
    const request = this.#requests.get(packetId);
    const pubrel: Packet = { type: 'pubrel', packetId, reasonCode: 0, properties: {} };
    if (request !== undefined) request.packet = pubrel;
    this.#socket?.send(pubrel);
  }

  #answered(type: Packet['type'], packetId: number): void {
    const request = this.#requests.get(packetId);
    if (request?.awaited !== type) throw new Error(`${type} for ${packetId}, which does not wait for it`);
    this.#requests.delete(packetId);
    request.resolve();
  }
}

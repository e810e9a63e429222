/**
 * A client that does nothing by itself: the test sends each packet, well formed or not, and says which packet has to
 * come next. What arrives waits in a queue, so that nothing is missed.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { inspect } from 'node:util';
import type {
  ConnackPacket,
  Packet,
  ProtocolVersion,
  PublishPacket,
  Qos,
  SubscriptionRequest,
} from '../../../src/mqtt/packets.js';
import type { Broker } from '../brokers/broker.js';
import { patienceMs, within } from '../within.js';
import { type ConnectOptions, connectPacket, type PacketOf, PacketSocket } from './packet-socket.js';

export interface SubscribeOptions extends Partial<Omit<SubscriptionRequest, 'filter' | 'qos'>> {
  packetId?: number;
  /** The subscription identifier. */
  identifier?: number;
}

export class RawClient {
  /** The answer to the CONNECT. */
  connack: ConnackPacket | undefined;
  readonly #arrived: Packet[] = [];
  #socket!: PacketSocket;
  #closed: { error: Error | undefined } | undefined;
  #wake: () => void = () => {};

  /** A TCP connection on which nothing has been sent. `version` is that of the packets to come. */
  static async open(t: TestContext, broker: Broker, version: ProtocolVersion): Promise<RawClient> {
    const client = new RawClient();
    client.#socket = await PacketSocket.open(t, broker.port, version, {
      onPacket: (packet) => {
        client.#arrived.push(packet);
        client.#wake();
      },
      onClose: (error) => {
        client.#closed = { error };
        client.#wake();
      },
    });
    return client;
  }

  /** A connection that the broker has accepted. */
  static async connect(
    t: TestContext,
    broker: Broker,
    version: ProtocolVersion,
    options: ConnectOptions = {},
  ): Promise<RawClient> {
    const client = await RawClient.open(t, broker, version);
    client.send(connectPacket(version, options));
    client.connack = await client.expectPacket('connack', { reasonCode: 0 });
    return client;
  }

  /** @param packet or its bytes, or those in hexadecimal digits. */
  send(packet: Packet | Uint8Array | string): void {
    if (typeof packet === 'string' || packet instanceof Uint8Array) this.#socket.sendBytes(packet);
    else this.#socket.send(packet);
  }

  sendPublish(
    topic: string,
    payload: string,
    options: Partial<Omit<PublishPacket, 'type' | 'topic' | 'payload'>> = {},
  ): void {
    const { qos = 0, retain = false, dup = false, packetId = qos === 0 ? 0 : 1, properties = {} } = options;
    const bytes = Buffer.from(payload);
    this.send({ type: 'publish', topic, payload: bytes, qos, retain, dup, packetId, properties });
  }

  /** Publishes, and waits until the broker has taken the message over (QoS 1 or 2). @returns the reason code. */
  async publish(
    topic: string,
    payload: string,
    options: Partial<Omit<PublishPacket, 'type' | 'topic' | 'payload'>> = {},
  ): Promise<number> {
    const { qos = 1, packetId = 1 } = options;
    this.sendPublish(topic, payload, { ...options, qos, packetId });
    if (qos === 1) return (await this.expectPacket('puback', { packetId })).reasonCode;
    const { reasonCode } = await this.expectPacket('pubrec', { packetId });
    if (reasonCode >= 0x80) return reasonCode;
    this.sendAck('pubrel', packetId);
    await this.expectPacket('pubcomp', { packetId });
    return reasonCode;
  }

  sendAck(type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode, properties: {} });
  }

  sendSubscribe(filter: string, qos: Qos = 0, options: SubscribeOptions = {}): void {
    const { packetId = 1, identifier, ...flags } = options;
    const request = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
      ...flags,
    };
    const properties = identifier === undefined ? {} : { subscriptionIdentifiers: [identifier] };
    this.send({ type: 'subscribe', packetId, subscriptions: [request], properties });
  }

  /** Subscribes, and waits for the SUBACK that grants it. */
  async subscribe(filter: string, qos: Qos = 0, options: SubscribeOptions = {}): Promise<void> {
    this.sendSubscribe(filter, qos, options);
    await this.expectPacket('suback', { packetId: options.packetId ?? 1, reasonCodes: [qos] });
  }

  /** Unsubscribes, and waits for the UNSUBACK. @returns its reason codes. */
  async unsubscribe(...filters: string[]): Promise<number[]> {
    this.send({ type: 'unsubscribe', packetId: 2, filters, properties: {} });
    return (await this.expectPacket('unsuback', { packetId: 2 })).reasonCodes;
  }

  /** The next packet. @throws when the connection closes instead, or nothing comes. */
  async next(what = 'a packet'): Promise<Packet> {
    await this.#until(() => this.#arrived.length > 0, what);
    return this.#arrived.shift()!;
  }

  /**
   * The next packet, which must be of this type.
   *
   * @param fields that it must have; others are not looked at.
   */
  async expectPacket<Type extends Packet['type']>(
    type: Type,
    fields: Partial<PacketOf<Type>> = {},
  ): Promise<PacketOf<Type>> {
    const packet = (await this.next(type.toUpperCase())) as PacketOf<Type>;
    assert.equal(packet.type, type, `${type.toUpperCase()} wanted, ${inspect(packet)} came`);
    for (const name of Object.keys(fields) as (keyof PacketOf<Type>)[]) {
      assert.deepEqual(packet[name], fields[name], `${type.toUpperCase()} with another ${String(name)}`);
    }
    return packet;
  }

  /** The next packet must be a PUBLISH of this. @returns it. */
  async expectPublish(
    topic: string,
    payload: string,
    fields: Partial<PacketOf<'publish'>> = {},
  ): Promise<PacketOf<'publish'>> {
    const packet = await this.expectPacket('publish', { topic, ...fields });
    assert.equal(Buffer.from(packet.payload).toString(), payload);
    return packet;
  }

  /** The broker must close the connection, without a further packet. */
  async expectClosed(): Promise<void> {
    await this.#until(
      () => this.#closed !== undefined || this.#arrived.length > 0,
      'the end of the connection',
    );
    assert.deepEqual(this.#arrived, [], 'packets before the end of the connection');
    if (this.#closed?.error !== undefined) throw this.#closed.error;
  }

  /**
   * Nothing must have been sent to us so far. A round trip shows it: the broker answers a connection's packets in
   * order, so that what it has sent before comes before the PINGRESP.
   */
  async expectSilence(): Promise<void> {
    this.send({ type: 'pingreq' });
    await this.expectPacket('pingresp');
  }

  /** Leaves in good order. */
  async disconnect(): Promise<void> {
    this.send({ type: 'disconnect', reasonCode: 0, properties: {} });
    await this.expectClosed();
  }

  /** Breaks the connection. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Ends our side of the connection without a DISCONNECT. */
  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  #until(done: () => boolean, what: string): Promise<void> {
    const reached = new Promise<void>((resolve, reject) => {
      this.#wake = () => {
        if (done()) resolve();
        else if (this.#closed !== undefined) {
          reject(
            this.#closed.error ?? new Error(`Waited for ${what}, but the broker closed the connection.`),
          );
        }
      };
      this.#wake();
    });
    return within(patienceMs, reached, () => `waiting for ${what}; nothing came`);
  }
}

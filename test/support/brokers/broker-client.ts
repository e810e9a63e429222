/** A client of the broker fixture: its packets go in, and what the broker sends is decoded and waits to be looked at. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import type { Connection } from '../../../src/broker/connection.js';
import { openConnection } from '../../../src/broker/packet-path.js';
import type { Detached, Transport } from '../../../src/broker/ports.js';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type {
  AckPacket,
  ConnackPacket,
  Packet,
  Properties,
  ProtocolVersion,
  PublishPacket,
  Qos,
  SubscriptionRequest,
} from '../../../src/mqtt/packets.js';
import { type ConnectOptions, connectPacket, type PacketOf } from '../clients/packet-socket.js';
import { publishPacket } from '../packets/publication.js';
import type { BrokerFixture } from './broker-fixture.js';

let lastPort = 40_000;

export class BrokerClient {
  readonly version: ProtocolVersion;
  readonly connection: Connection;
  /** The answer to the CONNECT. */
  connack: ConnackPacket | undefined;
  clientId = '';
  readonly fixture: BrokerFixture;
  readonly #transport: TestTransport;
  readonly #arrived: Packet[] = [];
  #lastPacketId = 0;

  constructor(fixture: BrokerFixture, version: ProtocolVersion, listener: number) {
    this.fixture = fixture;
    this.version = version;
    this.#transport = new TestTransport(listener, version, (packet) => this.#arrived.push(packet));
    this.connection = openConnection(fixture.broker, this.#transport);
    this.#transport.connection = this.connection;
  }

  get isClosed(): boolean {
    return this.#transport.isClosed;
  }

  // ----------------------------------------------------------------- sending

  /** Sends packets, or bytes, as one piece. */
  send(...packets: (Packet | Uint8Array)[]): void {
    const bytes = packets.map((one) => (one instanceof Uint8Array ? one : encodePacket(one, this.version)));
    this.#transport.feed(Buffer.concat(bytes));
    this.fixture.flush();
  }

  /** Sends a CONNECT; what answers it is not looked at. */
  async connect(options: ConnectOptions = {}): Promise<void> {
    const packet = connectPacket(this.version, options);
    this.clientId = packet.clientId;
    this.send(packet);
    await this.fixture.settle();
  }

  publish(topic: string, payload: string, fields: Partial<PublishPacket> = {}): void {
    const packetId = (fields.qos ?? 0) > 0 ? (fields.packetId ?? this.nextPacketId()) : 0;
    this.send(publishPacket({ topic, payload: Buffer.from(payload), ...fields, packetId }));
  }

  ack(type: AckPacket['type'], packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode, properties: {} });
  }

  /** Subscribes, and takes the SUBACK. @returns the granted QoS */
  subscribe(
    filter: string,
    qos: Qos = 0,
    options: Partial<SubscriptionRequest> & { identifier?: number } = {},
  ): number {
    const { identifier, ...request } = options;
    const properties: Properties = identifier === undefined ? {} : { subscriptionIdentifiers: [identifier] };
    const packetId = this.nextPacketId();
    const subscription = {
      filter,
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    };
    this.send({ type: 'subscribe', packetId, subscriptions: [{ ...subscription, ...request }], properties });
    return this.expectPacket('suback', { packetId }).reasonCodes[0]!;
  }

  /** Unsubscribes, and takes the UNSUBACK. @returns its reason codes */
  unsubscribe(...filters: string[]): number[] {
    const packetId = this.nextPacketId();
    this.send({ type: 'unsubscribe', packetId, filters, properties: {} });
    return this.expectPacket('unsuback', { packetId }).reasonCodes;
  }

  /** The same without looking at what answers. */
  unsubscribeWithout(...filters: string[]): void {
    this.send({ type: 'unsubscribe', packetId: this.nextPacketId(), filters, properties: {} });
  }

  /** Leaves in good order. */
  disconnect(reasonCode = 0, properties: Properties = {}): void {
    this.send({ type: 'disconnect', reasonCode, properties });
    this.expectClosed();
  }

  /** The connection breaks, as when the client loses power. */
  breakOff(): void {
    this.connection.transportEnded('');
    this.fixture.flush();
  }

  nextPacketId(): number {
    this.#lastPacketId += 1;
    return this.#lastPacketId;
  }

  // ----------------------------------------------------------------- receiving

  /** What has come since the last look. */
  take(): Packet[] {
    return this.#arrived.splice(0);
  }

  /** The publishes among it in short, "topic payload"; nothing else may have come. */
  takePublishes(): string[] {
    return this.take().map((packet) => {
      assert.equal(packet.type, 'publish', inspect(packet));
      const { topic, payload } = packet as PublishPacket;
      return `${topic} ${Buffer.from(payload).toString()}`;
    });
  }

  /** The next packet, which must be of this type. @param fields that it must have; others are not looked at */
  expectPacket<Type extends Packet['type']>(
    type: Type,
    fields: Partial<PacketOf<Type>> = {},
  ): PacketOf<Type> {
    const packet = this.#arrived.shift() as PacketOf<Type> | undefined;
    assert.equal(packet?.type, type, `${type.toUpperCase()} wanted, ${inspect(packet)} came`);
    for (const name of Object.keys(fields) as (keyof PacketOf<Type>)[]) {
      assert.deepEqual(packet![name], fields[name], `${type.toUpperCase()} with another ${String(name)}`);
    }
    return packet!;
  }

  /** The next packet must be a PUBLISH of this. */
  expectPublish(topic: string, payload: string, fields: Partial<PublishPacket> = {}): PublishPacket {
    const packet = this.expectPacket('publish', fields);
    assert.equal(`${packet.topic} ${Buffer.from(packet.payload).toString()}`, `${topic} ${payload}`);
    return packet;
  }

  expectNothing(): void {
    assert.deepEqual(this.#arrived, []);
  }

  /**
   * The broker must have closed the connection.
   * @param reasonCode of the DISCONNECT before that to a client of MQTT 5.0; without one, none must have come
   */
  expectClosed(reasonCode?: number): void {
    if (reasonCode !== undefined && this.version === 5) this.expectPacket('disconnect', { reasonCode });
    this.expectNothing();
    assert.ok(this.isClosed, 'the connection is open');
  }

  // ----------------------------------------------------------------- the network

  /** For benchmarks: what is written to this client is gone, and nobody looks at it. */
  dropOutput(): void {
    this.#transport.write = () => true;
  }

  /** For benchmarks: bytes of this client, worked on in place, and the end of the turn. */
  receive(bytes: Buffer): void {
    this.connection.receive(bytes, bytes.length);
    this.fixture.flush();
  }

  /** Takes nothing any more: what the broker writes backs up. */
  block(): void {
    this.#transport.blocked = true;
  }

  /** Takes all that has backed up. */
  unblock(): void {
    this.#transport.unblock();
    this.fixture.flush();
  }

  /** The broker does not read from this client at the moment. */
  get isHeldBack(): boolean {
    return this.#transport.isPaused;
  }
}

/** The network between client and broker: takes and gives bytes at once, or as the test says. */
class TestTransport implements Transport {
  readonly remoteAddress = '192.0.2.1';
  readonly remotePort: number;
  readonly listener: number;
  readonly tls = null;
  connection: Connection | null = null;
  blocked = false;
  isPaused = false;
  isClosed = false;
  #unread = Buffer.alloc(0);
  #blockedWrite: { chunk: Buffer; length: number } | null = null;
  readonly #framer: Framer;

  constructor(listener: number, version: ProtocolVersion, onPacket: (packet: Packet) => void) {
    lastPort += 1;
    this.remotePort = lastPort;
    this.listener = listener;
    this.#framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, version, 'server');
      if (isPacketError(packet)) assert.fail(`the broker sent a malformed packet: ${packet.message}`);
      onPacket(packet);
      return true;
    });
  }

  /** Bytes of the client; those that come while the broker does not read wait, as in the kernel. */
  feed(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    this.#read();
  }

  #read(): void {
    while (this.#unread.length > 0 && !this.isPaused && !this.isClosed) {
      const piece = Buffer.from(this.#unread.subarray(0, 65_536));
      this.#unread = this.#unread.subarray(piece.length);
      this.connection!.receive(piece, piece.length);
      piece.fill(0xee); // the buffer is used again: what is to stay has to have been copied
    }
  }

  write(chunk: Buffer, length: number): boolean {
    assert.ok(!this.isClosed, 'written to a closed connection');
    if (this.blocked) {
      this.#blockedWrite = { chunk, length };
      return false;
    }
    assert.equal(this.#framer.push(chunk, length), undefined);
    return true;
  }

  unblock(): void {
    this.blocked = false;
    const write = this.#blockedWrite;
    this.#blockedWrite = null;
    if (write === null) return;
    assert.equal(this.#framer.push(write.chunk, write.length), undefined);
    this.connection!.drained();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.#read();
  }

  end(): void {
    this.isClosed = true;
  }

  destroy(): void {
    this.isClosed = true;
  }

  detach(): Detached {
    this.isClosed = true;
    const unread = this.#unread;
    this.#unread = Buffer.alloc(0);
    return { handover: -1, unread };
  }
}

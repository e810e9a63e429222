/**
 * Half an hour of a bad link in virtual time, between a bridge and the core of another broker: cut in the middle of
 * anything, deaf, refused, slow. What is acknowledged arrives; with QoS 2 once. The seed is in the test's name, so that
 * a failure can be repeated.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Bridge } from '../../../src/bridge/bridge.js';
import type { Channel, ChannelEvents, Uplink } from '../../../src/bridge/uplink.js';
import { tickBroker } from '../../../src/broker/upkeep.js';
import { type BridgeSettings, defaultsOf } from '../../../src/config/settings.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { Random } from '../../support/random.js';

const stepMs = 100;
const badSteps = (30 * 60 * 1000) / stepMs;
/** Steps in which everything that was lost has to be made up for. */
const goodSteps = (3 * 60 * 1000) / stepMs;
const stateTopic = '$SYS/broker/connection/gateway/state';
const seed = Date.now() >>> 0;

/** A connection that holds bytes for a while; each direction keeps its order. */
class Wire implements Channel {
  isOpen = true;
  /** Nothing passes, nothing is closed. */
  isDeaf = false;
  delaySteps = 0;
  readonly #far: BrokerClient;
  #events: ChannelEvents | null = null;
  #onTheWay: { dueStep: number; deliver: () => void }[] = [];
  #step = 0;

  constructor(far: BrokerClient) {
    this.#far = far;
  }

  serve(events: ChannelEvents): void {
    this.#events = events;
  }

  write(chunk: Buffer, length: number): boolean {
    const bytes = Buffer.from(chunk.subarray(0, length));
    this.#send(() => this.#far.isClosed || this.#far.send(bytes));
    return true;
  }

  pause(): void {}

  resume(): void {}

  end(): void {
    this.destroy();
  }

  /** By the bridge: if the wire is deaf the other broker does not hear of it. */
  destroy(): void {
    this.isOpen = false;
    this.#events = null;
    if (!this.isDeaf && !this.#far.isClosed) this.#far.breakOff();
  }

  /** Whatever is on the way is lost, and both ends know. */
  cut(): void {
    const events = this.#events;
    if (!this.#far.isClosed) this.#far.breakOff();
    this.isOpen = false;
    this.#events = null;
    this.#onTheWay = [];
    events?.closed('cut', true);
  }

  move(step: number): void {
    this.#step = step;
    for (const packet of this.#far.take()) {
      const bytes = encodePacket(packet, 4);
      this.#send(() => this.#events?.received(bytes, bytes.length));
    }
    while (this.isOpen && this.#onTheWay[0] !== undefined && this.#onTheWay[0].dueStep <= step) {
      this.#onTheWay.shift()!.deliver();
    }
    if (this.isOpen && !this.isDeaf && this.#far.isClosed) this.cut();
  }

  #send(deliver: () => void): void {
    if (!this.isDeaf) this.#onTheWay.push({ dueStep: this.#step + this.delaySteps, deliver });
  }
}

/** The way to the other broker: there, or refusing. */
class Way implements Uplink {
  isThere = true;
  wire: Wire | null = null;
  /** Connections made. */
  count = 0;
  readonly #far: BrokerFixture;
  #pending: (() => void)[] = [];

  constructor(far: BrokerFixture) {
    this.#far = far;
  }

  open(
    _settings: BridgeSettings,
    _address: unknown,
    opened: (channel: Channel) => void,
    failed: (why: string) => void,
  ): () => void {
    let isGivenUp = false;
    this.#pending.push(() => {
      if (isGivenUp) return;
      if (!this.isThere) return failed('refused');
      this.count += 1;
      this.wire = new Wire(this.#far.open(4));
      opened(this.wire);
    });
    return () => {
      isGivenUp = true;
    };
  }

  probe(): () => void {
    return () => {};
  }

  settle(): void {
    for (const happen of this.#pending.splice(0)) happen();
  }
}

/** A client of one of the brokers that sends numbers on a topic of its own, and acknowledges what it is sent. */
class Correspondent {
  readonly received = new Map<string, number[]>();
  readonly sent = new Map<string, number>();
  readonly #client: BrokerClient;
  readonly #released = new Set<number>();

  constructor(client: BrokerClient, wanted: string) {
    this.#client = client;
    client.subscribe(wanted, 2);
  }

  send(topic: string, qos: Qos): void {
    const number = this.sent.get(topic) ?? 0;
    this.sent.set(topic, number + 1);
    this.#client.publish(topic, String(number), { qos });
  }

  answer(): void {
    for (const packet of this.#client.take()) {
      if (packet.type === 'publish') this.#receive(packet);
      else if (packet.type === 'pubrel') this.#release(packet.packetId);
      else if (packet.type === 'pubrec') this.#client.ack('pubrel', packet.packetId);
    }
  }

  #receive({ topic, payload, qos, packetId }: PublishPacket): void {
    if (qos === 1) this.#client.ack('puback', packetId);
    if (qos === 2) this.#client.ack('pubrec', packetId);
    if (qos === 2 && this.#released.has(packetId)) return;
    if (qos === 2) this.#released.add(packetId);
    const numbers = this.received.get(topic) ?? [];
    numbers.push(Number(Buffer.from(payload).toString()));
    this.received.set(topic, numbers);
  }

  #release(packetId: number): void {
    this.#released.delete(packetId);
    this.#client.ack('pubcomp', packetId);
  }
}

const line = (pattern: string, direction: 'out' | 'in') =>
  ({ pattern, direction, qos: 2, localPrefix: undefined, remotePrefix: undefined }) as const;

const bridgeSettings: BridgeSettings = {
  ...defaultsOf('bridge'),
  name: 'up',
  address: [{ host: 'far.example', port: 1 }],
  topic: [line('up/#', 'out'), line('down/#', 'in')],
  restartTimeout: { kind: 'jitter', baseSeconds: 1, capSeconds: 10, stableSeconds: 0 },
  keepaliveInterval: 5,
  remoteClientid: 'gateway',
  localClientid: 'local.gateway',
  localCleansession: false,
  bridgeReceiveMaximum: 20,
  givenAt: {},
};

class HalfHour {
  readonly near = new BrokerFixture({ settings: { maxQueuedMessages: 0, sysInterval: 1 }, logMask: 0 });
  readonly far = new BrokerFixture({ settings: { maxQueuedMessages: 0 }, logMask: 0 });
  readonly way = new Way(this.far);
  readonly bridge: Bridge;
  here!: Correspondent;
  there!: Correspondent;
  readonly #random: Random;
  /** In steps. */
  #now = 0;
  #deafUntil = 0;

  constructor(random: Random) {
    this.#random = random;
    const world = {
      broker: this.near.broker,
      uplink: this.way,
      monotonicMs: () => this.near.now,
      random: () => random.below(1000) / 1000,
    };
    this.bridge = new Bridge(world, bridgeSettings);
  }

  async run(): Promise<void> {
    this.here = new Correspondent(await this.near.connect(4), 'down/#');
    this.there = new Correspondent(await this.far.connect(4), 'up/#');
    this.bridge.start();
    // Before the bridge has said for the first time what it wants, the other broker has nothing for it.
    while (this.state !== '1') await this.#step();
    for (let i = 0; i < 10; i += 1) await this.#step();
    const endOfTrouble = this.#now + badSteps;
    while (this.#now < endOfTrouble) {
      this.#trouble();
      this.#talk();
      await this.#step();
    }
    this.way.isThere = true;
    for (let i = 0; i < goodSteps; i += 1) await this.#step();
  }

  /** Something happens to the link about every eight seconds. */
  #trouble(): void {
    const { way } = this;
    const { wire } = way;
    if (this.#random.below(80) !== 0) return;
    const kind = this.#random.below(6);
    if (kind <= 1) wire?.cut();
    else if (kind === 2) {
      way.isThere = false;
      wire?.cut();
    } else if (kind === 3 && wire !== null) {
      wire.isDeaf = true;
      // Two keepalives and some; where the other broker has not answered CONNECT yet, as long as that may take.
      this.#deafUntil = this.#now + (this.state === '1' ? 150 : 350);
    } else if (wire !== null) wire.delaySteps = this.#random.below(12);
    if (kind !== 2) way.isThere = true;
  }

  #talk(): void {
    for (const qos of [1, 2] as const) {
      if (this.#random.below(4) === 0) this.here.send(`up/${qos}`, qos);
      if (this.#random.below(4) === 0) this.there.send(`down/${qos}`, qos);
    }
  }

  async #step(): Promise<void> {
    this.#now += 1;
    const { near, far, way, bridge } = this;
    for (const fixture of [near, far]) {
      fixture.now += stepMs;
      if (this.#now % 10 === 0) tickBroker(fixture.broker);
    }
    if (this.#now % 2 === 0) bridge.tick();
    const isIdle = near.directory.claims.length === 0 && far.directory.claims.length === 0;
    if (!isIdle) {
      await near.settle();
      await far.settle();
    }
    way.settle();
    near.flush();
    far.flush();
    way.wire?.move(this.#now);
    near.flush();
    far.flush();
    this.here.answer();
    this.there.answer();
    if (way.wire?.isDeaf === true && way.wire.isOpen) {
      assert.ok(this.#now <= this.#deafUntil, 'a deaf link is noticed in time');
    }
  }

  get state(): string | undefined {
    return this.near.retained(stateTopic)[0]?.slice(stateTopic.length + 1);
  }
}

describe('thirty minutes of a bad link', { concurrency: 1 }, () => {
  for (const seedOfTest of [1, 2, 611677007, seed]) {
    test(`nothing is lost, QoS 2 comes once, seed ${seedOfTest}`, async () => {
      const world = new HalfHour(new Random(seedOfTest));
      await world.run();
      assert.ok(world.way.count > 50, `${world.way.count} connections`);
      assert.equal(world.state, '1');
      for (const [from, to, way] of [
        [world.here, world.there, 'up'],
        [world.there, world.here, 'down'],
      ] as const) {
        for (const qos of [1, 2]) {
          const topic = `${way}/${qos}`;
          const count = from.sent.get(topic)!;
          assert.ok(count > 3000, `${count} messages`);
          const came = to.received.get(topic)!;
          const firsts = qos === 1 ? [...new Set(came)] : came;
          assert.deepEqual(
            firsts,
            Array.from({ length: count }, (_, i) => i),
          );
        }
      }
    });
  }
});

/**
 * Nothing that was acknowledged is lost or done twice, whoever repeats a request while the first one is not stored yet.
 * The broker core on a real store whose transactions the test holds; "killed" means that what it holds is gone.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { restoreSession, whenEnded } from '../../../src/broker/session-path.js';
import type { Packet, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import { LmdbBrokerStore, StandInStore } from '../../../src/store/broker-store.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { HeldStore } from '../../support/store/held-store.js';
import { openStore, temporaryFolder } from '../../support/store/stores.js';

/** A broker that can be killed. */
class Life {
  fixture!: BrokerFixture;
  held!: HeldStore;
  readonly #t: TestContext;
  readonly #path: string;

  constructor(t: TestContext) {
    this.#t = t;
    this.#path = join(temporaryFolder(t), 'live.mdb');
    this.#begin();
  }

  /** The broker is killed and starts again. */
  async kill(): Promise<void> {
    await this.held.kill();
    this.#begin();
  }

  async commit(): Promise<void> {
    await this.held.commitAll();
    this.fixture.flush();
  }

  /** The client with its session, which stays. */
  async connect(clientId: string, isClean = false): Promise<BrokerClient> {
    const client = this.fixture.open(5, 0);
    const properties = { sessionExpiryInterval: 3600 };
    await client.connect({ clientId, cleanStart: isClean, properties });
    return client;
  }

  /** The same, with its CONNACK. */
  async connected(clientId: string): Promise<BrokerClient> {
    const client = await this.connect(clientId);
    client.connack = client.expectPacket('connack');
    return client;
  }

  /** A session that subscribes to "t" is stored, and its client away. */
  async subscriber(clientId: string, qos: Qos = 2): Promise<void> {
    const client = await this.connected(clientId);
    subscribe(client, qos);
    await this.commit();
    client.expectPacket('suback');
    client.breakOff();
    await this.commit();
  }

  /** A broker with the stored session "s", which subscribes to "t" and whose client is away. */
  static async withSubscriber(t: TestContext, qos: Qos = 2): Promise<Life> {
    const life = new Life(t);
    await life.subscriber('s', qos);
    return life;
  }

  /** The publisher "p", which has sent the QoS 2 message "x" with packet identifier 7. */
  async publisherOf7(): Promise<BrokerClient> {
    const publisher = await this.connected('p');
    publisher.publish('t', 'x', { qos: 2, packetId: 7 });
    return publisher;
  }

  /** The subscriber "s", which comes back and gets that message. */
  async subscriberOf7(): Promise<{ subscriber: BrokerClient; packetId: number }> {
    const subscriber = await this.connected('s');
    await this.commit();
    const { packetId } = subscriber.expectPublish('t', 'x', { qos: 2 });
    return { subscriber, packetId };
  }

  /** What the session gets when its client comes back: payloads, or names of other packets. */
  async receives(clientId: string): Promise<string[]> {
    const client = await this.connected(clientId);
    await this.commit();
    return client
      .take()
      .map((packet) => (packet.type === 'publish' ? Buffer.from(packet.payload).toString() : packet.type));
  }

  #begin(): void {
    this.held = new HeldStore(this.#t, this.#path);
    const store = new LmdbBrokerStore(this.held.store);
    this.fixture = new BrokerFixture({ store });
    for (const { clientId } of [...this.held.store.sessions.list()]) {
      restoreSession(this.fixture.broker, store.loadSession(clientId)!);
    }
  }
}

function subscribe(client: BrokerClient, qos: Qos = 2): void {
  const options = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  const subscriptions = [{ filter: 't', qos, ...options }];
  client.send({ type: 'subscribe', packetId: client.nextPacketId(), subscriptions, properties: {} });
}

describe('what repeats a request waits for what the first one made', () => {
  test('PUBLISH of QoS 2 with DUP on another connection: PUBREC [MQTT-4.3.3-8]', async (t) => {
    const life = await Life.withSubscriber(t);
    const publisher = await life.connected('p');
    await life.commit();
    publisher.publish('t', 'x', { qos: 2, packetId: 7 });
    publisher.expectNothing();
    publisher.breakOff();
    const again = await life.connected('p');
    again.publish('t', 'x', { qos: 2, packetId: 7, dup: true });
    again.expectNothing();
    await life.commit();
    again.expectPacket('pubrec', { packetId: 7, reasonCode: 0 });
    await life.kill();
    const released = await life.connected('p');
    released.ack('pubrel', 7);
    await life.commit();
    released.expectPacket('pubcomp', { packetId: 7, reasonCode: 0 });
    assert.deepEqual(await life.receives('s'), ['x']);
  });

  test('PUBREC, then another connection: PUBREL', async (t) => {
    const life = await Life.withSubscriber(t);
    const publisher = await life.publisherOf7();
    await life.commit();
    publisher.ack('pubrel', 7);
    await life.commit();
    const { subscriber, packetId } = await life.subscriberOf7();
    subscriber.ack('pubrec', packetId);
    subscriber.expectNothing();
    subscriber.breakOff();
    const again = await life.connected('s');
    again.expectNothing();
    await life.commit();
    again.expectPacket('pubrel', { packetId });
    again.expectNothing();
    await life.kill();
    assert.deepEqual(await life.receives('s'), ['pubrel']);
  });

  test('PUBREL on another connection: PUBCOMP', async (t) => {
    const life = await Life.withSubscriber(t);
    const publisher = await life.publisherOf7();
    await life.commit();
    publisher.ack('pubrel', 7);
    publisher.breakOff();
    const again = await life.connected('p');
    again.ack('pubrel', 7);
    again.expectNothing();
    await life.commit();
    again.expectPacket('pubcomp', { packetId: 7 });
    await life.kill();
    assert.deepEqual(await life.receives('s'), ['x']);
  });

  test('PUBREC of a message that was completed: PUBREL', async (t) => {
    const life = await Life.withSubscriber(t);
    const publisher = await life.publisherOf7();
    publisher.ack('pubrel', 7);
    await life.commit();
    const { subscriber, packetId } = await life.subscriberOf7();
    subscriber.ack('pubrec', packetId, 0x80);
    subscriber.breakOff();
    const again = await life.connected('s');
    again.ack('pubrec', packetId);
    again.expectNothing();
    await life.commit();
    again.expectPacket('pubrel', { packetId });
  });

  test('UNSUBSCRIBE on another connection: UNSUBACK', async (t) => {
    const life = await Life.withSubscriber(t);
    const subscriber = await life.connected('s');
    subscriber.unsubscribeWithout('t');
    subscriber.breakOff();
    const again = await life.connected('s');
    again.unsubscribeWithout('t');
    again.expectNothing();
    await life.commit();
    again.expectPacket('unsuback');
    await life.kill();
    assert.equal(life.fixture.broker.sessions.get('s')!.subscriptions.size, 0);
  });

  test('SUBSCRIBE on another connection: SUBACK', async (t) => {
    const life = new Life(t);
    const subscriber = await life.connected('s');
    await life.commit();
    subscribe(subscriber);
    subscriber.breakOff();
    const again = await life.connected('s');
    subscribe(again);
    again.expectNothing();
    await life.commit();
    again.expectPacket('suback');
    await life.kill();
    assert.equal(life.fixture.broker.sessions.get('s')!.subscriptions.size, 1);
  });

  test('a retained message that is set again: PUBACK', async (t) => {
    const life = new Life(t);
    const [one, another] = [await life.connected('p'), await life.connected('q')];
    await life.commit();
    one.publish('t', 'x', { qos: 1, retain: true });
    another.publish('t', 'x', { qos: 1, retain: true });
    another.expectNothing();
    await life.commit();
    another.expectPacket('puback');
    await life.kill();
    assert.deepEqual(life.fixture.retained(), ['t x']);
  });
});

/** The stored session of "s" ends, and its end is not committed yet. */
async function endingSession(
  t: TestContext,
  { by }: { by: 'clean start' | 'DISCONNECT' },
): Promise<{ life: Life; client: BrokerClient }> {
  const life = await Life.withSubscriber(t);
  if (by === 'clean start') return { life, client: await life.connect('s', true) };
  const client = await life.connected('s');
  client.disconnect(0, { sessionExpiryInterval: 0 });
  return { life, client };
}

describe('the end of a session', () => {
  for (const [name, comesBack] of [
    ['a clean start', false],
    ['a clean start after one that was cut off', true],
  ] as const) {
    test(`${name}: CONNACK waits, and the old session does not come back`, async (t) => {
      const life = await Life.withSubscriber(t);
      let client = await life.connect('s', true);
      client.expectNothing();
      if (comesBack) {
        client.breakOff();
        client = await life.connect('s', true);
        client.expectNothing();
      }
      await life.commit();
      client.expectPacket('connack', { sessionPresent: false });
      await life.kill();
      assert.equal(life.fixture.broker.sessions.get('s')?.subscriptions.size ?? 0, 0);
    });
  }

  test('what the client sends before its CONNACK is worked on afterwards', async (t) => {
    const { life, client } = await endingSession(t, { by: 'clean start' });
    client.send({ type: 'pingreq' });
    client.expectNothing();
    await life.commit();
    client.expectPacket('connack');
    client.expectPacket('pingresp');
  });

  test('another connection of the client ends the one that waits, without a DISCONNECT before a CONNACK', async (t) => {
    const life = await Life.withSubscriber(t);
    const first = await life.connect('s', true);
    const second = await life.connect('s', true);
    first.expectClosed();
    await life.commit();
    first.expectNothing();
    second.expectPacket('connack');
  });

  test('a client that waits for its CONNACK for too long is closed', async (t) => {
    const { life, client } = await endingSession(t, { by: 'clean start' });
    life.fixture.advance(31);
    client.expectClosed();
  });

  test('main hears of it when it is stored: no other worker begins a session before', async (t) => {
    const { life } = await endingSession(t, { by: 'DISCONNECT' });
    assert.deepEqual(life.fixture.directory.ended, []);
    let isEnded = false;
    whenEnded(life.fixture.broker, 's', () => {
      isEnded = true;
    });
    assert.equal(isEnded, false);
    await life.commit();
    assert.equal(isEnded, true);
    assert.deepEqual(life.fixture.directory.ended, ['s']);
  });

  test('main does not hear of it where the client has begun another session meanwhile', async (t) => {
    const { life } = await endingSession(t, { by: 'DISCONNECT' });
    await life.connect('s');
    await life.commit();
    assert.deepEqual(life.fixture.directory.ended, []);
  });

  test('publishers wait until it is stored that a session does not want their messages any more', async (t) => {
    const life = await Life.withSubscriber(t, 1);
    const publisher = await life.connected('p');
    await life.commit();
    publisher.publish('t', 'x', { qos: 1 });
    await life.connect('s', true);
    publisher.expectNothing();
    await life.commit();
    publisher.expectPacket('puback');
  });
});

test('while the store stands in for another one, nothing that repeats a request is acknowledged', async (t) => {
  const store = openStore(t, { standIn: 'copy' });
  const fixture = new BrokerFixture({ store: new StandInStore(store, 'copy') });
  const properties = { sessionExpiryInterval: 3600 };
  const first = await fixture.connect(5, { clientId: 'p', cleanStart: false, properties });
  first.publish('t', 'x', { qos: 2, packetId: 7 });
  first.breakOff();
  await store.flush();
  const again = await fixture.connect(5, { clientId: 'p', cleanStart: false, properties });
  again.publish('t', 'x', { qos: 2, packetId: 7, dup: true });
  again.unsubscribeWithout('t');
  await store.flush();
  fixture.flush();
  again.expectNothing();
});

// ------------------------------------------------------------------- against a model

type Step =
  | { kind: 'publish'; qos: 1 | 2 }
  | { kind: 'publisher reconnects' }
  | { kind: 'publisher answers' }
  | { kind: 'subscriber reconnects'; isClean: boolean }
  | { kind: 'subscriber leaves' }
  | { kind: 'subscriber answers' }
  | { kind: 'subscribe' }
  | { kind: 'unsubscribe' }
  | { kind: 'commit succeeds' }
  | { kind: 'commit fails' }
  | { kind: 'commit begins' }
  | { kind: 'kill' };

const just = <Kind extends Step['kind']>(kind: Kind) => fc.record({ kind: fc.constant(kind) });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('publish' as const),
      qos: fc.constantFrom(1 as const, 2 as const),
    }),
  },
  { weight: 3, arbitrary: just('publisher reconnects') },
  { weight: 6, arbitrary: just('publisher answers') },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('subscriber reconnects' as const),
      isClean: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: just('subscriber leaves') },
  { weight: 6, arbitrary: just('subscriber answers') },
  { weight: 2, arbitrary: just('subscribe') },
  { weight: 1, arbitrary: just('unsubscribe') },
  { weight: 6, arbitrary: just('commit succeeds') },
  { weight: 1, arbitrary: just('commit fails') },
  { weight: 2, arbitrary: just('commit begins') },
  { weight: 2, arbitrary: just('kill') },
);

/** A publisher that keeps to the standard: it sends again what is not acknowledged when it comes back. */
class Publisher {
  client: BrokerClient | null = null;
  /** By packet id, what is not acknowledged; "received" after PUBREC. */
  readonly open = new Map<number, { payload: string; qos: 1 | 2; isReceived: boolean }>();
  #unanswered: number[] = [];
  /** Payloads that are acknowledged to their end. */
  readonly done: string[] = [];
  #lastId = 0;
  readonly life: Life;

  constructor(life: Life) {
    this.life = life;
  }

  async connect(): Promise<void> {
    this.client?.breakOff();
    this.client = await this.life.connect('p');
    this.receive();
  }

  publish(payload: string, qos: 1 | 2): void {
    this.#lastId += 1;
    this.open.set(this.#lastId, { payload, qos, isReceived: false });
    if (this.client?.connack !== undefined)
      this.client.publish('t', payload, { qos, packetId: this.#lastId });
  }

  receive(): void {
    for (const packet of this.client?.take() ?? []) this.#take(packet);
  }

  #take(packet: Packet): void {
    if (packet.type === 'connack') {
      this.client!.connack = packet;
      this.#unanswered = [];
      for (const [packetId, { payload, qos, isReceived }] of this.open) {
        if (isReceived) this.client!.ack('pubrel', packetId);
        else this.client!.publish('t', payload, { qos, packetId, dup: true });
      }
    } else if (packet.type === 'pubrec') {
      const message = this.open.get(packet.packetId);
      if (message === undefined) return;
      message.isReceived = true;
      this.#unanswered.push(packet.packetId);
    } else if (packet.type === 'puback' || packet.type === 'pubcomp') {
      const message = this.open.get(packet.packetId);
      if (message === undefined) return;
      if (packet.type === 'pubcomp') assert.ok(message.isReceived, 'PUBCOMP before PUBREC');
      this.open.delete(packet.packetId);
      this.done.push(message.payload);
    }
  }

  answer(): void {
    for (const packetId of this.#unanswered.splice(0)) this.client!.ack('pubrel', packetId);
  }
}

/** A subscriber that keeps to the standard, and hands on each QoS 2 message once. */
class Subscriber {
  client: BrokerClient | null = null;
  /** SUBACK came, and nothing since that ends it was sent: every message acknowledged from here on has to come. */
  isSubscribed = false;
  /** UNSUBACK or a clean start's CONNACK came, and no SUBSCRIBE was sent since: nothing new may come. */
  isUnsubscribed = true;
  readonly delivered: string[] = [];
  /** The same since it last asked for a clean start: then it forgets what of QoS 2 it has, and that may come again. */
  deliveredSinceClean: string[] = [];
  #held = new Set<number>();
  #unanswered: PublishPacket[] = [];
  #releases: number[] = [];
  #isClean = false;
  #subscribing = 0;
  #unsubscribing = 0;

  readonly life: Life;
  readonly forgets: () => void;

  /** @param forgets called when the subscriber is owed nothing of what was before */
  constructor(life: Life, forgets: () => void) {
    this.life = life;
    this.forgets = forgets;
  }

  async connect(isClean: boolean): Promise<void> {
    this.client?.breakOff();
    this.#unanswered = [];
    this.#releases = [];
    this.#subscribing = 0;
    this.#unsubscribing = 0;
    this.#isClean = isClean;
    if (isClean) {
      this.isSubscribed = false;
      this.isUnsubscribed = false;
      this.#held.clear();
      this.deliveredSinceClean = [];
      this.forgets();
    }
    this.client = await this.life.connect('s', isClean);
    this.receive();
  }

  leave(): void {
    this.client?.breakOff();
    this.client = null;
  }

  subscribe(): void {
    if (this.client?.connack === undefined || this.#unsubscribing > 0) return;
    this.isUnsubscribed = false;
    this.#subscribing += 1;
    subscribe(this.client);
  }

  unsubscribe(): void {
    if (this.client?.connack === undefined || this.#subscribing > 0) return;
    this.isSubscribed = false;
    this.forgets();
    this.#unsubscribing += 1;
    this.client.unsubscribeWithout('t');
  }

  receive(): void {
    for (const packet of this.client?.take() ?? []) this.#take(packet);
  }

  #take(packet: Packet): void {
    switch (packet.type) {
      case 'connack':
        this.client!.connack = packet;
        if (this.#isClean) this.isUnsubscribed = true;
        else if (!packet.sessionPresent) this.#expectNoSession();
        return;
      case 'suback':
        this.#subscribing -= 1;
        this.isSubscribed = true;
        return;
      case 'unsuback':
        this.#unsubscribing -= 1;
        this.isUnsubscribed = this.#subscribing === 0;
        return;
      case 'publish': {
        const payload = Buffer.from(packet.payload).toString();
        if (packet.qos !== 2 || !this.#held.has(packet.packetId)) {
          this.delivered.push(payload);
          this.deliveredSinceClean.push(payload);
        }
        if (packet.qos === 2) this.#held.add(packet.packetId);
        this.#unanswered.push(packet);
        return;
      }
      case 'pubrel':
        this.#held.delete(packet.packetId);
        this.#releases.push(packet.packetId);
        return;
    }
  }

  #expectNoSession(): void {
    assert.ok(!this.isSubscribed, 'an acknowledged subscription is gone');
    this.#held.clear();
    this.forgets();
  }

  answer(): void {
    for (const { qos, packetId } of this.#unanswered.splice(0)) {
      this.client!.ack(qos === 1 ? 'puback' : 'pubrec', packetId);
    }
    for (const packetId of this.#releases.splice(0)) this.client!.ack('pubcomp', packetId);
  }
}

test('over any interleaving of requests, reconnects, slow and failing commits and kills the promises hold', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
      const life = new Life(t);
      const publisher = new Publisher(life);
      /** Acknowledged while SUBACK was out: the subscriber has to get them. */
      const owed = new Set<string>();
      /** Sent while the subscriber cannot want it, and acknowledged before it asked again. */
      const unwanted = new Set<string>();
      const subscriber = new Subscriber(life, () => owed.clear());
      let number = 0;
      const ofQos2 = new Set<string>();
      /** Messages sent while the subscription was acknowledged, that are not acknowledged themselves. */
      const candidates = new Set<string>();

      const receive = (): void => {
        subscriber.receive();
        if (!subscriber.isSubscribed) candidates.clear();
        publisher.receive();
        for (const payload of publisher.done.splice(0)) if (candidates.has(payload)) owed.add(payload);
      };
      const settle = async (): Promise<void> => {
        await life.fixture.settle();
        receive();
      };

      /** What is sent again may come when it is wanted. */
      const reconnect = async (): Promise<void> => {
        receive();
        for (const { payload } of publisher.open.values()) unwanted.delete(payload);
        await publisher.connect();
      };

      for (const next of steps) {
        switch (next.kind) {
          case 'publish': {
            number += 1;
            const payload = String(number);
            if (next.qos === 2) ofQos2.add(payload);
            if (subscriber.isSubscribed) candidates.add(payload);
            if (subscriber.isUnsubscribed && next.qos === 1 && publisher.client?.connack !== undefined)
              unwanted.add(payload);
            publisher.publish(payload, next.qos);
            break;
          }
          case 'publisher reconnects':
            await reconnect();
            break;
          case 'publisher answers':
            if (publisher.client?.connack !== undefined) publisher.answer();
            break;
          case 'subscriber reconnects':
            await subscriber.connect(next.isClean);
            break;
          case 'subscriber leaves':
            subscriber.leave();
            break;
          case 'subscriber answers':
            if (subscriber.client?.connack !== undefined) subscriber.answer();
            break;
          case 'subscribe':
            subscriber.subscribe();
            break;
          case 'unsubscribe':
            subscriber.unsubscribe();
            break;
          case 'commit succeeds':
            await life.held.succeed();
            break;
          case 'commit fails':
            await life.held.fail();
            break;
          case 'commit begins':
            await life.held.begin();
            break;
          case 'kill':
            receive();
            await life.kill();
            publisher.client = null;
            subscriber.client = null;
            break;
        }
        await settle();
      }
      // Everybody comes back and finishes what is open.
      await life.commit();
      await reconnect();
      await subscriber.connect(false);
      for (let i = 0; i < 6; i += 1) {
        await life.commit();
        await settle();
        publisher.answer();
        subscriber.answer();
      }
      receive();
      const delivered = new Set(subscriber.delivered);
      const twice = subscriber.deliveredSinceClean.filter((payload, i, all) => all.indexOf(payload) !== i);
      assert.deepEqual(
        twice.filter((payload) => ofQos2.has(payload)),
        [],
        'delivered twice',
      );
      for (const payload of owed) assert.ok(delivered.has(payload), `message ${payload} is lost`);
      for (const payload of unwanted) assert.ok(!delivered.has(payload), `message ${payload} is unwanted`);
      await life.held.kill();
    }),
    { numRuns: 150 },
  );
});

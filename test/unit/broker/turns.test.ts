/** What one client may have done in a turn of the event loop: the others are never held up by all that it wants. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Packet, SubscriptionRequest } from '../../../src/mqtt/packets.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

function requests(count: number, filter = (i: number) => `f/${i}`): SubscriptionRequest[] {
  return Array.from({ length: count }, (_, i) => ({
    filter: filter(i),
    qos: 0,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
  }));
}

/** Ends turns until nothing is left to do. @returns what came in each turn */
function perTurn(fixture: BrokerFixture, client: BrokerClient): number[] {
  const counts = [client.take().length];
  while (fixture.endTurn()) {
    counts.push(client.take().length);
    assert.ok(counts.length < 10_000, 'it does not end');
  }
  return counts;
}

const sum = (counts: number[]): number => counts.reduce((a, b) => a + b, 0);

describe('one turn of the event loop', () => {
  test('a flood of PINGREQs is answered piece by piece', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect();
    client.take();
    fixture.turnsFollow = false;
    client.send(Buffer.concat(new Array(40_000).fill(encodePacket({ type: 'pingreq' }, 4))));
    assert.ok(client.isHeldBack);
    const counts = perTurn(fixture, client);
    assert.ok(Math.max(...counts) <= 256, `${Math.max(...counts)} in a turn`);
    assert.equal(sum(counts), 40_000);
    assert.ok(!client.isHeldBack);
  });

  test('a flood of SUBSCRIBEs and UNSUBSCRIBEs is worked on piece by piece', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect();
    client.take();
    fixture.turnsFollow = false;
    const packets = requests(1000).flatMap((request, i): Packet[] => [
      { type: 'subscribe', packetId: i + 1, subscriptions: [request], properties: {} },
      { type: 'unsubscribe', packetId: i + 1, filters: [request.filter], properties: {} },
    ]);
    client.send(...packets);
    const counts = perTurn(fixture, client);
    assert.ok(Math.max(...counts) <= 64, `${Math.max(...counts)} in a turn`);
    assert.equal(sum(counts), 2000);
  });

  test('PUBLISH and acknowledgements do not wait for another turn', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect();
    subscriber.subscribe('t', 0);
    fixture.turnsFollow = false;
    const publisher = await fixture.connect();
    const publish = { type: 'publish', topic: 't', payload: Buffer.alloc(0), qos: 0, retain: false } as const;
    const packet = encodePacket({ ...publish, dup: false, packetId: 0, properties: {} }, 4);
    publisher.send(Buffer.concat(new Array(2000).fill(packet)));
    assert.equal(subscriber.take().length, 2000);
  });

  test('PUBLISH to new topics, each of which meets thousands of filters, is worked on piece by piece', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect();
    // Each topic of twelve levels `a` and one more goes by all 8,191 nodes, and matches nothing.
    const filterOf = (i: number) =>
      Array.from({ length: 12 }, (_, level) => ((i >> level) & 1 ? 'a' : '+')).join('/');
    subscriber.send({
      type: 'subscribe',
      packetId: 1,
      subscriptions: requests(4096, filterOf),
      properties: {},
    });
    const publisher = await fixture.connect();
    publisher.take();
    subscriber.subscribe('end/#', 0);
    subscriber.take();
    fixture.turnsFollow = false;
    const publish = { type: 'publish', payload: Buffer.alloc(0), qos: 0, retain: false } as const;
    const packets = Array.from({ length: 20 }, (_, i): Packet[] => [
      { ...publish, dup: false, packetId: 0, properties: {}, topic: `${'a/'.repeat(12)}${i}` },
      { ...publish, dup: false, packetId: 0, properties: {}, topic: `end/${i}` },
    ]);
    publisher.send(...packets.flat());
    assert.ok(publisher.isHeldBack);
    const counts = perTurn(fixture, subscriber);
    assert.ok(Math.max(...counts) <= 2, `${Math.max(...counts)} in a turn`);
    assert.equal(sum(counts), 20);
  });

  test('one SUBSCRIBE of many filters is answered once, when all are in force', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    client.take();
    fixture.turnsFollow = false;
    client.send(
      { type: 'subscribe', packetId: 7, subscriptions: requests(1000), properties: {} },
      { type: 'pingreq' },
    );
    assert.ok(fixture.broker.routes.subscriptionCount <= 64);
    client.expectNothing();
    while (fixture.endTurn());
    assert.equal(client.expectPacket('suback', { packetId: 7 }).reasonCodes.length, 1000);
    client.expectPacket('pingresp', {});
    assert.equal(fixture.broker.routes.subscriptionCount, 1000);
    client.send({
      type: 'unsubscribe',
      packetId: 8,
      filters: requests(1000).map(({ filter }) => filter),
      properties: {},
    });
    assert.ok(fixture.broker.routes.subscriptionCount > 900);
    while (fixture.endTurn());
    assert.equal(client.expectPacket('unsuback', { packetId: 8 }).reasonCodes.length, 1000);
    assert.equal(fixture.broker.routes.subscriptionCount, 0);
  });

  test('a SUBSCRIBE of MQTT 3 with many filters is decoded piece by piece, and takes effect as a whole', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(4);
    client.take();
    fixture.turnsFollow = false;
    const count = 50_000;
    const subscribe = { type: 'subscribe', subscriptions: requests(count), properties: {} } as const;
    client.send({ ...subscribe, packetId: 7 }, { type: 'pingreq' });
    let turns = 0;
    while (fixture.broker.routes.subscriptionCount === 0 && fixture.endTurn()) turns += 1;
    assert.ok(turns >= 50, `decoded in ${turns} turns`);
    while (fixture.endTurn());
    assert.equal(client.expectPacket('suback', { packetId: 7 }).reasonCodes.length, count);
    client.expectPacket('pingresp', {});
    assert.equal(fixture.broker.routes.subscriptionCount, count);
    // The last filter is none: nothing of the packet has an effect.
    const other = await fixture.connect(4);
    other.take();
    const wrong = [...requests(5000), { ...requests(1)[0]!, filter: 'a/#/b' }];
    other.send({ ...subscribe, packetId: 8, subscriptions: wrong });
    while (fixture.endTurn());
    other.expectClosed();
    assert.equal(fixture.broker.routes.subscriptionCount, count);
  });

  test('a client that leaves in the middle of its SUBSCRIBE leaves nothing behind', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect();
    fixture.turnsFollow = false;
    client.send({ type: 'subscribe', packetId: 1, subscriptions: requests(1000), properties: {} });
    client.breakOff();
    while (fixture.endTurn());
    assert.equal(fixture.broker.routes.subscriptionCount, 0);
  });

  test('the subscriptions of a client that leaves go piece by piece, and get nothing any more', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect();
    const other = await fixture.connect();
    const group = requests(1500, (i) => (i === 1499 ? '$share/g/t' : `f/${i}`));
    client.send({ type: 'subscribe', packetId: 1, subscriptions: group, properties: {} });
    other.subscribe('$share/g/t', 1);
    fixture.turnsFollow = false;
    client.breakOff();
    const left = fixture.broker.routes.subscriptionCount;
    assert.ok(left >= 900 && left < 1499, `${left} left in the first turn`);
    const publisher = await fixture.connect();
    for (let i = 0; i < 4; i += 1) publisher.publish('t', `${i}`, { qos: 1 });
    assert.deepEqual(other.takePublishes(), ['t 0', 't 1', 't 2', 't 3']);
    while (fixture.endTurn());
    assert.equal(fixture.broker.routes.subscriptionCount, 0);
    assert.equal(fixture.broker.routes.sharedSubscriptionCount, 1);
  });

  test('retained messages for many filters come piece by piece', async () => {
    const fixture = new BrokerFixture();
    const publisher = await fixture.connect();
    for (let i = 0; i < 500; i += 1) publisher.publish(`r/${i}`, 'x', { retain: true });
    const client = await fixture.connect();
    client.take();
    fixture.turnsFollow = false;
    const filters = requests(20, (i) => (i % 2 === 0 ? `${'+/'.repeat(i / 2 + 1)}#` : `r/${i}`));
    client.send({ type: 'subscribe', packetId: 1, subscriptions: filters, properties: {} });
    const counts = perTurn(fixture, client);
    assert.ok(Math.max(...counts) <= 600, `${Math.max(...counts)} in a turn`);
    // +/# and +/+/# match all, r/1 to r/19 one each.
    assert.equal(sum(counts), 1 + 500 + 500 + 10);
  });
});

describe('a client that does not read', () => {
  test('is not read from while answers pile up, and then again', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect();
    client.take();
    client.block();
    const pings = Buffer.concat(new Array(30_000).fill(encodePacket({ type: 'pingreq' }, 4)));
    for (let i = 0; i < 10; i += 1) client.send(pings);
    assert.ok(client.isHeldBack);
    assert.ok(
      client.connection.out.waitingBytes < 400_000,
      `${client.connection.out.waitingBytes} bytes wait`,
    );
    client.unblock();
    assert.equal(client.take().length, 300_000);
    assert.ok(!client.isHeldBack);
  });

  test('gets the retained messages of a subscription once, however often it subscribes meanwhile', async () => {
    const fixture = new BrokerFixture();
    const publisher = await fixture.connect();
    for (let i = 0; i < 50; i += 1) publisher.publish(`r/${i}`, 'x', { retain: true });
    const client = await fixture.connect();
    client.take();
    client.block();
    for (let i = 1; i <= 100; i += 1) {
      client.send({ type: 'subscribe', packetId: i, subscriptions: requests(1, () => '#'), properties: {} });
    }
    client.unblock();
    const publishes = client.take().filter(({ type }) => type === 'publish');
    assert.ok(publishes.length >= 50 && publishes.length <= 100, `${publishes.length} messages`);
  });

  test('QoS 2 messages without PUBREL are taken up to max_queued_messages beyond the window', async () => {
    for (const version of [4, 5] as const) {
      const settings = { maxInflightMessages: 20, maxQueuedMessages: 100 };
      const fixture = new BrokerFixture({ settings, listeners: [{}] });
      const client = await fixture.connect(version);
      client.take();
      // A PUBREL now and then, so that the client is not closed for standing still beyond its receive maximum.
      let newest = 0;
      let oldest = 1;
      for (; client.connection.session.inbound.unreleasedCount < 120; newest += 1) {
        client.publish('t', 'x', { qos: 2, packetId: newest + 1 });
        if (newest % 5 === 0) client.ack('pubrel', oldest++);
      }
      assert.ok(client.take().every((packet) => !('reasonCode' in packet) || packet.reasonCode === 0));
      client.publish('t', 'x', { qos: 2, packetId: 1000 });
      assert.equal(fixture.count('dropQueueFull'), 1);
      if (version === 5) {
        client.expectPacket('pubrec', { packetId: 1000, reasonCode: 0x97 });
        client.ack('pubrel', oldest);
        client.expectPacket('pubcomp', { packetId: oldest });
        client.publish('t', 'x', { qos: 2, packetId: 1001 });
        client.expectPacket('pubrec', { packetId: 1001, reasonCode: 0 });
      } else {
        client.expectClosed();
      }
    }
  });
});

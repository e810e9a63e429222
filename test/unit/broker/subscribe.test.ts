import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProtocolVersion, PublishPacket } from '../../../src/mqtt/packets.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];

describe('SUBSCRIBE', () => {
  test('is answered with a code for each filter, in order', async () => {
    for (const version of versions) {
      const client = await new BrokerFixture({ listeners: [{ maxQos: 1 }] }).connect(version);
      const subscriptions = (['a', '+/b', '$share/g/c', 'a'] as const).map((filter, i) => ({
        filter,
        qos: ([0, 1, 2, 2] as const)[i]!,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0 as const,
      }));
      client.send({ type: 'subscribe', packetId: 500, subscriptions, properties: {} });
      client.expectPacket('suback', { packetId: 500, reasonCodes: [0, 1, 1, 1] });
    }
  });

  test('is refused filter by filter beyond max_subscriptions [max_subscriptions]', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture({ settings: { maxSubscriptions: 2 } });
      const client = await fixture.connect(version, { clientId: 'c' });
      const subscriptions = ['a', 'b', 'c', '$share/g/d', 'a'].map((filter) => ({
        filter,
        qos: 1 as const,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0 as const,
      }));
      fixture.log.length = 0;
      client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
      const refused = { 3: 0, 4: 0x80, 5: 0x97 }[version];
      client.expectPacket('suback', { packetId: 1, reasonCodes: [1, 1, refused, refused, 1] });
      assert.deepEqual(fixture.takeLog(/max_subscriptions/), [
        'A filter of c is refused: the client has as many subscriptions as max_subscriptions allows.',
      ]);
      client.unsubscribe('a');
      assert.equal(client.subscribe('c', 1), 1);
      fixture.reload({ maxSubscriptions: 0 });
      assert.equal(client.subscribe('d', 1), 1);
    }
  });

  test('again replaces the options and keeps one subscription [MQTT-3.8.4-3]', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    client.subscribe('t', 2, { identifier: 1 });
    client.subscribe('t', 0, { identifier: 2, noLocal: false });
    const publisher = await fixture.connect();
    publisher.publish('t', 'x', { qos: 1 });
    client.expectPublish('t', 'x', { qos: 0, properties: { subscriptionIdentifiers: [2] } });
    client.expectNothing();
    client.subscribe('t', 1);
    publisher.publish('t', 'x', { qos: 1 });
    client.expectPublish('t', 'x', { qos: 1, properties: {} });
  });

  test('in the log [mosq: log lines]', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(4, { clientId: 'c' });
    fixture.log.length = 0;
    client.subscribe('a/#', 1);
    client.unsubscribe('a/#');
    assert.deepEqual(fixture.log, [
      'debug Received SUBSCRIBE from c',
      'debug \ta/# (QoS 1)',
      'subscribe c 1 a/#',
      'debug Sending SUBACK to c',
      'debug Received UNSUBSCRIBE from c',
      'debug \ta/#',
      'unsubscribe c a/#',
      'debug Sending UNSUBACK to c',
    ]);
  });
});

describe('UNSUBSCRIBE', () => {
  test('ends the deliveries [MQTT-3.10.4-3], and tells MQTT 5.0 what there was', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const client = await fixture.connect(version);
      client.subscribe('a');
      client.subscribe('$share/g/b');
      const codes = client.unsubscribe('a', 'b', '$share/g/b');
      assert.deepEqual(codes, version === 5 ? [0, 0x11, 0] : []);
      client.publish('a', 'x');
      client.publish('b', 'x');
      client.expectNothing();
      assert.equal(fixture.broker.routes.subscriptionCount, 0);
      assert.equal(fixture.broker.routes.sharedSubscriptionCount, 0);
    }
  });

  test('stops retained messages that are still to come [MQTT-3.10.4-2]', async () => {
    const fixture = new BrokerFixture({ settings: { maxInflightMessages: 1 } });
    const publisher = await fixture.connect();
    for (let i = 0; i < 100; i += 1) publisher.publish(`t/${i}`, 'x', { qos: 1, retain: true });
    const client = await fixture.connect();
    client.subscribe('t/#', 1);
    client.unsubscribeWithout('t/#');
    let received = 0;
    for (let packets = client.take(); packets.length > 0; packets = client.take()) {
      for (const packet of packets) {
        if (packet.type !== 'publish') continue;
        received += 1;
        client.ack('puback', packet.packetId);
      }
    }
    assert.ok(received < 50, `${received} of 100 came`);
  });
});

describe('overlapping subscriptions', () => {
  const filters = ['a/#', 'a/+', 'a/b'] as const;

  test('MQTT 5.0 gets one copy for each, with its identifier [MQTT-3.3.4-3]', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    for (const [i, filter] of filters.entries())
      client.subscribe(filter, i as 0 | 1 | 2, { identifier: 10 + i });
    (await fixture.connect()).publish('a/b', 'x', { qos: 1 });
    const copies = client.take() as PublishPacket[];
    assert.deepEqual(
      copies.map(({ qos, properties }) => [qos, ...properties.subscriptionIdentifiers!]),
      [
        [1, 12],
        [1, 11],
        [0, 10],
      ],
    );
  });

  test('MQTT 5.0 gets one copy with all identifiers with allow_duplicate_messages false [MQTT-3.3.4-4]', async () => {
    const fixture = new BrokerFixture({ settings: { allowDuplicateMessages: false } });
    const client = await fixture.connect(5);
    client.subscribe('a/#', 0, { identifier: 10 });
    client.subscribe('a/+', 2);
    client.subscribe('+/b', 1, { identifier: 12, retainAsPublished: true });
    client.subscribe('a/b', 1, { identifier: 10 });
    const publisher = await fixture.connect();
    for (const retain of [false, true]) {
      publisher.publish('a/b', 'x', { qos: 2, packetId: 1, retain });
      publisher.ack('pubrel', 1);
      const copies = (client.take() as PublishPacket[]).filter(({ type }) => type === 'publish');
      assert.deepEqual(
        copies.map(({ qos, retain, properties }) => [
          qos,
          retain,
          properties.subscriptionIdentifiers!.toSorted(),
        ]),
        [[2, retain, [10, 10, 12]]],
      );
    }
    publisher.publish('a/c', 'x');
    const [single] = client.take() as PublishPacket[];
    assert.deepEqual(single!.properties.subscriptionIdentifiers, [10]);
  });

  test('a subscription with no local has no say in the one copy of what the client publishes', async () => {
    const fixture = new BrokerFixture({ settings: { allowDuplicateMessages: false } });
    const client = await fixture.connect(5);
    client.subscribe('a/#', 2, { identifier: 10, noLocal: true });
    client.subscribe('a/b', 0, { identifier: 11 });
    client.publish('a/b', 'x');
    const copies = client.take() as PublishPacket[];
    assert.deepEqual(
      copies.map(({ qos, properties }) => [qos, properties.subscriptionIdentifiers]),
      [[0, [11]]],
    );
  });

  test('clients get one for each, or with allow_duplicate_messages false one', async () => {
    for (const version of [3, 4, 5] as const) {
      for (const allowDuplicateMessages of [true, false]) {
        const fixture = new BrokerFixture({ settings: { allowDuplicateMessages } });
        const clients = [await fixture.connect(version), await fixture.connect(version)];
        for (const client of clients) for (const filter of filters) client.subscribe(filter, 1);
        const publisher = await fixture.connect();
        for (let i = 0; i < 3; i += 1) publisher.publish('a/b', 'x', { qos: 1 });
        for (const client of clients) assert.equal(client.take().length, allowDuplicateMessages ? 9 : 3);
      }
    }
  });

  test('an ordinary and a shared one each give a copy', async () => {
    const fixture = new BrokerFixture({ settings: { allowDuplicateMessages: false } });
    const client = await fixture.connect(4);
    client.subscribe('a');
    client.subscribe('$share/g/a');
    client.publish('a', 'x');
    assert.equal(client.take().length, 2);
  });
});

describe('no local', () => {
  test('keeps from a client what it publishes, and from no other [MQTT-3.8.3-3]', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    const other = await fixture.connect(5);
    for (const one of [client, other]) one.subscribe('t', 2, { noLocal: true });
    for (const qos of [0, 1, 2] as const) client.publish('t', `${qos}`, { qos, packetId: 7 });
    client.ack('pubrel', 7);
    assert.ok(client.take().every(({ type }) => type !== 'publish'));
    assert.deepEqual(other.takePublishes(), ['t 0', 't 1', 't 2']);
  });

  test('of a bridge goes without saying, and so does retain as published', async () => {
    const fixture = new BrokerFixture();
    const bridge = await fixture.connect(4, { bridge: true });
    bridge.subscribe('#');
    bridge.publish('t', 'mine');
    (await fixture.connect()).publish('t', 'theirs', { retain: true });
    bridge.expectPublish('t', 'theirs', { retain: true });
    bridge.expectNothing();
  });
});

describe('the retain flag of a delivery', () => {
  test('is 0 while subscribed, or as published where the client asks for it [MQTT-3.3.1-12, MQTT-3.3.1-13]', async () => {
    const fixture = new BrokerFixture();
    const plain = await fixture.connect(5);
    plain.subscribe('t');
    const asPublished = await fixture.connect(5);
    asPublished.subscribe('t', 0, { retainAsPublished: true });
    const publisher = await fixture.connect();
    for (const retain of [true, false]) {
      publisher.publish('t', 'x', { retain });
      plain.expectPublish('t', 'x', { retain: false });
      asPublished.expectPublish('t', 'x', { retain });
    }
  });
});

describe('retained messages', () => {
  test('come to a new subscription with retain 1, with the lower QoS, behind SUBACK', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const publisher = await fixture.connect(5);
      publisher.publish('t', 'x', { qos: 1, retain: true, properties: { contentType: 'c' } });
      const client = await fixture.connect(version);
      for (const qos of [0, 1, 2] as const) {
        client.subscribe('t', qos, version === 5 ? { identifier: 5 } : {});
        const properties = version === 5 ? { subscriptionIdentifiers: [5], contentType: 'c' } : {};
        client.expectPublish('t', 'x', { qos: Math.min(qos, 1) as 0 | 1, retain: true, properties });
      }
    }
  });

  test('are replaced by the next, and removed by an empty one [MQTT-3.3.1-6, MQTT-3.3.1-7]', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect();
    subscriber.subscribe('#');
    const publisher = await fixture.connect();
    for (const [topic, payload] of [
      ['a', '1'],
      ['b', '2'],
      ['a', '3'],
      ['b', ''],
      ['never', ''],
    ] as const) {
      publisher.publish(topic, payload, { retain: true });
    }
    publisher.publish('a', 'live', { retain: false });
    assert.deepEqual(fixture.retained(), ['a 3']);
    assert.deepEqual(subscriber.takePublishes(), ['a 1', 'b 2', 'a 3', 'b ', 'never ', 'a live']);
    assert.equal(fixture.broker.store.retained.count, 1);
  });

  test('of QoS 2 are kept when they are released', async () => {
    const fixture = new BrokerFixture();
    const publisher = await fixture.connect();
    publisher.publish('t', 'x', { qos: 2, packetId: 1, retain: true });
    assert.deepEqual(fixture.retained(), []);
    publisher.ack('pubrel', 1);
    assert.deepEqual(fixture.retained(), ['t x']);
  });

  test('retain handling 0 sends them always, 1 to a new subscription, 2 never', async () => {
    const fixture = new BrokerFixture();
    (await fixture.connect()).publish('t', 'x', { retain: true });
    for (const [retainHandling, first, second] of [
      [0, 1, 1],
      [1, 1, 0],
      [2, 0, 0],
    ] as const) {
      const client = await fixture.connect(5);
      const came = [1, 2].map(() => {
        client.subscribe('t', 0, { retainHandling });
        return client.take().length;
      });
      assert.deepEqual(came, [first, second], `retain handling ${retainHandling}`);
    }
  });

  test('do not come to a shared subscription, nor those of $SYS to #', async () => {
    const fixture = new BrokerFixture();
    (await fixture.connect()).publish('t', 'x', { retain: true });
    const client = await fixture.connect();
    client.subscribe('$share/g/#');
    client.expectNothing();
    client.subscribe('$SYS/#');
    client.expectNothing();
  });

  test('come in the order of the tree, and whole, however many and however slow the client', async () => {
    for (const qos of [0, 1] as const) {
      const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 10, maxInflightMessages: 4 } });
      const publisher = await fixture.connect();
      const count = 3000;
      for (let i = 0; i < count; i += 1) publisher.publish(`t/${i}`, 'x', { qos, retain: true });
      publisher.take();
      const client = await fixture.connect();
      client.block();
      const request = {
        filter: '#',
        qos,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
      } as const;
      client.send({ type: 'subscribe', packetId: 1, subscriptions: [request], properties: {} });
      const topics: string[] = [];
      for (let i = 0; i < count; i += 1) {
        client.unblock();
        for (const packet of client.take()) {
          if (packet.type !== 'publish') continue;
          topics.push(packet.topic);
          client.block();
          if (qos === 1) client.ack('puback', packet.packetId);
        }
        client.block();
      }
      client.unblock();
      topics.push(...(client.take() as PublishPacket[]).map(({ topic }) => topic));
      assert.equal(topics.length, count, `QoS ${qos}`);
      assert.deepEqual(topics.slice(0, 3).concat(topics.slice(-1)), ['t/0', 't/1', 't/2', `t/${count - 1}`]);
      assert.equal(fixture.count('publishDropped'), 0);
    }
  });
});

describe('shared subscriptions', () => {
  test('each message goes to one member, in turn', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const members = [
        await fixture.connect(version),
        await fixture.connect(version),
        await fixture.connect(version),
      ];
      for (const member of members) member.subscribe('$share/g/t/+');
      const publisher = await fixture.connect();
      for (let i = 0; i < 7; i += 1) publisher.publish('t/x', String(i));
      const received = members.map((member) => member.takePublishes().map((text) => text.slice(-1)));
      assert.deepEqual(received, [
        ['0', '3', '6'],
        ['1', '4'],
        ['2', '5'],
      ]);
    }
  });

  test('an offline member of a durable session has its turns queued', async () => {
    const fixture = new BrokerFixture();
    const online = await fixture.connect();
    online.subscribe('$share/g/t', 1);
    const durable = { clientId: 'c', cleanStart: false };
    (await fixture.connect(4, durable)).subscribe('$share/g/t', 1);
    fixture.broker.sessions.get('c')!.peer!.takenOver(true);
    const publisher = await fixture.connect();
    for (let i = 0; i < 4; i += 1) publisher.publish('t', String(i), { qos: 1 });
    assert.deepEqual(online.takePublishes(), ['t 0', 't 2']);
    assert.deepEqual((await fixture.connect(4, durable)).takePublishes(), ['t 1', 't 3']);
  });

  test('what a member leaves unacknowledged goes to another [MQTT-4.8.2-5]', async () => {
    const fixture = new BrokerFixture({ settings: { maxInflightMessages: 2 } });
    const members = [await fixture.connect(), await fixture.connect()];
    for (const member of members) member.subscribe('$share/g/t', 1);
    const publisher = await fixture.connect();
    for (let i = 0; i < 8; i += 1) publisher.publish('t', String(i), { qos: 1 });
    const [leaving, staying] = members as [(typeof members)[0], (typeof members)[0]];
    assert.deepEqual(leaving.takePublishes(), ['t 0', 't 2']);
    leaving.ack('puback', 1);
    assert.deepEqual(leaving.takePublishes(), ['t 4']);
    leaving.breakOff();
    const received: string[] = [];
    for (let packets = staying.take(); packets.length > 0; packets = staying.take()) {
      for (const packet of packets as PublishPacket[]) {
        received.push(Buffer.from(packet.payload).toString());
        staying.ack('puback', packet.packetId);
      }
    }
    assert.deepEqual(received, ['1', '3', '5', '7', '2', '4', '6']);
  });
});

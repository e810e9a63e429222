/** One worker of several: what it tells the others, and what it does with what they tell it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { receiveRecords } from '../../../src/broker/records-path.js';
import type { PublishPacket } from '../../../src/mqtt/packets.js';
import { Publication } from '../../../src/mqtt/publication.js';
import type { LinkMessage } from '../../../src/routing/messages.js';
import { packedRecords, RecordFlag, unpackRecords } from '../../../src/routing/wire.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { congest, relieve, type TestLink, testLink } from '../../support/brokers/links.js';

interface Worker {
  fixture: BrokerFixture;
  /** Links to workers 1 and 2. */
  links: TestLink[];
}

function worker(fixture = new BrokerFixture()): Worker {
  const links = [1, 2].map((number) =>
    testLink(number, () => {
      for (const connection of fixture.broker.connections) connection.relieve();
    }),
  );
  for (const { link } of links) fixture.broker.cluster.add(link);
  return { fixture, links };
}

function message(topic: string, fields: { qos?: 0 | 1; retain?: boolean } = {}): Publication {
  return Publication.create({ topic, payload: Buffer.from(topic), qos: 1, retain: false, ...fields });
}

/** Topics that went out on each link. */
function topicsOn(links: TestLink[]): string[][] {
  return links.map(({ port, flush }) => {
    flush();
    return port.takeTopics();
  });
}

function interests(messages: LinkMessage[]): unknown[] {
  return messages.flatMap((message) => (message.kind === 'interest' ? message.changes : []));
}

function receiveBatches(fixture: BrokerFixture, messages: LinkMessage[]): void {
  for (const sent of messages) if (sent.kind === 'batch') receiveRecords(fixture.broker, sent.records, false);
  fixture.flush();
}

/** Confirms all that the links were told. */
function confirm({ fixture, links }: Worker): void {
  for (const { link, port } of links) {
    for (const sent of port.take()) {
      if (sent.kind === 'interest') fixture.broker.cluster.confirmed(link.worker, sent.sequence);
    }
  }
  fixture.flush();
}

describe('SUBACK', () => {
  test('waits until every worker has confirmed', async () => {
    const { fixture, links } = worker();
    const client = await fixture.connect(5);
    const subscriptions = ['a', '$share/g/b'].map((filter) => ({
      filter,
      qos: 1 as const,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    }));
    client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
    client.send({ type: 'pingreq' }); // others are answered meanwhile
    client.expectPacket('pingresp');
    client.expectNothing();
    for (const { link, port } of links) {
      const [told] = port.take();
      assert.ok(told?.kind === 'interest');
      assert.deepEqual(told.changes, [
        ['a', 1],
        ['$share/g/b', 1],
      ]);
      client.expectNothing();
      fixture.broker.cluster.confirmed(link.worker, told.sequence);
      fixture.flush();
    }
    client.expectPacket('suback', { packetId: 1, reasonCodes: [1, 1] });
  });

  test('comes before retained messages, and those before later publishes', async () => {
    const one = worker();
    const { fixture } = one;
    const publisher = await fixture.connect();
    publisher.publish('a', 'retained', { retain: true });
    const client = await fixture.connect();
    const request = {
      filter: 'a',
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    client.send({ type: 'subscribe', packetId: 9, subscriptions: [request], properties: {} });
    client.expectNothing();
    confirm(one);
    publisher.publish('a', 'live');
    client.expectPacket('suback', { packetId: 9 });
    assert.deepEqual(client.takePublishes(), ['a retained', 'a live']);
  });

  test('is not sent to a client that has gone', async () => {
    const one = worker();
    const client = await one.fixture.connect();
    const request = {
      filter: 'a',
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    client.send({ type: 'subscribe', packetId: 9, subscriptions: [request], properties: {} });
    client.breakOff();
    confirm(one);
    client.expectNothing();
  });
});

describe('interest', () => {
  test('is told for the first subscriber of a filter and for the last that leaves', async () => {
    const one = worker();
    const { fixture, links } = one;
    const told = (): unknown[] => {
      links[1]!.port.take();
      return interests(links[0]!.port.take());
    };
    const clients = [await fixture.connect(), await fixture.connect()];
    const request = {
      filter: 'a',
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0,
    } as const;
    const subscribe = { type: 'subscribe', packetId: 1, subscriptions: [request], properties: {} } as const;
    clients[0]!.send({ ...subscribe, subscriptions: [...subscribe.subscriptions] });
    assert.deepEqual(told(), [['a', 1]]);
    clients[1]!.send({ ...subscribe, subscriptions: [...subscribe.subscriptions] });
    assert.deepEqual(told(), []);
    clients[0]!.breakOff();
    assert.deepEqual(told(), []);
    clients[1]!.send({ type: 'unsubscribe', packetId: 2, filters: ['a'], properties: {} });
    assert.deepEqual(told(), [['a', 0]]);
  });
});

describe('a publish', () => {
  test('goes to the workers that want it, once', async () => {
    const { fixture, links } = worker();
    fixture.broker.routes.setRemote(1, ['a/+', 1]);
    fixture.broker.routes.setRemote(1, ['a/b', 1]);
    const client = await fixture.connect(5);
    client.publish('a/b', 'x', { qos: 1 });
    client.publish('c', 'x', { qos: 1 });
    assert.deepEqual(topicsOn(links), [['a/b'], []]);
    assert.deepEqual(
      client.take().map((packet) => packet.type === 'puback' && packet.reasonCode),
      [0, 0x10],
    );
  });

  test('of another worker reaches the subscribers here, and goes no further', async () => {
    const one = worker();
    const { fixture, links } = one;
    const client = await fixture.connect(5);
    fixture.broker.cluster.hold(1);
    fixture.broker.cluster.hold(2);
    client.subscribe('#', 1);
    for (const { link } of links) {
      link.open();
      fixture.broker.cluster.add(link);
    }
    fixture.broker.routes.setRemote(2, ['#', 1]);
    receiveRecords(fixture.broker, packedRecords([message('t')], RecordFlag.deliver), false);
    fixture.flush();
    assert.deepEqual(client.takePublishes(), ['t t']);
    assert.deepEqual(topicsOn(links), [[], []]);
  });

  test('of main reaches everyone', async () => {
    const { fixture, links } = worker();
    fixture.broker.routes.setRemote(2, ['#', 1]);
    receiveRecords(fixture.broker, packedRecords([message('t')], RecordFlag.deliver), true);
    assert.deepEqual(topicsOn(links), [[], ['t']]);
  });

  test('of main that is retained below $SYS is kept everywhere', async () => {
    const { fixture, links } = worker();
    const records = packedRecords(
      [message('$SYS/t', { retain: true })],
      RecordFlag.deliver | RecordFlag.setRetained,
    );
    receiveRecords(fixture.broker, records, true);
    assert.deepEqual(topicsOn(links), [['$SYS/t'], ['$SYS/t']]);
    assert.deepEqual(fixture.retained('$SYS/#'), ['$SYS/t $SYS/t']);
  });
});

describe('a shared group with members on several workers', () => {
  test('takes turns everywhere', async () => {
    const one = worker();
    const { fixture, links } = one;
    const client = await fixture.connect();
    const request = { filter: '$share/g/#', qos: 0, noLocal: false, retainAsPublished: false } as const;
    const subscriptions = [{ ...request, retainHandling: 0 as const }];
    client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
    confirm(one);
    client.expectPacket('suback');
    fixture.broker.routes.setRemote(1, ['$share/g/#', 1]);
    fixture.broker.routes.setRemote(2, ['$share/g/#', 1]);
    const publisher = await fixture.connect();
    for (let i = 0; i < 6; i += 1) publisher.publish(`t${i}`, 'x');
    assert.deepEqual(client.takePublishes(), ['t0 x', 't3 x']);
    assert.deepEqual(topicsOn(links), [
      ['t1', 't4'],
      ['t2', 't5'],
    ]);
  });

  test('gets its topic in full where the client takes aliases', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5, { properties: { topicAliasMaximum: 5 } });
    client.subscribe('$share/g/#', 1);
    // As another worker sends them.
    const { link, port, flush } = testLink(1);
    for (const topic of ['a', 'b', 'a']) link.publish(message(topic), RecordFlag.group, '$share/g/#');
    flush();
    receiveBatches(fixture, port.take());
    const received = client.take() as PublishPacket[];
    assert.deepEqual(
      received.map(({ topic, properties }) => [topic, properties.topicAlias]),
      [
        ['a', 1],
        ['b', 2],
        ['', 1],
      ],
    );
  });

  test('whose members here may not read asks each other worker once', async () => {
    const aclFile = '/acl';
    const files = { [aclFile]: 'topic read public/#\n' };
    const one = worker(new BrokerFixture({ listeners: [{ aclFile }], files }));
    const { fixture, links } = one;
    const client = await fixture.connect();
    const request = { filter: '$share/g/#', qos: 0, noLocal: false, retainAsPublished: false } as const;
    const subscriptions = [{ ...request, retainHandling: 0 as const }];
    client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
    confirm(one);
    client.expectPacket('suback');
    for (const number of [1, 2]) fixture.broker.routes.setRemote(number, ['$share/g/#', 1]);
    const passedOn: number[] = [];
    const receive = (topic: string, from: TestLink, asked: number): void => {
      from.link.publish(message(topic), RecordFlag.group, '$share/g/#', asked);
      from.flush();
      for (const sent of from.port.take()) {
        if (sent.kind !== 'batch') continue;
        receiveRecords(fixture.broker, sent.records, false, undefined, (number) => passedOn.push(number));
      }
      fixture.flush();
    };
    receive('public/a', testLink(0), 0b010);
    assert.deepEqual([client.takePublishes(), passedOn], [['public/a public/a'], []]);
    receive('private/b', testLink(0), 0b010);
    assert.deepEqual([topicsOn(links), passedOn], [[[], ['private/b']], [2]]);
    receive('private/c', testLink(0), 0b110);
    assert.deepEqual([topicsOn(links), passedOn], [[[], []], [2]]);
    client.expectNothing();
    // What it passes on says whom it asked.
    const before = links[1]!;
    receive('private/d', testLink(0), 0b010);
    before.flush();
    const [sent] = before.port.take();
    assert.ok(sent?.kind === 'batch');
    const seen: number[] = [];
    unpackRecords(sent.records, new Publication(), (_publication, _what, _key, asked) => seen.push(asked));
    assert.deepEqual(seen, [0b111]);
  });

  test('that has lost its last member here while a message was on its way passes it on', async () => {
    const { fixture, links } = worker();
    fixture.broker.routes.setRemote(2, ['$share/g/#', 1]);
    const { link, port, flush } = testLink(0);
    link.publish(message('t'), RecordFlag.group, '$share/g/#');
    flush();
    for (const sent of port.take())
      if (sent.kind === 'batch') receiveRecords(fixture.broker, sent.records, false);
    assert.deepEqual(topicsOn(links), [[], ['t']]);
  });

  test('gets what a member had not acknowledged when it leaves [MQTT-4.8.2-5]', async () => {
    const one = worker();
    const { fixture, links } = one;
    const client = await fixture.connect();
    const request = { filter: '$share/g/#', qos: 1, noLocal: false, retainAsPublished: false } as const;
    const subscriptions = [{ ...request, retainHandling: 0 as const }];
    client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
    confirm(one);
    const publisher = await fixture.connect();
    for (const topic of ['a', 'b']) publisher.publish(topic, 'x', { qos: 1 });
    client.ack('puback', 1);
    fixture.broker.routes.setRemote(2, ['$share/g/#', 1]);
    client.breakOff();
    assert.deepEqual(topicsOn(links), [[], ['b']]);
  });
});

describe('a congested link', () => {
  for (const filter of ['#', '$share/g/#']) {
    for (const qos of [1, 2] as const) {
      test(`${filter}: publishers of QoS ${qos} are read no further until it has room`, async () => {
        const { fixture, links } = worker();
        fixture.broker.routes.setRemote(1, [filter, 1]);
        const client = await fixture.connect();
        congest(links[0]!);
        client.publish('t', 'x', { qos, packetId: 1 });
        if (qos === 2) client.ack('pubrel', 1);
        assert.ok(client.isHeldBack);
        const before = client.take().length;
        client.publish('t', 'y', { qos, packetId: 2 });
        assert.equal(client.take().length, 0, `${before} answers, then none`);
        relieve(links[0]!);
        fixture.flush();
        assert.ok(!client.isHeldBack || qos === 2);
        assert.equal(client.take().length, 1);
      });
    }

    test(`${filter}: QoS 0 is dropped and counted`, async () => {
      const { fixture, links } = worker();
      fixture.broker.routes.setRemote(1, [filter, 1]);
      const client = await fixture.connect();
      congest(links[0]!);
      client.publish('t', 'x');
      assert.ok(!client.isHeldBack);
      assert.deepEqual([fixture.count('dropCongested'), fixture.count('publishDropped')], [1, 1]);
    });
  }

  test('does not hold back who publishes to others', async () => {
    const { fixture, links } = worker();
    fixture.broker.routes.setRemote(2, ['#', 1]);
    const client = await fixture.connect();
    congest(links[0]!);
    client.publish('t', 'x', { qos: 1 });
    assert.ok(!client.isHeldBack);
  });
});

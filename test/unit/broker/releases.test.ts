/** A QoS 2 message of a kept session for subscribers that other workers keep. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { receiveRecords } from '../../../src/broker/records-path.js';
import { LmdbBrokerStore } from '../../../src/store/broker-store.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { type TestLink, testLink } from '../../support/brokers/links.js';
import { openStore } from '../../support/store/stores.js';

interface Worker {
  fixture: BrokerFixture;
  /** To worker 1, which has a durable subscriber to `both`. */
  link: TestLink;
  publisher: BrokerClient;
  subscriber: BrokerClient;
  /** Everything is committed, and what waited for that has left. */
  commit: () => Promise<void>;
}

const stays = (clientId: string) => ({ clientId, cleanStart: false });

async function setUp(t: TestContext): Promise<Worker> {
  const store = openStore(t);
  const fixture = new BrokerFixture({ store: new LmdbBrokerStore(store) });
  const commit = async () => {
    do await store.flush();
    while (store.statistics().dirty > 0);
    fixture.flush();
  };
  const subscriber = await fixture.connect(4, stays('subscriber'));
  subscriber.send({
    type: 'subscribe',
    packetId: 1,
    subscriptions: ['both', 'here'].map((filter) => ({
      filter,
      qos: 2 as const,
      noLocal: false,
      retainAsPublished: false,
      retainHandling: 0 as const,
    })),
    properties: {},
  });
  const publisher = await fixture.connect(4, stays('publisher'));
  await commit();
  subscriber.expectPacket('suback');
  const link = testLink(1);
  fixture.broker.cluster.add(link.link);
  fixture.broker.routes.setRemote(1, ['both', 1, true]);
  return { fixture, link, publisher, subscriber, commit };
}

async function publish({ publisher, commit }: Worker, topic: string, packetId: number): Promise<void> {
  publisher.publish(topic, 'x', { qos: 2, packetId });
  await commit();
  publisher.expectPacket('pubrec', { packetId });
}

/** @returns topics that were sent to the other worker, and the number of the batch that it is to confirm */
function sentTo({ link: { flush, port } }: Worker): { topics: string[]; awaited: number } {
  flush();
  const awaited = port.posted.map((message) => (message.kind === 'batch' ? message.awaited : 0));
  return { topics: port.takeTopics(), awaited: Math.max(0, ...awaited) };
}

test('is stored elsewhere first, then delivered here and acknowledged', async (t) => {
  const worker = await setUp(t);
  const { publisher, subscriber, link, commit } = worker;
  await publish(worker, 'both', 1);
  publisher.ack('pubrel', 1);
  const { topics, awaited } = sentTo(worker);
  assert.deepEqual(topics, ['both']);
  await commit();
  publisher.expectNothing();
  subscriber.expectNothing();
  link.link.stored(awaited);
  publisher.expectNothing();
  await commit();
  publisher.expectPacket('pubcomp', { packetId: 1 });
  assert.equal(subscriber.expectPacket('publish').topic, 'both');
});

test('is not sent anew when PUBREL comes again, and both are answered', async (t) => {
  const worker = await setUp(t);
  const { publisher, subscriber, link, commit } = worker;
  await publish(worker, 'both', 1);
  publisher.ack('pubrel', 1);
  const { awaited } = sentTo(worker);
  publisher.ack('pubrel', 1);
  assert.deepEqual(sentTo(worker).topics, []);
  link.link.stored(awaited);
  await commit();
  for (let i = 0; i < 2; i += 1) publisher.expectPacket('pubcomp', { packetId: 1 });
  assert.deepEqual(subscriber.takePublishes(), ['both x']);
});

test('is completed though its publisher has gone, and later ones wait for it', async (t) => {
  const worker = await setUp(t);
  const { publisher, subscriber, link, commit } = worker;
  await publish(worker, 'both', 1);
  await publish(worker, 'here', 2);
  publisher.ack('pubrel', 1);
  const { awaited } = sentTo(worker);
  publisher.ack('pubrel', 2);
  await commit();
  subscriber.expectNothing();
  publisher.breakOff();
  link.link.stored(awaited);
  await commit();
  assert.deepEqual(subscriber.takePublishes(), ['both x', 'here x']);
});

test('is released once more after the other worker has died', async (t) => {
  const worker = await setUp(t);
  const { fixture, publisher, subscriber, commit } = worker;
  await publish(worker, 'both', 1);
  publisher.ack('pubrel', 1);
  sentTo(worker);
  fixture.broker.routes.replaceRemote(1, []);
  fixture.broker.cluster.hold(1);
  fixture.flush();
  assert.ok(publisher.isClosed);
  await commit();
  subscriber.expectNothing();
  const again = await fixture.connect(4, stays('publisher'));
  again.ack('pubrel', 1);
  await commit();
  again.expectPacket('pubcomp', { packetId: 1 });
  assert.deepEqual(subscriber.takePublishes(), ['both x']);
});

test('goes to nobody here who got it from another worker before a crash', async (t) => {
  const worker = await setUp(t);
  const { fixture, publisher, subscriber, link, commit } = worker;
  await publish(worker, 'both', 1);
  publisher.ack('pubrel', 1);
  link.flush();
  // As if the subscriber had lived on the other worker.
  for (const message of link.port.take())
    if (message.kind === 'batch') receiveRecords(fixture.broker, message.records, false);
  await commit();
  assert.deepEqual(subscriber.takePublishes(), ['both x']);
  fixture.broker.routes.replaceRemote(1, []);
  fixture.broker.cluster.hold(1);
  const again = await fixture.connect(4, stays('publisher'));
  again.ack('pubrel', 1);
  await commit();
  again.expectPacket('pubcomp', { packetId: 1 });
  subscriber.expectNothing();
});

/** What a client did not get: counted for it, with the reason, and told in the log when its time is over. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import type { ConnectOptions } from '../../support/clients/packet-socket.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];

function lasting(clientId: string, sessionExpiryInterval = 600): ConnectOptions {
  return { clientId, cleanStart: false, properties: { sessionExpiryInterval } };
}

/** A client that has subscribed and gone, and has not got three of the messages for it. */
async function afterDrops(version: ProtocolVersion, expiry?: number): Promise<BrokerFixture> {
  const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 2 } });
  const client = await fixture.connect(version, lasting('c', expiry));
  client.subscribe('#', 1);
  client.disconnect();
  const publisher = await fixture.connect(4);
  for (let i = 0; i < 5; i += 1) publisher.publish('t', `${i}`, { qos: 1 });
  return fixture;
}

const away = 'Messages dropped for client c while it was away: 3 (queue full 3).';

describe('messages that a client did not get', () => {
  for (const version of versions) {
    test(`v${version}: while it was away, told when it comes back, once`, async () => {
      const fixture = await afterDrops(version);
      assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), []);
      const back = await fixture.connect(version, lasting('c'));
      assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), [away]);
      back.breakOff();
      await fixture.connect(version, lasting('c'));
      assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), []);
      assert.equal(fixture.count('publishDropped'), 3);
      assert.equal(fixture.count('dropQueueFull'), 3);
    });
  }

  test('while it was away, told when it never comes back', async () => {
    const fixture = await afterDrops(5, 30);
    fixture.advance(31);
    assert.equal(fixture.broker.sessions.has('c'), false);
    assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), [away]);
  });

  test('while it was away, told when it begins anew', async () => {
    const fixture = await afterDrops(5);
    await fixture.connect(5, { clientId: 'c' });
    assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), [away]);
  });

  test('while it was away, told at the end of the broker', async () => {
    const fixture = await afterDrops(5);
    fixture.stop();
    assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), [away]);
  });

  test('for whatever reason', async () => {
    const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 2, maxInflightMessages: 2 } });
    const client = await fixture.connect(5, {
      clientId: 'c',
      properties: { maximumPacketSize: 50, receiveMaximum: 1 },
    });
    client.subscribe('#', 1);
    const publisher = await fixture.connect(5);
    publisher.publish('t', 'x'.repeat(60), { qos: 1 });
    publisher.publish('t', 'x'.repeat(60));
    publisher.publish('t', 'in flight', { qos: 1 });
    publisher.publish('t', 'expires', { qos: 1, properties: { messageExpiryInterval: 1 } });
    for (let i = 0; i < 4; i += 1) publisher.publish('t', `${i}`, { qos: 1 });
    client.block();
    for (let i = 0; i < 5; i += 1) publisher.publish('t', 'x');
    fixture.advance(2);
    client.unblock();
    const first = client.take().find((packet) => packet.type === 'publish');
    client.ack('puback', first!.packetId);
    client.breakOff();
    const counts = { tooLarge: fixture.count('dropTooLarge'), full: fixture.count('dropQueueFull') };
    assert.deepEqual(counts, { tooLarge: 2, full: 1 });
    const backlog = fixture.count('dropBacklog');
    assert.ok(backlog > 0);
    assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), [
      `Messages dropped for client c while it was connected: ${backlog + 4} (too large 2, queue full 1, backlog ${backlog}, expired 1).`,
    ]);
    assert.equal(fixture.count('publishDropped'), backlog + 4);
  });

  test('nothing is told where all came', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5, lasting('c'));
    client.subscribe('#', 1);
    const publisher = await fixture.connect(4);
    publisher.publish('t', 'x', { qos: 1 });
    client.breakOff();
    await fixture.connect(5, lasting('c'));
    fixture.stop();
    assert.deepEqual(fixture.takeLog(/^notice Messages dropped/), []);
  });
});

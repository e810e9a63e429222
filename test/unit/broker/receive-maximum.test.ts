/** Clients that keep more QoS 2 messages unreleased than CONNACK allowed: a burst is taken, a habit is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NO_BYTES } from '../../../src/base/no-bytes.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { publishPacket } from '../../support/packets/publication.js';

const options = { settings: { maxInflightMessages: 2 } };
const warning =
  'Client c has exceeded its receive-maximum quota. This behaviour must be fixed on the client.';

function publish(client: BrokerClient, ...packetIds: number[]): void {
  for (const packetId of packetIds) {
    client.publish('t', 'x', { qos: 2, packetId });
    client.expectPacket('pubrec', { packetId, reasonCode: 0 });
  }
}

/** All in one piece, as they arrive from a client that does not wait for answers. */
function burst(client: BrokerClient, packetIds: readonly number[]): void {
  const publishes = packetIds.map((packetId) =>
    publishPacket({ topic: 't', payload: NO_BYTES, qos: 2, packetId }),
  );
  client.send(Buffer.concat(publishes.map((packet) => encodePacket(packet, 5))));
  for (const packetId of packetIds) client.expectPacket('pubrec', { packetId, reasonCode: 0 });
}

function release(client: BrokerClient, packetId: number): void {
  client.ack('pubrel', packetId);
  client.expectPacket('pubcomp', { packetId });
}

describe('beyond the receive maximum', () => {
  test('a client that releases nothing for five seconds is closed with 0x93', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5, { clientId: 'c' });
    publish(client, 1, 2, 2); // the third is no further one
    fixture.advance(20);
    assert.deepEqual(fixture.takeLog(/^warning/), []);
    publish(client, 3);
    fixture.advance(5);
    client.expectNothing();
    assert.deepEqual(fixture.takeLog(/^warning/), [warning]);
    fixture.advance(1);
    client.expectClosed(0x93);
    assert.equal(fixture.takeLog(/disconnected: receive maximum exceeded\.$/).length, 1);
  });

  test('a client that sends twice its maximum, each after the answer to the one before, is closed at once', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5, { clientId: 'c' });
    publish(client, 1, 2, 3);
    client.publish('t', 'x', { qos: 2, packetId: 4 });
    client.expectClosed(0x93);
  });

  test('a burst that goes on after the first answers is taken once', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5, { clientId: 'c' });
    burst(client, [1, 2, 3, 4]);
    burst(client, [5, 6, 7]);
    client.publish('t', 'x', { qos: 2, packetId: 8 });
    client.expectClosed(0x93);
  });

  test('a client that releases some of them has its room again', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5, { clientId: 'c' });
    publish(client, 1, 2, 3);
    for (let packetId = 4; packetId < 20; packetId += 1) {
      release(client, packetId - 3);
      publish(client, packetId);
    }
    assert.equal(client.isClosed, false);
  });

  test('a client that goes on to release is served, however long it takes', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5, { clientId: 'c' });
    burst(client, [1, 2, 3, 4, 5, 6, 7]);
    for (let packetId = 1; packetId <= 7; packetId += 1) {
      fixture.advance(4);
      release(client, packetId);
    }
    fixture.advance(20);
    client.expectNothing();
    assert.equal(client.isClosed, false);
    assert.deepEqual(fixture.takeLog(/^warning/), [warning]);
  });

  test('a client that is back below it is no longer looked at', async () => {
    const fixture = new BrokerFixture(options);
    const client = await fixture.connect(5);
    publish(client, 1, 2, 3);
    release(client, 1);
    fixture.advance(20);
    publish(client, 4);
    fixture.advance(5);
    assert.equal(client.isClosed, false);
    fixture.advance(1);
    client.expectClosed(0x93);
  });

  test('older versions know no such maximum', async () => {
    for (const version of [3, 4] as const) {
      const fixture = new BrokerFixture(options);
      const client = await fixture.connect(version);
      publish(client, 1, 2, 3, 4);
      fixture.advance(20);
      assert.equal(client.isClosed, false);
      assert.deepEqual(fixture.takeLog(/^warning/), []);
    }
  });
});

test('messages that wait for their PUBREL count among those that wait, and for memory_limit', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(4);
  client.publish('t', 'x'.repeat(1000), { qos: 2, packetId: 1 });
  client.publish('t', 'x'.repeat(500), { qos: 2, packetId: 2 });
  client.publish('t', 'y'.repeat(600), { qos: 2, packetId: 2 });
  fixture.advance(1);
  assert.deepEqual([fixture.count('storedMessages'), fixture.count('storedBytes')], [2, 1600]);
  client.ack('pubrel', 1);
  fixture.advance(1);
  assert.deepEqual([fixture.count('storedMessages'), fixture.count('storedBytes')], [1, 600]);
  client.ack('pubrel', 2);
  fixture.advance(1);
  assert.deepEqual([fixture.count('storedMessages'), fixture.count('storedBytes')], [0, 0]);
});

/** A client that says nothing for one and a half times its keepalive is gone [MQTT-3.1.2-22]. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { type Broker, withBrokers } from '../support/brokers/broker.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';

/**
 * Mosquitto counts whole seconds; 2.1 looks once a second, Debian's 2.0.11 every five. The rest is for a busy machine:
 * unit tests of the broker show the time exactly.
 */
const earliestMs = 1000;
const latestMs = 15_000;

const will = {
  topic: 'gone',
  payload: Buffer.from('silent'),
  qos: 1,
  retain: false,
  properties: {},
} as const;

withBrokers('the keepalive', async (t, broker) => {
  await Promise.all([
    t.test('a silent client is closed, and its will sent', (s) => silentClient(s, broker)),
    t.test('any packet shows that the client is there', (s) => livelyClients(s, broker)),
  ]);
});

async function silentClient(t: TestContext, broker: Broker): Promise<void> {
  const watcher = await RawClient.connect(t, broker, 4);
  await watcher.subscribe('gone', 0);
  for (const version of [4, 5] as const) {
    const silent = await RawClient.connect(t, broker, version, { keepAlive: 1, will });
    const connectedAt = performance.now();
    await silent.expectClosed(); // No DISCONNECT before it [mosq].
    const livedMs = performance.now() - connectedAt;
    await watcher.expectPublish('gone', 'silent');
    assert.ok(livedMs >= earliestMs && livedMs < latestMs, `closed after ${Math.round(livedMs)} ms`);
  }
}

async function livelyClients(t: TestContext, broker: Broker): Promise<void> {
  const pinging = await RawClient.connect(t, broker, 4, { keepAlive: 2 });
  const publishing = await SessionClient.connect(t, broker, 4, { keepAlive: 2 });
  const careless = await RawClient.connect(t, broker, 4, { keepAlive: 0 });
  const quiet = connect(broker.port, '127.0.0.1'); // It has 30 seconds for its CONNECT.
  for (let tick = 0; tick < 8; tick++) {
    await pinging.expectSilence();
    await publishing.publish('tick', Buffer.from(`${tick}`), 1);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  await careless.expectSilence();
  assert.equal(quiet.readyState, 'open');
  quiet.destroy();
}

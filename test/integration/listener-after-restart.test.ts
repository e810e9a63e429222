/**
 * `per_listener_settings true`: which listener a client came through decides what it may do. That is stored with its
 * session, so that it holds for what comes while the client is away, and after a restart of the broker.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { reload } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

const ACCEPT_ALL = 'topic readwrite #\n';

interface Listeners {
  broker: Broker;
  /** Through the listener with an `acl_file`. */
  ruled: Broker;
  /** Through the one without. */
  open: Broker;
}

/** @param rules of the second listener */
async function startTwoListeners(
  t: TestContext,
  { rules = ACCEPT_ALL, config = '', workers = 1 } = {},
): Promise<Listeners & { aclFile: string }> {
  const aclFile = join(makeFolder(t), 'acl');
  writeFileSync(aclFile, rules);
  const ruledPort = await freePort();
  const broker = await startBroker(t, {
    workers,
    config: `per_listener_settings true
      persistence true
      persistence_location {folder}/
      ${config}
      listener {port} 127.0.0.1
      allow_anonymous true
      listener ${ruledPort} 127.0.0.1
      allow_anonymous true
      acl_file ${aclFile}`,
  });
  return { ...at(broker, ruledPort), aclFile };
}

function at(broker: Broker, ruledPort: number): Listeners {
  return { broker, open: broker, ruled: Object.create(broker, { port: { value: ruledPort } }) as Broker };
}

async function restart(t: TestContext, { broker, ruled }: Listeners): Promise<Listeners> {
  await broker.stop();
  return at(await broker.startAgain(t), ruled.port);
}

const LASTING = { cleanStart: false, properties: { sessionExpiryInterval: 300 } };

for (const from of ['open', 'ruled'] as const) {
  for (const to of ['open', 'ruled'] as const) {
    test(`[mosq: check_retain_source] a retained message from the listener ${from} reaches clients of ${to}`, async (t) => {
      const listeners = await startTwoListeners(t, { config: 'check_retain_source true' });
      const publisher = await RawClient.connect(t, listeners[from], 5, { clientId: 'publisher' });
      await publisher.publish('state', 'on', { retain: true });
      const reader = await RawClient.connect(t, listeners[to], 5);
      await reader.subscribe('state');
      await reader.expectPublish('state', 'on', { retain: true });
    });
  }
}

for (const workers of [1, 3]) {
  test(`[mosq: check_retain_source] the rules of the publisher's own listener decide, after a restart too [${workers} workers]`, async (t) => {
    const before = await startTwoListeners(t, { config: 'check_retain_source true', workers });
    for (const name of ['open', 'ruled'] as const) {
      const publisher = await RawClient.connect(t, before[name], 5, { clientId: `by ${name}` });
      await publisher.publish(`state/${name}`, 'on', { retain: true });
    }
    const expectOpenOnly = async (open: Broker) => {
      const reader = await RawClient.connect(t, open, 5);
      await reader.subscribe('state/#');
      await reader.expectPublish('state/open', 'on', { retain: true });
      await reader.expectSilence();
    };
    writeFileSync(before.aclFile, 'topic read #\n');
    await reload(before.broker);
    await expectOpenOnly(before.open);
    await expectOpenOnly((await restart(t, before)).open);
  });
}

for (const workers of [1, 3]) {
  test(`what comes after a restart waits for a client of either listener [${workers} workers]`, async (t) => {
    const before = await startTwoListeners(t, { workers });
    for (const name of ['open', 'ruled'] as const) {
      const client = await RawClient.connect(t, before[name], 5, { clientId: name, ...LASTING });
      await client.subscribe('news', 1);
      await client.disconnect();
    }
    const after = await restart(t, before);
    const publisher = await RawClient.connect(t, after.open, 5);
    await publisher.publish('news', 'of today');
    for (const name of ['open', 'ruled'] as const) {
      const client = await RawClient.connect(t, after[name], 5, { clientId: name, ...LASTING });
      assert.equal(client.connack!.sessionPresent, true);
      await client.expectPublish('news', 'of today', { qos: 1 });
    }
  });
}

test('after a restart the rules of its own listener hold for a client that is away', async (t) => {
  const before = await startTwoListeners(t, { rules: 'topic readwrite allowed\n' });
  const client = await RawClient.connect(t, before.ruled, 5, { clientId: 'away', ...LASTING });
  await client.subscribe('+', 1);
  await client.disconnect();
  const after = await restart(t, before);
  const publisher = await RawClient.connect(t, after.open, 5);
  await publisher.publish('forbidden', 'x');
  await publisher.publish('allowed', 'y');
  // Through the listener without rules nothing would be held back any more.
  const again = await RawClient.connect(t, after.open, 5, { clientId: 'away', ...LASTING });
  await again.expectPublish('allowed', 'y', { qos: 1 });
  await again.expectSilence();
});

test('a delayed will that is due after a restart is published', async (t) => {
  const before = await startTwoListeners(t);
  const { ruled } = before;
  const will = { topic: 'gone', payload: Buffer.from('w'), qos: 1, retain: true } as const;
  const client = await RawClient.connect(t, ruled, 5, {
    clientId: 'dying',
    ...LASTING,
    will: { ...will, properties: { willDelayInterval: 2 } },
  });
  await client.subscribe('anything', 1); // its SUBACK says that the will is stored, too
  client.destroy();
  await before.broker.waitForLog(/Client dying .*disconnected/);
  await before.broker.kill();
  const after = at(await before.broker.startAgain(t), ruled.port);
  const reader = await RawClient.connect(t, after.open, 5);
  await reader.subscribe('gone', 1);
  await reader.expectPublish('gone', 'w');
});

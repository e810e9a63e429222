/** A stored session over which workers die, again and again: it is set aside, and the rest is served. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { builtFolder } from '../support/project.js';

const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'fault-on-input.js')).href;

const expiry = { cleanStart: false, properties: { sessionExpiryInterval: 1000 } };

async function leaveSession(
  t: TestContext,
  broker: Parameters<typeof RawClient.connect>[1],
  clientId: string,
  filter: string,
) {
  const client = await RawClient.connect(t, broker, 5, { ...expiry, clientId });
  await client.subscribe(filter, 1);
  await client.disconnect();
}

for (const persistence of ['autosave', 'durable'] as const) {
  for (const workers of [1, 2]) {
    test(`it is set aside after three deaths (${persistence}, ${workers} workers)`, async (t) => {
      const later = join(makeFolder(t), 'later');
      const broker = await startBroker(t, {
        workers,
        config: `persistence true\npersistence_location {folder}\n${persistence === 'durable' ? 'persistence_mode durable' : ''}`,
        env: { NODE_OPTIONS: `--import ${preload}`, FAULT_LATER_FILE: later },
      });
      await leaveSession(t, broker, 'poor', 'FAULT-later/+');
      for (let i = 0; i < 5; i += 1) await leaveSession(t, broker, `good-${i}`, 'news');
      const publisher = await RawClient.connect(t, broker, 5);
      for (const topic of ['FAULT-later/x', 'news']) await publisher.publish(topic, 'a message');
      assert.equal(await broker.stop(), 0);
      writeFileSync(later, '');

      const again = await broker.startAgain(t);
      const deaths = again.log.filter((line) =>
        /died and is being replaced: TypeError: a fault.*\(later\)/.test(line),
      );
      assert.equal(deaths.length, 3);
      await again.waitForLog(
        /Three workers have died within a minute over the stored session of "poor", which is set aside\./,
      );
      await again.waitForLog(/The stored session of "poor" \(\d+ records\) is in .*\.set-aside-/);
      for (let i = 0; i < 5; i += 1) {
        const client = await RawClient.connect(t, again, 5, { ...expiry, clientId: `good-${i}` });
        assert.equal(client.connack!.sessionPresent, true);
        await client.expectPublish('news', 'a message');
      }
      const poor = await RawClient.connect(t, again, 5, { ...expiry, clientId: 'poor' });
      assert.equal(poor.connack!.sessionPresent, false);
      const [name, ...others] = readdirSync(broker.folder).filter((file) => file.includes('.set-aside-'));
      assert.deepEqual(others, []);
      const records = readFileSync(join(broker.folder, name!), 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      assert.deepEqual(records[0], { setAside: 'session', clientId: 'poor' });
      const inTable = (table: string) => records.filter((record) => record.table === table);
      assert.deepEqual([inTable('sessions').length, inTable('subscriptions').length], [1, 1]);
      const bytes = (table: string) =>
        inTable(table)
          .map(({ value }) => Buffer.from(value, 'base64').toString('latin1'))
          .join();
      assert.match(bytes('subscriptions'), /FAULT-later\/\+/);
      assert.match(bytes('queue') + bytes('messages'), /a message/);
      // At the next start there is nothing left to die over.
      assert.equal(await again.stop(), 0);
      const third = await again.startAgain(t);
      assert.deepEqual(
        third.log.filter((line) => line.includes('died')),
        [],
      );
    });
  }
}

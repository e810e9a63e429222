/** Whatever lies in the place of the store, the broker starts, says what it found, and stores what comes. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { Random } from '../support/random.js';
import { DAMAGES } from '../support/store/store-damages.js';

const configFor = (folder: string) => `persistence true\npersistence_location ${folder}/`;

/** The unit tests have all of them, with the same start of a store; here are some with the whole broker. */
const step = 5;

/** What a broker has saved: sessions with queued messages, and retained messages. */
async function savedStore(t: TestContext): Promise<Buffer> {
  const broker = await startBroker(t, { config: configFor('{folder}') });
  const client = await RawClient.connect(t, broker, 4);
  for (let i = 0; i < 20; i += 1) {
    const away = new DurableClient(`away-${i}`);
    await away.connect(t, broker);
    await away.subscribe(`to/${i}`, 1);
    await away.disconnect();
    await client.publish(`to/${i}`, 'x'.repeat(i * 100), { retain: true });
  }
  await broker.stop();
  return readFileSync(join(broker.folder, 'mosquitto.db'));
}

describe('a damaged file', () => {
  let saved: Promise<Buffer> | undefined;
  for (const [index, [what, damage]] of DAMAGES.entries()) {
    if (index % step !== 0) continue;
    const mode = index % 2 === 0 ? 'autosave' : 'durable';
    test(`${what} (${mode})`, async (t) => {
      saved ??= savedStore(t);
      const folder = makeFolder(t);
      const damaged = damage(Buffer.from(await saved), new Random(index + 1));
      writeFileSync(join(folder, 'mosquitto.db'), damaged);
      const broker = await startBroker(t, { config: `${configFor(folder)}\npersistence_mode ${mode}` });
      const client = await RawClient.connect(t, broker, 4);
      assert.equal(await client.publish('after', 'stored', { retain: true }), 0);
      const reader = await RawClient.connect(t, broker, 4);
      await reader.subscribe('after', 0);
      await reader.expectPublish('after', 'stored');
      assert.equal(await broker.stop(), 0);
    });
  }
});

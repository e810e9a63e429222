/**
 * A worker throws, fills its heap, or hangs: that is noticed, another takes its place, wills are sent once, and what was
 * stored is there. Clients of the other workers notice nothing.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startFallible } from '../support/brokers/fallible-broker.js';
import { RawClient } from '../support/clients/raw-client.js';
import { isLongRun } from '../support/run-length.js';

const members = 8;
const rounds = isLongRun ? 10 : 2;

interface Way {
  env: Record<string, string>;
  options?: string;
  line: RegExp;
  /** It takes as long as main's patience. */
  isSlow?: true;
}

const WAYS: Record<string, Way> = {
  throws: { env: {}, line: /died and is being replaced: Error: This worker falls/ },
  'fills its heap': {
    env: { FALL_BY: 'heap' },
    options: '--max-old-space-size=64',
    line: /died and is being replaced: Error \[ERR_WORKER_OUT_OF_MEMORY\]/,
  },
  hangs: { env: { FALL_BY: 'hanging' }, line: /Error: Worker \d+ has stood still for \d+ s\./, isSlow: true },
};

for (const [name, { env, options = '', line, isSlow }] of Object.entries(WAYS)) {
  test(`a worker ${name}`, { skip: isSlow && !isLongRun && 'in the long run' }, async (t) => {
    const { broker, fallOne } = await startFallible(t, 3, {
      env,
      nodeOptions: options,
      config: 'persistence true\npersistence_location {folder}',
    });
    const watcher = await RawClient.connect(t, broker, 5, {
      clientId: 'watcher',
      cleanStart: false,
      properties: { sessionExpiryInterval: 1000 },
    });
    await watcher.subscribe('will/+', 1);
    await watcher.disconnect();
    for (let round = 0; round < (isSlow ? 1 : rounds); round += 1) {
      const clients: RawClient[] = [];
      for (let i = 0; i < members; i += 1) {
        const will = {
          topic: `will/${i}`,
          payload: Buffer.from(`${round}`),
          qos: 1 as const,
          retain: false,
          properties: {},
        };
        const client = await RawClient.connect(t, broker, 5, {
          clientId: `member-${i}`,
          cleanStart: false,
          will,
          properties: { sessionExpiryInterval: 1000 },
        });
        // Its SUBACK says that the session is stored, and the will with it.
        await client.subscribe(`to/${i}`, 1);
        clients.push(client);
      }
      const from = broker.log.length;
      await fallOne();
      await broker.waitForLog(line, { from });
      const publisher = await RawClient.connect(t, broker, 5);
      for (let i = 0; i < members; i += 1) assert.equal(await publisher.publish(`to/${i}`, `${round}`), 0);
      for (const client of clients) client.destroy();
      // Whoever fell or not: the session and what was published for it are there, once.
      for (let i = 0; i < members; i += 1) {
        const client = await RawClient.connect(t, broker, 5, {
          clientId: `member-${i}`,
          cleanStart: false,
          properties: { sessionExpiryInterval: 1000 },
        });
        assert.equal(client.connack!.sessionPresent, true);
        const { packetId } = await client.expectPublish(`to/${i}`, `${round}`);
        client.sendAck('puback', packetId);
        await client.expectSilence();
        await client.disconnect();
      }
      // Each will has come once: of those that fell and of those that were cut off by us.
      const again = await RawClient.connect(t, broker, 5, {
        clientId: 'watcher',
        cleanStart: false,
        properties: { sessionExpiryInterval: 1000 },
      });
      const wills: string[] = [];
      while (wills.length < members) {
        const { topic, packetId } = await again.expectPacket('publish');
        again.sendAck('puback', packetId);
        wills.push(topic);
      }
      await again.expectSilence();
      await again.disconnect();
      assert.deepEqual(
        wills.sort(),
        Array.from({ length: members }, (_, i) => `will/${i}`),
      );
    }
  });
}

/** Debian's Mosquitto loads what we export, and its clients see the same. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { runDbCommand } from '../../src/cli/midge/db.js';
import type { DatabaseContent } from '../../src/mosquitto-db/content.js';
import { writeDatabase } from '../../src/mosquitto-db/from-model.js';
import { readDatabase } from '../../src/mosquitto-db/to-model.js';
import { type Broker, startMosquitto } from '../support/brokers/broker.js';
import { runClient, skipWithout, startClient } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { readSample, SAMPLE_NAMES } from '../support/store/mosquitto-db-samples.js';
import { SampleWitness } from '../support/store/sample-witness.js';

const skip = skipWithout('/usr/sbin/mosquitto', '/usr/bin/mosquitto_sub');

/** Starts Mosquitto with a database of ours. */
async function startWith(t: TestContext, content: DatabaseContent): Promise<Broker> {
  const folder = makeFolder(t);
  writeFileSync(join(folder, 'mosquitto.db'), writeDatabase(content, Date.now()));
  return startMosquitto(t, { config: `${configFor(folder)}\nmax_inflight_messages 4` });
}

function configFor(folder: string): string {
  return `user root\npersistence true\npersistence_location ${folder}/`;
}

/** A sample that went through our records and back into a file, loaded by Mosquitto. */
function startWithExported(t: TestContext, sample: string): Promise<Broker> {
  const { content, report } = readDatabase(readSample(sample), Date.now());
  assert.deepEqual(report.problems, []);
  return startWith(t, content);
}

describe('Mosquitto loads an export', { skip, concurrency: 4 }, () => {
  for (const sample of SAMPLE_NAMES) {
    test(`${sample}: clients see what is in it`, async (t) => {
      const folder = makeFolder(t);
      const [original, store, exported] = ['original.db', 'store.db', 'mosquitto.db'].map((name) =>
        join(folder, name),
      ) as [string, string, string];
      writeFileSync(original, readSample(sample));
      const quiet = { stdout: () => {}, stderr: () => {} };
      assert.equal(await runDbCommand(['import', original, store], quiet), 0);
      assert.equal(await runDbCommand(['export', store, exported], quiet), 0);
      const broker = await startMosquitto(t, { config: configFor(folder) });
      await new SampleWitness(t, broker, sample).expectAll();
    });
  }

  test('retained messages with their properties', async (t) => {
    const broker = await startWithExported(t, 'v6-2.1.2-all.db');
    const format = '%t|%p|%q|%r|%P|%C|%R';
    const client = await runClient(t, broker, 'mosquitto_sub', [
      '-V',
      '5',
      '-t',
      '#',
      '-q',
      '2',
      '-W',
      '10',
      '-C',
      '11',
      '-F',
      format,
    ]);
    const lines = client.messages.sort();
    assert.equal(lines.length, 11);
    for (const line of ['a/b|retained-a-b|0|1|||', '/lead|leading slash|1|1|||', 'replaced|new|1|1|||']) {
      assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`);
    }
    assert.ok(lines.includes('v5/retained|{"a":1}|1|1|k:v k:v2|text/plain|reply/to'), lines.join('\n'));
  });

  test('a session with what was in flight and what waited', async (t) => {
    const broker = await startWithExported(t, 'v6-2.0.11-sessions.db');
    const args = ['-V', 'mqttv311', '-i', 'sessA', '-c', '-q', '2', '-t', 'none', '-F', '%t|%p|%q'];
    const client = startClient(t, broker, 'mosquitto_sub', args);
    const lines = await client.waitForMessages(5); // QoS 2 is printed later, when it is released
    assert.deepEqual(lines.toSorted(), [
      's/1|q1-unacked|1',
      's/2|q1-over-inflight|1',
      's/3|q1-offline-queued|1',
      't/1|q2-norec|2',
      't/3|q2-offline-queued-and-retained|2',
    ]);
    await runClient(t, broker, 'mosquitto_pub', ['-t', 's/deep/er', '-m', 'subscribed', '-q', '1']);
    await client.waitForMessage('s/deep/er|subscribed|1');
  });

  test('a session of MQTT 5.0 with user properties', async (t) => {
    const broker = await startWithExported(t, 'v6-2.1.2-all.db');
    const args = ['-V', '5', '-i', 'sess5', '-c', '-x', '3600', '-q', '1', '-t', 'none', '-F', '%t|%p|%P'];
    const client = startClient(t, broker, 'mosquitto_sub', args);
    assert.deepEqual(await client.waitForMessages(2), ['n/1|v5 queued|uk:uv', 'sh/1|shared queued|']);
  });

  test('a shared subscription, though Mosquitto itself saves none', async (t) => {
    const { content } = readDatabase(readSample('v6-2.1.2-all.db'), Date.now());
    const [first] = content.sessions;
    const subscription = { ...first!.subscriptions[0]!, filter: '$share/group/shared/#' };
    const broker = await startWith(t, {
      retained: [],
      sessions: [{ session: first!.session, subscriptions: [subscription], queue: [] }],
    });
    await runClient(t, broker, 'mosquitto_pub', ['-t', 'shared/1', '-m', 'for a member', '-q', '1']);
    const { clientId } = first!.session;
    const args = ['-i', clientId, '-c', '-q', '1', '-t', 'none', '-F', '%t|%p'];
    const client = startClient(t, broker, 'mosquitto_sub', args);
    assert.deepEqual(await client.waitForMessages(1), ['shared/1|for a member']);
  });
});

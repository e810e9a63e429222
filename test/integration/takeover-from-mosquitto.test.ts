/**
 * The whole broker in Mosquitto's place: it starts on Mosquitto's own file, and clients find what Mosquitto had kept for
 * them. With TEST_BROKER=mosquitto it is Mosquitto that starts on the file, to see that the samples are asked right.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { runDbCommand } from '../../src/cli/midge/db.js';
import type { StoredMessage } from '../../src/model/message.js';
import type { QueuedRecord } from '../../src/model/queued-record.js';
import { SESSION_NEVER_EXPIRES } from '../../src/model/session-record.js';
import { writeDatabase } from '../../src/mosquitto-db/from-model.js';
import type { Qos } from '../../src/mqtt/packets.js';
import { type Broker, isReference, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';
import { readSample, SAMPLE_NAMES } from '../support/store/mosquitto-db-samples.js';
import { SampleWitness } from '../support/store/sample-witness.js';

const concurrency = 3;

/** @returns a folder with the sample as `mosquitto.db` */
function folderWith(t: TestContext, sample: string): string {
  const folder = makeFolder(t);
  writeFileSync(join(folder, 'mosquitto.db'), readSample(sample));
  return folder;
}

const configFor = (folder: string) => `log_type all\npersistence true\npersistence_location ${folder}/`;

const wasImported = ({ log }: Broker) => log.some((line) => /Imported a Mosquitto database/.test(line));

describe('on a mosquitto.db', { concurrency, skip: isReference }, () => {
  for (const sample of SAMPLE_NAMES) {
    for (const workers of [1, 3]) {
      test(`${sample}: clients find what is theirs [workers: ${workers}]`, async (t) => {
        const folder = folderWith(t, sample);
        const first = await startBroker(t, { workers, config: configFor(folder) });
        assert.ok(wasImported(first));
        await new SampleWitness(t, first, sample).expectAll();
        await first.stop();
        const kept = readdirSync(folder).filter((name) => name.startsWith('mosquitto.db.imported-'));
        assert.equal(kept.length, 1);
        assert.deepEqual(readFileSync(join(folder, kept[0]!)), readSample(sample));
      });
    }

    test(`${sample}: the second start does not import it again`, async (t) => {
      const folder = folderWith(t, sample);
      const config = `${configFor(folder)}\npersistence_mode durable`;
      const first = await startBroker(t, { workers: 2, config });
      assert.ok(wasImported(first));
      await first.stop();
      const second = await first.startAgain(t);
      assert.ok(!wasImported(second));
      await new SampleWitness(t, second, sample).expectAll();
    });
  }
});

/** Of a bridge in Debian's Mosquitto that could not connect, with what waits for it. */
const bridgeLines = (port: number) => [
  'connection up',
  `address 127.0.0.1:${port}`,
  'cleansession false',
  'restart_timeout 1',
  'topic # out 2',
];

const queuedByBridge = 200;

test('what the bridge of Mosquitto 2.0 had queued goes out', {
  skip: isReference || skipWithout('/usr/sbin/mosquitto'),
}, async (t) => {
  const folder = makeFolder(t);
  const port = await freePort();
  const config = [configFor(folder), ...bridgeLines(port)].join('\n');
  const mosquitto = await startMosquitto(t, { config });
  const publisher = await RawClient.connect(t, mosquitto, 4);
  for (let i = 0; i < queuedByBridge; i += 1) await publisher.publish('a', `${i}`, { qos: i % 2 ? 1 : 2 });
  await publisher.disconnect();
  assert.equal(await mosquitto.stop(), 0);

  const far = await startBroker(t, {
    config: `listener {port} 127.0.0.1\nlistener ${port} 127.0.0.1\nallow_anonymous true`,
  });
  const reader = await RawClient.connect(t, far, 4);
  await reader.subscribe('a', 0);
  const broker = await startBroker(t, { config });
  // Messages of QoS 1 overtake those of QoS 2, which the far broker forwards at PUBREL.
  const arrived = new Set<string>();
  while (arrived.size < queuedByBridge) {
    const { payload } = await reader.expectPacket('publish', { topic: 'a' });
    arrived.add(Buffer.from(payload).toString());
  }
  await broker.stop();
  assert.match(
    broker.log.join('\n'),
    /Imported .*: 0 retained messages, 1 sessions, 200 queued messages\.$/m,
  );
});

test('what the import leaves out is in the log, and the way back at the end', async (t) => {
  const folder = folderWith(t, 'v6-2.1.2-all.db');
  const path = join(folder, 'mosquitto.db');
  const broker = await startBroker(t, { config: configFor(folder) });
  await broker.stop();
  assert.ok(
    broker.log.some((line) => line.endsWith('Not imported: a message of "v5/expired-soon" has expired.')),
  );
  const back = broker.log.find((line) => line.includes('To go back to Mosquitto'))!;
  assert.match(
    back,
    new RegExp(`: midge db export ${path} ${path}\\.export && mv ${path}\\.export ${path}$`),
  );
  assert.equal(
    await runDbCommand(['export', path, `${path}.export`], { stdout: () => {}, stderr: () => {} }),
    0,
  );
});

describe('Mosquitto on its own file', { concurrency, skip: !isReference }, () => {
  // Mosquitto 2.0 forgets the sessions of versions 3 and 4, which say nothing of session expiry.
  for (const sample of SAMPLE_NAMES.filter((name) => !/^v[34]-/.test(name))) {
    test(sample, async (t) => {
      const broker = await startMosquitto(t, { config: configFor(folderWith(t, sample)) });
      await new SampleWitness(t, broker, sample).expectAll();
    });
  }
});

/** A file with messages that Mosquitto took before it refused control characters: retained ones, and queued for `c`. */
function withControlCharacters(now: number): Uint8Array {
  const message = (topic: string, payload: string, qos: Qos): StoredMessage => ({
    topic,
    payload: Buffer.from(payload),
    qos,
    retain: false,
    properties: Buffer.alloc(0),
    expiresAt: 0,
    originClientId: 'old',
    originListener: '',
    originUsername: '',
  });
  const queue = ['q\x01', 'q/good', 'q\uffff', 'q/good'].map((topic, i): QueuedRecord => {
    const qos = i < 2 ? 1 : 2;
    const delivery = {
      direction: 'outgoing',
      packetId: 0,
      retain: false,
      dup: false,
      subscriptionIds: [],
    } as const;
    return { ...delivery, state: 'queued', qos, message: message(topic, `${i}`, qos) };
  });
  const session = {
    clientId: 'c',
    username: undefined,
    protocolVersion: 4,
    sessionExpiry: SESSION_NEVER_EXPIRES,
    expiresAt: 0,
    disconnectedAt: now,
    lastPacketId: 0,
    will: undefined,
  } as const;
  const retained = ['dev/t\x01', 'dev/t\x7f', 'dev/good'].map((topic) => ({
    ...message(topic, 'r', 1),
    retain: true,
  }));
  return writeDatabase({ retained, sessions: [{ session, subscriptions: [], queue }] }, now);
}

for (const workers of [1, 3]) {
  test(`messages with control characters are not delivered, and named once [workers: ${workers}]`, {
    skip: isReference,
  }, async (t) => {
    const folder = makeFolder(t);
    writeFileSync(join(folder, 'mosquitto.db'), withControlCharacters(Date.now()));
    const broker = await startBroker(t, { workers, config: configFor(folder) });
    for (const version of [4, 5, 4] as const) {
      const watcher = await RawClient.connect(t, broker, version);
      await watcher.subscribe('#', 1);
      const { packetId } = await watcher.expectPublish('dev/good', 'r');
      watcher.sendAck('puback', packetId);
      await watcher.expectSilence();
    }
    const client = await RawClient.connect(t, broker, 4, { clientId: 'c', cleanStart: false });
    await client.expectPublish('q/good', '1', { qos: 1 });
    await client.expectPublish('q/good', '3', { qos: 2 });
    await broker.stop();
    const named = broker.log.filter((line) => /Stored messages of the topic/.test(line));
    const topics = named.map((line) => /'([^']*)'/.exec(line)![1]!).sort();
    assert.deepEqual(topics, ['dev/t\\x01', 'dev/t\\x7f', 'q\\x01', 'q\uffff']);
    const again = await broker.startAgain(t);
    const watcher = await RawClient.connect(t, again, 5);
    await watcher.subscribe('#', 0);
    await watcher.expectPublish('dev/good', 'r');
    await watcher.expectSilence();
  });
}

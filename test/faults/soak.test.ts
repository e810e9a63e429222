/**
 * Churn for half an hour: clients that come and go, sessions that begin and expire, messages of all levels, retained
 * ones that are set and cleared. Memory, descriptors and the store's size are looked at each second and drawn as curves
 * (SVG). They are flat after a warm-up; a minute after the load the descriptors are back, and memory is no higher.
 *
 *   npm test -- --long --minutes 5 soak      another length; the output names the file of the curves
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { type Curve, drawCurves } from '../support/flood/curves.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong, skipInShortest } from '../support/run-length.js';
import { temporaryFolder } from '../support/store/stores.js';

const minutes = Number(process.env.TEST_MINUTES ?? inShortOrLong(1, 30));
const lanes = 20;
const calmSeconds = Math.min(60, minutes * 30);
/** Seconds until a session that its client has left is over. */
const expirySeconds = 10;
const topics = 500;

/** The warm-up: the engine compiles, and its heaps find their sizes. */
const WARM_UP = 0.4;
/** What the end may be above the time after the warm-up. */
const GROWTH_MB = 15;
const GROWTH_SHARE = 0.1;

interface Sample {
  memoryMb: number;
  descriptors: number;
  storeMb: number;
}

function bytesIn(folder: string): number {
  let bytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const stats = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stats?.isFile()) bytes += stats.size;
  }
  return bytes;
}

function look(broker: Broker, folder: string): Sample {
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  return {
    memoryMb: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024,
    descriptors: readdirSync(`/proc/${broker.pid}/fd`).length,
    storeMb: bytesIn(folder) / 1024 / 1024,
  };
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

const seed = seedOfRun();

test(`${minutes} minutes of churn, seed ${seed}`, { skip: skipInShortest }, async (t) => {
  const random = new Random(seed);
  const memory = existsSync('/dev/shm') ? temporaryFolder(t, '/dev/shm') : makeFolder(t);
  const broker = await startBroker(t, {
    workers: 2,
    env: { RUNTIME_DIRECTORY: memory },
    config:
      'persistence true\npersistence_location {folder}/store/\nautosave_interval 60\nlog_type error\nlog_type warning\nlog_type information\nconnection_messages false',
  });
  const samples: Sample[] = [];
  const start = look(broker, memory);
  const end = Date.now() + minutes * 60_000;
  let isOver = false;
  let connections = 0;
  let messages = 0;

  /** One client after the other. */
  const lane = async (number: number): Promise<void> => {
    while (Date.now() < end) {
      const clientId = `client-${number}-${random.below(50)}`;
      const stays = random.below(2) === 0;
      const client = await RawClient.connect(t, broker, 5, {
        clientId,
        cleanStart: random.below(4) === 0,
        properties: stays ? { sessionExpiryInterval: expirySeconds } : {},
      });
      connections += 1;
      const taking = take(client);
      const filters = [`churn/${random.below(topics)}`, `churn/${random.below(topics)}`];
      for (const filter of filters) client.sendSubscribe(filter, random.pick([0, 1, 2]), { packetId: 1 });
      for (let i = 0; i < 50; i += 1) {
        const isRetained = random.below(10) === 0;
        const payload = isRetained && random.below(3) === 0 ? '' : 'x'.repeat(random.below(500));
        const qos = random.pick([0, 1, 2] as const);
        client.sendPublish(`churn/${random.below(topics)}`, payload, {
          qos,
          packetId: 10 + i,
          retain: isRetained,
        });
        messages += 1;
        if (i % 10 === 9) await delay(5);
      }
      await delay(random.below(100));
      if (random.below(3) === 0) client.destroy();
      else client.send({ type: 'disconnect', reasonCode: 0, properties: {} });
      await taking;
    }
  };

  const sampling = (async () => {
    while (!isOver) {
      samples.push(look(broker, memory));
      await delay(1000);
    }
  })();
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)));
  const loaded = samples.length;
  await delay(calmSeconds * 1000);
  isOver = true;
  await sampling;

  const file = join(mkdtempSync(join(tmpdir(), 'midge-soak-')), 'soak.svg');
  const curve = (name: string, unit: string, key: keyof Sample): Curve => ({
    name,
    unit,
    values: samples.map((sample) => sample[key]),
  });
  const curves = [
    curve('memory (VmRSS)', 'MB', 'memoryMb'),
    curve('descriptors', '', 'descriptors'),
    curve('live store', 'MB', 'storeMb'),
  ];
  writeFileSync(file, drawCurves(`${minutes} minutes of churn`, curves, loaded));
  const part = (key: keyof Sample, from: number, to: number) =>
    median(samples.slice(Math.floor(loaded * from), Math.ceil(loaded * to)).map((sample) => sample[key]));
  const early = (key: keyof Sample) => part(key, WARM_UP, WARM_UP + 0.2);
  const late = (key: keyof Sample) => part(key, 0.8, 1);
  const last = samples.at(-1)!;
  const words = (key: keyof Sample) =>
    `${key} ${start[key].toFixed(1)} at the start, ${early(key).toFixed(1)} after the warm-up, ${late(key).toFixed(1)} at the end of the load, ${last[key].toFixed(1)} ${calmSeconds} s later`;
  t.diagnostic(`${connections} connections, ${messages} messages; curves in ${file}`);
  for (const key of ['memoryMb', 'descriptors', 'storeMb'] as const) t.diagnostic(words(key));
  assert.ok(late('memoryMb') <= early('memoryMb') * (1 + GROWTH_SHARE) + GROWTH_MB, words('memoryMb'));
  assert.ok(late('descriptors') <= early('descriptors') + lanes, words('descriptors'));
  assert.ok(late('storeMb') <= early('storeMb') * 1.5 + 2, words('storeMb'));
  assert.ok(last.descriptors <= start.descriptors + 5, words('descriptors'));
  assert.ok(last.memoryMb <= late('memoryMb'), words('memoryMb'));
});

/** Acknowledges what comes. @returns when the connection is gone */
async function take(client: RawClient): Promise<void> {
  try {
    for (;;) {
      const packet = await client.next();
      if (packet.type === 'publish' && packet.qos === 1) client.sendAck('puback', packet.packetId);
      if (packet.type === 'publish' && packet.qos === 2) client.sendAck('pubrec', packet.packetId);
      if (packet.type === 'pubrec' && packet.reasonCode < 0x80) client.sendAck('pubrel', packet.packetId);
      if (packet.type === 'pubrel') client.sendAck('pubcomp', packet.packetId);
    }
  } catch {} // closed
}

/**
 * Bits that flip in a store file, a clock that is set again and again, a process that stands still. Full, read-only and
 * removed disks and other users' files are in `test/integration` (full-disk, full-memory, lost-file, store-unavailable);
 * `npm run test:faults` runs them along.
 */
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { startBroker } from '../support/brokers/broker.js';
import { type BrokerRun, BrokerRuns } from '../support/brokers/broker-runs.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { builtFolder } from '../support/project.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong, skipInShortest } from '../support/run-length.js';
import { text } from '../support/store/stores.js';

const sessions = 40;
const stores = inShortOrLong(10, 50);
const jumps = inShortOrLong(4, 20);
const stoppedMs = 20_000;
const DAY_MS = 86_400_000;

const nameOf = (i: number) => `name ${i} ${'x'.repeat(i * 20)}`;

async function soundStore(t: TestContext): Promise<Buffer> {
  const runs = new BrokerRuns(t);
  const run = await runs.start();
  for (let i = 0; i < sessions; i += 1) await run.add(nameOf(i));
  await run.end();
  return readFileSync(runs.path);
}

/** What reads must be what was written. @returns how much is missing */
function expectTrue({ worker }: BrokerRun): number {
  let missing = 0;
  for (let i = 0; i < sessions; i += 1) {
    const name = nameOf(i);
    const retained = worker.retained.get(`retained/${name}`);
    if (retained === undefined) missing += 1;
    else assert.equal(text(retained.payload()), name, `the retained message of ${name}`);
    const queued = worker.sessions.load(name)?.stored.outgoing.read(0, 10) ?? [];
    if (queued.length === 0) missing += 1;
    for (const { publication } of queued)
      assert.equal(text(publication.payload()), name, `queued for ${name}`);
  }
  return missing;
}

describe('disk and time', { skip: skipInShortest }, () => {
  for (const durable of [false, true]) {
    for (const flips of [1, 50]) {
      const seed = seedOfRun();
      const mode = durable ? 'durable' : 'autosave';
      test(`${mode}: ${stores} stores, ${flips} of whose bits flip, seed ${seed}`, async (t) => {
        const random = new Random(seed);
        const sound = await soundStore(t);
        const counts = { told: 0, missing: 0 };
        for (let made = 0; made < stores; made += 1) {
          const damaged = Buffer.from(sound);
          for (let i = 0; i < flips; i += 1) damaged[random.below(damaged.length)]! ^= 1 << random.below(8);
          const runs = new BrokerRuns(t);
          runs.durable = durable;
          writeFileSync(runs.path, damaged);
          const run = await runs.start();
          const missing = expectTrue(run);
          const isTold = run.alarms.length > 0;
          // A bit of a free page, or of what no record needs, is missed by nobody.
          if (missing > 0) assert.ok(isTold, `${missing} records are missing, and nobody is told`);
          counts.told += isTold ? 1 : 0;
          counts.missing += missing;
          await run.add('after');
          assert.equal(await run.end(), true);
        }
        t.diagnostic(
          `${counts.told} of ${stores} told, ${counts.missing} of ${stores * sessions * 2} records missing`,
        );
      });
    }
  }

  test(`the clock is set ${jumps} times, by up to a day`, async (t) => {
    const seed = seedOfRun();
    t.diagnostic(`seed ${seed}`);
    const random = new Random(seed);
    const file = join(makeFolder(t), 'clock');
    const setClock = (ms: number): void => {
      writeFileSync(`${file}.new`, String(ms));
      renameSync(`${file}.new`, file);
    };
    setClock(0);
    const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'shift-clock.js')).href;
    const env = { NODE_OPTIONS: `--import ${preload}`, CLOCK_FILE: file };
    const broker = await startBroker(t, { workers: 2, env });
    const clients: RawClient[] = [];
    for (let i = 0; i < 20; i += 1) {
      const will = { topic: 'will', payload: Buffer.of(), qos: 0 as const, retain: false, properties: {} };
      clients.push(await RawClient.connect(t, broker, 5, { keepAlive: 20, will }));
    }
    const watcher = await RawClient.connect(t, broker, 5);
    await watcher.subscribe('will');
    for (let jump = 0; jump < jumps; jump += 1) {
      const from = broker.log.length;
      const way = jump % 2 === 0 ? 1 : -1;
      setClock(way * (DAY_MS / 2 + random.below(DAY_MS / 2)));
      await broker.waitForLog(/clock was set/, { from });
      for (const client of clients) await client.expectSilence();
    }
    await watcher.expectSilence();
  });

  test(`a broker that is stopped for ${stoppedMs / 1000} s`, async (t) => {
    const broker = await startBroker(t, { workers: 2 });
    const connecting = Array.from({ length: 60 }, () => RawClient.connect(t, broker, 4, { keepAlive: 10 }));
    const clients = await Promise.all(connecting);
    process.kill(broker.pid, 'SIGSTOP');
    try {
      for (const client of clients) client.send({ type: 'pingreq' });
      await delay(stoppedMs);
    } finally {
      process.kill(broker.pid, 'SIGCONT');
    }
    for (const client of clients) await client.expectPacket('pingresp');
  });
});

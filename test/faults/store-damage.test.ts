/** Damaged files: whatever lies at persistence_location, the broker's own process starts and can store. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { BrokerRuns } from '../support/brokers/broker-runs.js';
import { Random } from '../support/random.js';
import { inShortOrLong } from '../support/run-length.js';
import { DAMAGES, type Damage } from '../support/store/store-damages.js';

/** A saved store with 40 sessions, retained and queued messages, as bytes. */
async function soundStore(t: TestContext): Promise<Buffer> {
  const runs = new BrokerRuns(t);
  const run = await runs.start();
  for (let i = 0; i < 40; i += 1) await run.add(`name ${i} ${'x'.repeat(i * 20)}`);
  await run.end();
  return readFileSync(runs.path);
}

const seedsOfEach = inShortOrLong(1, 6);

/** Both modes find out about damage in the same way: every third file is enough for the second. */
function* kinds(index: number): Generator<[durable: boolean, seed: number]> {
  for (let round = 0; round < seedsOfEach; round += 1) {
    const seed = index + 1 + round * DAMAGES.length;
    yield [false, seed];
    if (index % 3 === 0) yield [true, seed];
  }
}

describe(`${DAMAGES.length} damaged files`, { concurrency: 2 }, () => {
  let sound: Promise<Buffer> | undefined;
  for (const [index, [what, damage]] of DAMAGES.entries()) {
    for (const [durable, seed] of kinds(index)) {
      test(`${what} (${durable ? 'durable' : 'autosave'}, seed ${seed})`, async (t) => {
        sound ??= soundStore(t);
        const damaged = damage(Buffer.from(await sound), new Random(seed));
        const runs = new BrokerRuns(t);
        runs.durable = durable;
        writeFileSync(runs.path, damaged);
        const run = await runs.start();
        if (run.alarms.length > 0) {
          const kept = runs.files.filter((name) => name.includes('.damaged-'));
          // Damage in the list of free pages shows only when the check writes, and may end it after its first commit.
          const isAsFound = !/ended by SIG/.test(run.alarms[0]!);
          if (kept.length > 0 && isAsFound)
            assert.deepEqual(readFileSync(`${runs.path.replace(/[^/]*$/, '')}${kept[0]}`), damaged);
        }
        await run.add('after');
        assert.ok(run.names().includes('after'));
        assert.equal(await run.end(), true);
        const next = await runs.start();
        assert.ok(next.names().includes('after'));
        assert.deepEqual(next.alarms, []);
        await next.end();
      });
    }
  }
});

describe('what reads of a damaged file', () => {
  async function startDamaged(t: TestContext, damage: Damage) {
    const runs = new BrokerRuns(t);
    writeFileSync(runs.path, damage(await soundStore(t), new Random(1)));
    return runs.start();
  }

  test('is saved where only records are damaged', async (t) => {
    const run = await startDamaged(t, (bytes) => {
      // Every retained message's and session's name occurs in its records: this one loses its layout version.
      const at = bytes.indexOf('retained/name 3 ');
      bytes.fill(0xff, at - 4, at);
      return bytes;
    });
    assert.equal(run.alarms.length, 2);
    assert.match(
      run.alarms[1]!,
      /^Saved from it: \d+ retained messages, 40 sessions, \d+ queued messages\.$/,
    );
    assert.ok(run.names().length >= 38);
  });
});

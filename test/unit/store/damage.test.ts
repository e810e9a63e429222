/** Damaged files: whatever lies at persistence_location, the broker's own process starts and can store. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { BrokerRuns } from '../../support/broker-runs.js';
import { readSample } from '../../support/mosquitto-db-samples.js';
import { Random } from '../../support/random.js';

const PAGE = 4096;

/** A saved store with 40 sessions, retained and queued messages, as bytes. */
async function soundStore(t: TestContext): Promise<Buffer> {
  const runs = new BrokerRuns(t);
  const run = await runs.start();
  for (let i = 0; i < 40; i += 1) await run.add(`name ${i} ${'x'.repeat(i * 20)}`);
  await run.end();
  return readFileSync(runs.path);
}

type Damage = (bytes: Buffer, random: Random) => Buffer;

const cutAt =
  (share: number): Damage =>
  (bytes) =>
    bytes.subarray(0, Math.floor(bytes.length * share));

const zeroPages =
  (first: number, count: number): Damage =>
  (bytes) =>
    bytes.fill(0, first * PAGE, Math.min((first + count) * PAGE, bytes.length));

const flipBits =
  (count: number): Damage =>
  (bytes, random) => {
    for (let i = 0; i < count; i += 1) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  };

const noise =
  (start: number, length: number): Damage =>
  (bytes, random) => {
    for (let i = start; i < Math.min(start + length, bytes.length); i += 1) bytes[i] = random.below(256);
    return bytes;
  };

const swapBytesOf =
  (width: number): Damage =>
  (bytes) => {
    for (let i = 0; i + width <= PAGE * 2; i += width) bytes.subarray(i, i + width).reverse();
    return bytes;
  };

const DAMAGES: [string, Damage][] = [
  ['empty', () => Buffer.alloc(0)],
  ['one byte', () => Buffer.from([0])],
  ['cut within the first page', (bytes) => bytes.subarray(0, 100)],
  ['cut after one page', (bytes) => bytes.subarray(0, PAGE)],
  ['cut after two pages', (bytes) => bytes.subarray(0, 2 * PAGE)],
  ['cut in half', cutAt(0.5)],
  ['cut within a page', (bytes) => bytes.subarray(0, 5 * PAGE + 77)],
  ['last byte lost', (bytes) => bytes.subarray(0, bytes.length - 1)],
  ['last page lost', (bytes) => bytes.subarray(0, bytes.length - PAGE)],
  ['all zeros', (bytes) => bytes.fill(0)],
  ['all ones', (bytes) => bytes.fill(0xff)],
  ['first page zeroed', zeroPages(0, 1)],
  ['second page zeroed', zeroPages(1, 1)],
  ['both meta pages zeroed', zeroPages(0, 2)],
  ['third page zeroed', zeroPages(2, 1)],
  ['a page in the middle zeroed', zeroPages(7, 1)],
  ['five pages zeroed', zeroPages(4, 5)],
  ['all but the meta pages zeroed', zeroPages(2, 10_000)],
  ['one bit flipped', flipBits(1)],
  ['10 bits flipped', flipBits(10)],
  ['100 bits flipped', flipBits(100)],
  ['1000 bits flipped', flipBits(1000)],
  ['noise in the meta pages', noise(16, 100)],
  ['a page of noise', noise(3 * PAGE, PAGE)],
  ['noise all over', noise(2 * PAGE, 1e9)],
  ['the other byte order', swapBytesOf(8)],
  ['the other word size', swapBytesOf(4)],
  ['text', () => Buffer.from('# mosquitto.conf\nlistener 1883\n'.repeat(500))],
  ['a Mosquitto file cut off', () => readSample('v6-2.0.11-sessions.db').subarray(0, 700)],
  [
    'a Mosquitto file of noise',
    (_bytes, random) => noise(30, 1e9)(readSample('v6-2.0.11-sessions.db'), random),
  ],
];

describe(`${DAMAGES.length} damaged files`, { concurrency: 2 }, () => {
  let sound: Promise<Buffer> | undefined;
  for (const [index, [what, damage]] of DAMAGES.entries()) {
    // Both modes find out about damage in the same way: every third file is enough for the second.
    for (const durable of index % 3 === 0 ? [false, true] : [false]) {
      test(`${what} (${durable ? 'durable' : 'autosave'})`, async (t) => {
        sound ??= soundStore(t);
        const damaged = damage(Buffer.from(await sound), new Random(index + 1));
        const runs = new BrokerRuns(t);
        runs.durable = durable;
        writeFileSync(runs.path, damaged);
        const run = await runs.start();
        if (run.alarms.length > 0) {
          const kept = runs.files.filter((name) => name.includes('.damaged-'));
          if (kept.length > 0)
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

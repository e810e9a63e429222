/**
 * Random sequences of packets, sent to Midge and to Debian's Mosquitto: both answer the same, except where
 * `docs/from-mosquitto.md` lists a difference (test/support/differential/listed-differences.ts).
 *
 * The seeds are printed. TEST_SEED=<seed> begins with that sequence; TEST_SEQUENCES says how many there are.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isReference, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { compare, type Ports, show, shrink } from '../support/differential/compare.js';
import { sequenceOf } from '../support/differential/sequences.js';
import { seedOfRun } from '../support/random.js';
import { inShortOrLong, isLongRun } from '../support/run-length.js';

const sequences = Number(process.env.TEST_SEQUENCES ?? inShortOrLong(250, 10_000));
/** The short run always plays the same sequences: a new difference is looked for in the long one. */
const firstSeed = isLongRun ? seedOfRun() : Number(process.env.TEST_SEED ?? 1);
const AT_ONCE = 6;
/** A run ends behind so many: they are mostly one fault. */
const DIFFERENCES_MAX = 12;

const skip = isReference ? 'compares both brokers' : skipWithout('/usr/sbin/mosquitto');
const config = [
  'allow_duplicate_messages false',
  'max_packet_size 2000000',
  'connection_messages false',
  'log_type information',
].join('\n');

test(`Midge and Mosquitto answer alike (TEST_SEED=${firstSeed})`, { skip }, async (t) => {
  const [midge, mosquitto] = [
    // Messages between workers may overtake the PINGRESP that ends a step.
    await startBroker(t, { workers: 1, config }),
    await startMosquitto(t, { config }),
  ];
  const ports: Ports = { midge: midge.port, mosquitto: mosquitto.port };
  const met = new Map<string, number>();
  const differing: string[] = [];
  let unsteady = 0;
  let next = 0;

  async function runLane(): Promise<void> {
    while (next < sequences && differing.length < DIFFERENCES_MAX) {
      const seed = (firstSeed + next) >>> 0;
      next += 1;
      const steps = sequenceOf(seed);
      const first = await compare(ports, steps);
      const { at, listed } = first;
      for (const { name } of listed === undefined ? first.metOnTheWay : [...first.metOnTheWay, listed]) {
        met.set(name, (met.get(name) ?? 0) + 1);
      }
      if (at < 0 || listed !== undefined) continue;
      const short = await shrink(ports, steps);
      const comparison = await compare(ports, short);
      if (comparison.at < 0 || comparison.listed !== undefined) {
        unsteady += 1;
        t.diagnostic(`TEST_SEED=${seed}: a difference that was not seen again\n${show(steps, first)}`);
      } else differing.push(`TEST_SEED=${seed}\n${show(short, comparison)}`);
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, runLane));

  t.diagnostic(`${next} sequences from TEST_SEED=${firstSeed} on; ${unsteady} differed once and not again`);
  for (const [name, times] of met) t.diagnostic(`${times} times the listed difference: ${name}`);
  assert.ok(differing.length === 0, `differences that are not listed:\n\n${differing.join('\n\n')}`);
});

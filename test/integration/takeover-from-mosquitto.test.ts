/**
 * The whole broker in Mosquitto's place: it starts on Mosquitto's own file, and clients find what Mosquitto had kept for
 * them. With TEST_BROKER=mosquitto it is Mosquitto that starts on the file, to see that the samples are asked right.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type Broker, isReference, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
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

describe('Mosquitto on its own file', { concurrency, skip: !isReference }, () => {
  // Mosquitto 2.0 forgets the sessions of versions 3 and 4, which say nothing of session expiry.
  for (const sample of SAMPLE_NAMES.filter((name) => !/^v[34]-/.test(name))) {
    test(sample, async (t) => {
      const broker = await startMosquitto(t, { config: configFor(folderWith(t, sample)) });
      await new SampleWitness(t, broker, sample).expectAll();
    });
  }
});

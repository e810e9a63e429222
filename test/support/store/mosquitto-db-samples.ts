/** The sample files in `test/fixtures/mosquitto-db`: what real brokers wrote, and what is in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';

/** Tests run compiled, in `dist/test/support/store`; the samples stay where they are. */
const FOLDER = fileURLToPath(new URL('../../../../test/fixtures/mosquitto-db/', import.meta.url));

/** When the samples were written, in milliseconds since the epoch: a message that lives 5 s has not expired yet. */
export const SAMPLES_WRITTEN_AT = 1_795_383_470_000;

/** One minute later: that message has expired. */
export const SAMPLES_READ_AT = SAMPLES_WRITTEN_AT + 60_000;

export const SAMPLE_NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.db'))
  .sort();

export function readSample(name: string): Buffer {
  return readFileSync(FOLDER + name);
}

/** The file's header, then its chunks in their order, with the field names of the samples' README. */
export function readExpected(name: string): Record<string, unknown>[] {
  return JSON.parse(readFileSync(FOLDER + name.replace(/\.db$/, '.expected.json'), 'utf8'));
}

/** Samples in which a few bits are flipped. */
export const flippedSample: fc.Arbitrary<Buffer> = fc
  .tuple(
    fc.constantFrom(...SAMPLE_NAMES.map((name) => readSample(name))),
    fc.array(fc.nat(), { minLength: 1, maxLength: 8 }),
  )
  .map(([sample, positions]) => {
    const bytes = Buffer.from(sample);
    for (const position of positions) {
      const bit = position % (bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    return bytes;
  });

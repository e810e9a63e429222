/**
 * Tests in `test/faults` try the same thing many times, with another fault each time. `npm test` tries it a few times;
 * `npm run test:faults` sets TEST_LENGTH to `long`.
 */
export const isLongRun = process.env.TEST_LENGTH === 'long';

/** How many times, in a short and in a long run. */
export function inShortOrLong(short: number, long: number): number {
  return isLongRun ? long : short;
}

/**
 * Tests in `test/faults` try the same thing many times, with another fault each time. `npm test` tries it a few times,
 * or not at all; `npm run test:faults` longer, `npm run test:faults -- --long` for the night. TEST_LENGTH says which.
 */
const length = process.env.TEST_LENGTH ?? 'shortest';

export const isLongRun = length === 'long';

/** For the options of `test` or `describe`: why what takes long is not tried by `npm test`, or false. */
export const skipInShortest: string | false = length === 'shortest' && 'in npm run test:faults';

/** How many times: in `npm run test:faults -- --long`, and otherwise. */
export function inShortOrLong(short: number, long: number): number {
  return isLongRun ? long : short;
}

/** How many times, where `npm test` has less time than `npm run test:faults`. */
export function inEachLength(shortest: number, short: number, long: number): number {
  return length === 'shortest' ? shortest : inShortOrLong(short, long);
}

/**
 * How the cost of some work grows with its size. Processor time is what counts, so that a busy machine changes little,
 * and the least of a few attempts.
 */
import assert from 'node:assert/strict';

const ATTEMPTS = 3;

/** A cost that grows with the size is 8 times as high then, one that grows with its square 64 times. */
const TIMES_THE_SIZE = 8;
const TIMES_THE_COST_MAX = 24;

/** Less than this says little about work: the engine compiles, collects and warms up. */
const NOISE_MS = 15;

/**
 * Fails if the cost of some work grows with the square of its size.
 * @param prepare makes what the work needs, for a size; what it returns is measured
 */
export function assertGrowsLinearly(size: number, prepare: (size: number) => () => void): void {
  const once = costOf(size, prepare, 0);
  const costMax = TIMES_THE_COST_MAX * Math.max(once, NOISE_MS);
  const larger = costOf(size * TIMES_THE_SIZE, prepare, costMax);
  assert.ok(
    larger < costMax,
    `${once} ms of processor time for ${size}, ${larger} ms for ${TIMES_THE_SIZE} times as many`,
  );
}

/**
 * @param enough less than this need not be looked at more closely
 * @returns milliseconds
 */
function costOf(size: number, prepare: (size: number) => () => void, enough: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS && least >= enough; attempt += 1) {
    const work = prepare(size);
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

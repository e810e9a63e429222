/** Times of the broker's threads and of its start and end that lean on each other. */
import { assert } from '../../base/assert.js';
import { LOCK_MS_MAX } from '../../store/limits.js';

/** Milliseconds between two signs of life of a worker, and between two looks of main at all of them. */
export const WORKER_TICK_MS = 1000;
export const WATCH_MS = 1000;

/** Milliseconds without a sign of life after which a worker counts as stalled. */
export const STALL_MS = 10_000;

/** Milliseconds between two looks after which main itself, or the machine, has stood still: no worker is to blame. */
export const PAUSE_MS = 5000;

assert(WORKER_TICK_MS + WATCH_MS < PAUSE_MS, 'main that runs does not take itself for one that stood still');
assert(PAUSE_MS < STALL_MS, 'a pause of main is noticed before it counts as the stall of the workers');

/** Milliseconds after which the service manager is asked for more time, and how much. */
export const EXTEND_EVERY_MS = 10_000;
export const EXTEND_BY_MS = 30_000;

assert(
  EXTEND_EVERY_MS * 2 < EXTEND_BY_MS,
  'more time is asked for before it is over, also if once it is late',
);

/** Milliseconds for which more time is asked for at the most: a broker that takes longer than that hangs. */
export const START_MS_MAX = 15 * 60_000;
export const STOP_MS_MAX = 3 * 60_000;

/** Milliseconds that the workers have for an orderly end. */
export const WORKERS_STOP_MS = 10_000;

assert(WORKERS_STOP_MS + LOCK_MS_MAX < STOP_MS_MAX, 'an orderly end fits into the time that is asked for');

/**
 * The time of day in nanoseconds. Node's `Date` counts milliseconds; the digits below them come from the monotonic
 * clock, which is set anew whenever the two have drifted apart or someone has set the clock.
 */
import type { Moment } from './message-format.js';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** What has to be added to the monotonic clock; 0 = not known yet. */
let offsetNs = 0n;

/** The time given last. */
let lastNs = 0n;

export function now(): Moment {
  // In this order: whatever comes between the two only lets the time seem to be behind.
  const ns = process.hrtime.bigint() + offsetNs;
  const millisecondNs = systemNs();
  return momentOf(ns >= millisecondNs && ns < millisecondNs + NS_PER_MS ? ns : setAnew());
}

/** In the other order, for the same reason: a time that is behind is put right without going back. */
function setAnew(): bigint {
  const ns = systemNs();
  offsetNs = ns - process.hrtime.bigint();
  return ns;
}

function systemNs(): bigint {
  return BigInt(Date.now()) * NS_PER_MS;
}

/** Where the clocks have drifted the last time is given once more; if somebody has set the clock it may go back. */
function momentOf(ns: bigint): Moment {
  lastNs = ns < lastNs && lastNs - ns < NS_PER_MS ? lastNs : ns;
  return { seconds: Number(lastNs / NS_PER_SECOND), nanoseconds: Number(lastNs % NS_PER_SECOND) };
}

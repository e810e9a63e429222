/**
 * The time of day in nanoseconds. Node's `Date` counts milliseconds; the digits below them come from the monotonic
 * clock, which is set anew whenever the two have drifted apart or someone has set the clock.
 */
import type { Moment } from './format-input.js';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** The difference to the monotonic clock; 0 = not known yet. */
let offsetNs = 0n;

/** The time that was returned last. */
let lastNs = 0n;

export function now(): Moment {
  // In this order: a delay between the two reads only makes the time seem late.
  const ns = process.hrtime.bigint() + offsetNs;
  const millisecondNs = systemNs();
  return momentOf(ns >= millisecondNs && ns < millisecondNs + NS_PER_MS ? ns : setAnew());
}

/** Reads the clocks in the other order, for the same reason: a late time is corrected without going back. */
function setAnew(): bigint {
  const ns = systemNs();
  offsetNs = ns - process.hrtime.bigint();
  return ns;
}

function systemNs(): bigint {
  return BigInt(Date.now()) * NS_PER_MS;
}

/** If the clocks have drifted, the last time is returned again; if somebody has set the clock, time may go back. */
function momentOf(ns: bigint): Moment {
  lastNs = ns < lastNs && lastNs - ns < NS_PER_MS ? lastNs : ns;
  return { seconds: Number(lastNs / NS_PER_SECOND), nanoseconds: Number(lastNs % NS_PER_SECOND) };
}

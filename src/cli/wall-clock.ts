/**
 * The time of day in nanoseconds. Node's `Date` counts milliseconds; the digits below them come from the monotonic
 * clock, which is set anew whenever the two have drifted apart or someone has set the clock.
 */
import type { Moment } from './message-format.js';

const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

/** What has to be added to the monotonic clock; 0 = not known yet. */
let offsetNs = 0n;

export function now(): Moment {
  const monotonicNs = process.hrtime.bigint();
  const millisecondNs = BigInt(Date.now()) * NS_PER_MS;
  let ns = monotonicNs + offsetNs;
  if (ns < millisecondNs || ns >= millisecondNs + NS_PER_MS) {
    offsetNs = millisecondNs - monotonicNs;
    ns = millisecondNs;
  }
  return { seconds: Number(ns / NS_PER_SECOND), nanoseconds: Number(ns % NS_PER_SECOND) };
}

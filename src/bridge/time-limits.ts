/** Times of a bridge's connections that lean on each other. */
import { assert } from '../base/assert.js';

/** Milliseconds until a connection has to be open, TLS and all. */
export const OPEN_TIMEOUT_MS = 30_000;

/** Milliseconds from the attempt until the other broker has to answer CONNECT. */
export const CONNACK_TIMEOUT_MS = 30_000;

assert(OPEN_TIMEOUT_MS <= CONNACK_TIMEOUT_MS, 'what ends an attempt says whether it was the network');

/** Milliseconds between two probes of whether the primary address answers again, and those that one may take. */
export const PROBE_MS = 5000;
export const PROBE_TIMEOUT_MS = 4000;

assert(PROBE_TIMEOUT_MS < PROBE_MS, 'a probe is over before the next one');

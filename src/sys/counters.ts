/**
 * What a worker counts, in memory that main reads: one cell a counter, written only by its worker, so counting
 * needs no lock and no message.
 */

/** The counters by name; the number is the cell. */
export const Counter = {
  bytesReceived: 0,
  bytesSent: 1,
  packetsReceived: 2,
  packetsSent: 3,
  publishReceived: 4,
  publishSent: 5,
  publishBytesReceived: 6,
  publishBytesSent: 7,
  publishDropped: 8,
  connects: 9,
  connections: 10,
  sessions: 11,
  sessionsExpired: 12,
  subscriptions: 13,
  sharedSubscriptions: 14,
  retainedMessages: 15,
  storedMessages: 16,
  storedBytes: 17,
  waitingPackets: 18,
  waitingBytes: 19,
  dropQueueFull: 20,
  dropTooLarge: 21,
  dropExpired: 22,
  dropBacklog: 23,
  dropCongested: 24,
  /** Share of the last second in which the event loop was busy, 0 to 1. */
  utilisation: 25,
  dropMemory: 26,
  /** Of the connections that main passed to it, those it has taken up: main answers for the others. */
  connectionsTaken: 27,
  /** Transactions that its store has committed. */
  storeCommits: 28,
  /** Goes up about once a second as long as the worker runs. */
  ticks: 29,
} as const;

export type CounterName = keyof typeof Counter;

/** Counters that tell a state and not a sum of events: those of a dead worker are gone with it. */
const GAUGES: readonly CounterName[] = [
  'connections',
  'sessions',
  'subscriptions',
  'sharedSubscriptions',
  'retainedMessages',
  'storedMessages',
  'storedBytes',
  'waitingPackets',
  'waitingBytes',
  'utilisation',
];

/** Adds what a dead worker has counted to the sum of all its predecessors. */
export function retire(from: Float64Array, sum: Float64Array): void {
  for (const name of Object.keys(Counter) as CounterName[]) {
    if (!GAUGES.includes(name)) sum[Counter[name]]! += from[Counter[name]]!;
  }
}

const CELLS = Object.keys(Counter).length;

export function createCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT);
}

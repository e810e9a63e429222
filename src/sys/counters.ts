/**
 * The counters of a worker, in memory that main reads: one cell for each, written by its worker only, so that counting
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
  /** Connections from main that it has accepted: main answers for the others. */
  connectionsTaken: 27,
  /** Transactions that its store has committed. */
  storeCommits: 28,
  /** Goes up about once a second as long as the worker runs. */
  ticks: 29,
  /** Pieces of input over which this broker itself failed. */
  inputFaults: 30,
  /** Messages refused because the store finds no room. */
  dropStoreFull: 31,
  /** 1 while the worker cannot write to the store. */
  storeFailing: 32,
  /** Connections that ended because another one has come with the client's id. */
  takeovers: 33,
  /** Stored messages with a text that clients do not take. */
  dropMalformed: 34,
  /** What its clients occupy (`broker/memory-budget.ts`). */
  occupiedBytes: 35,
  /** Memory of all retained messages; each worker tells the same. */
  retainedBytes: 36,
  /** The store's file, if it lies in memory; each worker tells the same. */
  storeMemoryBytes: 37,
} as const;

export type CounterName = keyof typeof Counter;

/** What becomes of a counter, beside being counted. */
export interface CounterUse {
  /** It tells a state and not a sum of events: that of a dead worker is gone with it. */
  isGauge?: true;
  /** Topics below `$SYS/broker/` that show it, summed over all workers. */
  topics?: readonly string[];
  /** The topic below `$SYS/broker/load/` that shows it per minute, as moving averages. */
  load?: string;
}

/** A new counter has a cell above and a line here, and all else follows. */
// biome-ignore format: one counter a line
export const COUNTER_USES: Readonly<Record<CounterName, CounterUse>> = {
  bytesReceived: { topics: ['bytes/received'], load: 'bytes/received' },
  bytesSent: { topics: ['bytes/sent'], load: 'bytes/sent' },
  packetsReceived: { topics: ['messages/received'], load: 'messages/received' },
  packetsSent: { topics: ['messages/sent'], load: 'messages/sent' },
  publishReceived: { topics: ['publish/messages/received'], load: 'publish/received' },
  publishSent: { topics: ['publish/messages/sent'], load: 'publish/sent' },
  publishBytesReceived: { topics: ['publish/bytes/received'] },
  publishBytesSent: { topics: ['publish/bytes/sent'] },
  publishDropped: { topics: ['publish/messages/dropped'], load: 'publish/dropped' },
  connects: { load: 'connections' },
  connections: { isGauge: true, topics: ['clients/connected', 'clients/active'] },
  sessions: { isGauge: true },
  sessionsExpired: { topics: ['clients/expired'] },
  subscriptions: { isGauge: true, topics: ['subscriptions/count'] },
  sharedSubscriptions: { isGauge: true, topics: ['shared_subscriptions/count'] },
  retainedMessages: { isGauge: true, topics: ['retained messages/count'] },
  storedMessages: { isGauge: true, topics: ['messages/stored', 'store/messages/count'] },
  storedBytes: { isGauge: true, topics: ['store/messages/bytes'] },
  waitingPackets: { isGauge: true, topics: ['packet/out/count'] },
  waitingBytes: { isGauge: true, topics: ['packet/out/bytes'] },
  // Messages dropped, by reason: topics of our own.
  dropQueueFull: { topics: ['publish/messages/dropped/queue_full'] },
  dropTooLarge: { topics: ['publish/messages/dropped/too_large'] },
  dropExpired: { topics: ['publish/messages/dropped/expired'] },
  dropBacklog: { topics: ['publish/messages/dropped/backlog'] },
  dropCongested: { topics: ['publish/messages/dropped/congested'] },
  dropMemory: { topics: ['publish/messages/dropped/memory'] },
  dropMalformed: { topics: ['publish/messages/dropped/malformed'] },
  inputFaults: { topics: ['connections/faults'] },
  dropStoreFull: { topics: ['publish/messages/dropped/store_full'] },
  utilisation: { isGauge: true },
  connectionsTaken: {},
  storeCommits: {},
  storeFailing: { isGauge: true },
  takeovers: { topics: ['clients/taken_over'] },
  occupiedBytes: { isGauge: true },
  retainedBytes: { isGauge: true },
  storeMemoryBytes: { isGauge: true },
  ticks: {},
};

export const COUNTER_NAMES = Object.keys(Counter) as readonly CounterName[];

/** Adds what a dead worker has counted to the sum of all its predecessors. */
export function retire(from: Float64Array, sum: Float64Array): void {
  for (const name of COUNTER_NAMES) {
    if (COUNTER_USES[name].isGauge !== true) sum[Counter[name]]! += from[Counter[name]]!;
  }
}

const CELLS = COUNTER_NAMES.length;

export function createCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS * Float64Array.BYTES_PER_ELEMENT);
}

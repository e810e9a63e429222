/**
 * The names under which Prometheus gets the figures of the broker, each from the counter that `$SYS` shows. Names and
 * labels are fixed here, so that no client can add a series; `docs/metrics.md` is made from this table.
 */
import type { CounterName } from './counters.js';

export interface Metric {
  type: 'counter' | 'gauge';
  help: string;
  /** The one label of its series. */
  label?: 'reason' | 'worker' | 'version';
}

/** All metrics by name. */
export const METRICS = {
  midge_info: { type: 'gauge', help: 'Always 1; the label has the version of the broker.', label: 'version' },
  midge_ready: { type: 'gauge', help: '1 if /readyz says that the broker is ready, else 0.' },
  midge_start_time_seconds: { type: 'gauge', help: 'When the broker started, in seconds since 1970.' },
  midge_resident_memory_bytes: { type: 'gauge', help: 'Resident memory of the process.' },
  midge_memory_used_bytes: { type: 'gauge', help: 'What clients occupy, as memory_limit counts it.' },
  midge_memory_limit_bytes: { type: 'gauge', help: 'memory_limit; 0 is none.' },
  midge_accepted_connections_total: { type: 'counter', help: 'Connections accepted on all listeners.' },
  midge_connects_total: { type: 'counter', help: 'Clients let in by a CONNECT.' },
  midge_clients_connected: { type: 'gauge', help: 'Clients connected now, bridges included.' },
  midge_sessions: { type: 'gauge', help: 'Sessions, connected or not.' },
  midge_sessions_expired_total: {
    type: 'counter',
    help: 'Sessions that ended because their client stayed away.',
  },
  midge_takeovers_total: {
    type: 'counter',
    help: 'Connections that ended because another one has come with their client id.',
  },
  midge_subscriptions: { type: 'gauge', help: 'Subscriptions, without shared ones.' },
  midge_shared_subscriptions: { type: 'gauge', help: 'Shared subscriptions.' },
  midge_received_bytes_total: { type: 'counter', help: 'Bytes received from clients.' },
  midge_sent_bytes_total: { type: 'counter', help: 'Bytes sent to clients.' },
  midge_received_packets_total: { type: 'counter', help: 'MQTT packets received.' },
  midge_sent_packets_total: { type: 'counter', help: 'MQTT packets sent.' },
  midge_received_publish_total: { type: 'counter', help: 'PUBLISH packets received.' },
  midge_sent_publish_total: { type: 'counter', help: 'PUBLISH packets sent.' },
  midge_received_payload_bytes_total: { type: 'counter', help: 'Payload bytes of PUBLISH packets received.' },
  midge_sent_payload_bytes_total: { type: 'counter', help: 'Payload bytes of PUBLISH packets sent.' },
  midge_dropped_messages_total: { type: 'counter', help: 'Messages dropped, by reason.', label: 'reason' },
  midge_input_faults_total: { type: 'counter', help: 'Inputs over which the broker itself failed.' },
  midge_retained_messages: { type: 'gauge', help: 'Retained messages, those of $SYS included.' },
  midge_stored_messages: {
    type: 'gauge',
    help: 'Messages that wait or are in flight, and retained messages.',
  },
  midge_stored_message_bytes: {
    type: 'gauge',
    help: 'Payload bytes of messages that wait or are in flight.',
  },
  midge_waiting_packets: { type: 'gauge', help: 'Packets that wait because their clients do not read.' },
  midge_waiting_bytes: { type: 'gauge', help: 'Bytes that wait because their clients do not read.' },
  midge_workers: { type: 'gauge', help: 'Worker threads that serve clients.' },
  midge_worker_utilisation_ratio: {
    type: 'gauge',
    help: 'Share of the last second in which the event loop of the worker was busy.',
    label: 'worker',
  },
  midge_worker_clients: { type: 'gauge', help: 'Clients connected to the worker.', label: 'worker' },
  midge_store_bytes: { type: 'gauge', help: 'Size of the store.' },
  midge_store_records: { type: 'gauge', help: 'Records in the store.' },
  midge_store_sessions: { type: 'gauge', help: 'Sessions in the store.' },
  midge_store_retained_messages: { type: 'gauge', help: 'Retained messages in the store.' },
  midge_store_damaged_records: { type: 'gauge', help: 'Records of the store that do not read.' },
  midge_store_commits_total: { type: 'counter', help: 'Transactions committed to the store.' },
  midge_store_written_bytes_per_day: { type: 'gauge', help: 'Bytes that the broker writes to disk a day.' },
  midge_store_save_failing: { type: 'gauge', help: '1 if the last save has failed, else 0.' },
  midge_store_save_time_seconds: { type: 'gauge', help: 'When the last save ended, in seconds since 1970.' },
  midge_store_save_duration_seconds: { type: 'gauge', help: 'How long the last save took.' },
  midge_store_save_bytes: { type: 'gauge', help: 'Bytes that the last save has written.' },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof METRICS;

/** Where a counter is shown: the metric, or the metric and the value of its label; `null` = nowhere. */
type CounterMetric = MetricName | readonly [metric: MetricName, label: string] | null;

/** A new counter has a line here, as it has one in `counters.ts`. */
export const COUNTER_METRICS: Readonly<Record<CounterName, CounterMetric>> = {
  bytesReceived: 'midge_received_bytes_total',
  bytesSent: 'midge_sent_bytes_total',
  packetsReceived: 'midge_received_packets_total',
  packetsSent: 'midge_sent_packets_total',
  publishReceived: 'midge_received_publish_total',
  publishSent: 'midge_sent_publish_total',
  publishBytesReceived: 'midge_received_payload_bytes_total',
  publishBytesSent: 'midge_sent_payload_bytes_total',
  publishDropped: null, // the sum of the reasons
  connects: 'midge_connects_total',
  connections: 'midge_clients_connected',
  sessions: null, // the directory of main also has those that a worker is about to take up
  sessionsExpired: 'midge_sessions_expired_total',
  subscriptions: 'midge_subscriptions',
  sharedSubscriptions: 'midge_shared_subscriptions',
  retainedMessages: 'midge_retained_messages',
  storedMessages: 'midge_stored_messages',
  storedBytes: 'midge_stored_message_bytes',
  waitingPackets: 'midge_waiting_packets',
  waitingBytes: 'midge_waiting_bytes',
  occupiedBytes: null, // main's sum, which memory_limit is held against, is what counts
  retainedBytes: null,
  storeMemoryBytes: null,
  dropQueueFull: ['midge_dropped_messages_total', 'queue_full'],
  dropTooLarge: ['midge_dropped_messages_total', 'too_large'],
  dropExpired: ['midge_dropped_messages_total', 'expired'],
  dropBacklog: ['midge_dropped_messages_total', 'backlog'],
  dropCongested: ['midge_dropped_messages_total', 'congested'],
  dropMemory: ['midge_dropped_messages_total', 'memory'],
  dropMalformed: ['midge_dropped_messages_total', 'malformed'],
  dropStoreFull: ['midge_dropped_messages_total', 'store_full'],
  inputFaults: 'midge_input_faults_total',
  utilisation: null, // by worker
  connectionsTaken: null,
  storeCommits: null, // main commits, too
  storeFailing: null, // part of midge_ready
  takeovers: 'midge_takeovers_total',
  ticks: null,
};

/** From topics of the store below `$SYS/broker/` to metrics. */
export const STORE_METRICS: Readonly<Record<string, MetricName>> = {
  'store/bytes': 'midge_store_bytes',
  'store/records': 'midge_store_records',
  'store/sessions': 'midge_store_sessions',
  'store/retained': 'midge_store_retained_messages',
  'store/damaged': 'midge_store_damaged_records',
  'store/commits': 'midge_store_commits_total',
  'store/bytes_per_day': 'midge_store_written_bytes_per_day',
  'store/save/failing': 'midge_store_save_failing',
  'store/save/time': 'midge_store_save_time_seconds',
  'store/save/bytes': 'midge_store_save_bytes',
};

/**
 * `/metrics`: the figures of the broker for Prometheus, in its own text format or in that of OpenMetrics, whichever the
 * request prefers. Everything is read when somebody asks, and nothing is held between two requests.
 */
import { Counter as CounterMetric, Gauge, type OpenMetricsContentType, Registry } from 'prom-client';
import { COUNTER_NAMES } from '../sys/counters.js';
import { COUNTER_METRICS, METRICS, type Metric, type MetricName, STORE_METRICS } from '../sys/metrics.js';
import type { SysReadings } from '../sys/sys-tree.js';

/** What one worker does. */
export interface WorkerFigures {
  worker: number;
  /** It accepts connections. */
  isReady: boolean;
  /** It has stood still for seconds. */
  isStalled: boolean;
  /** Share of the last second in which its event loop was busy, 0 to 1. */
  utilisation: number;
  /** Connected clients. */
  clients: number;
}

/** What the metrics are made from. */
export interface Figures {
  version: string;
  isReady: boolean;
  /** Milliseconds since the epoch. */
  startedAt: number;
  readings: SysReadings;
  workers: readonly WorkerFigures[];
}

export interface MetricsPage {
  type: string;
  body: string;
}

/** @param accept the request's header field */
export async function metricsPage(figures: Figures, accept: string | undefined): Promise<MetricsPage> {
  const registry = new Registry();
  if (prefersOpenMetrics(accept)) {
    (registry as unknown as Registry<OpenMetricsContentType>).setContentType(
      Registry.OPENMETRICS_CONTENT_TYPE,
    );
  }
  const show = showIn(registry);
  showProcess(figures, show);
  const { readings } = figures;
  for (const name of COUNTER_NAMES) {
    const metric = COUNTER_METRICS[name];
    if (typeof metric === 'string') show(metric, readings[name]);
    else if (metric !== null) show(metric[0], readings[name], metric[1]);
  }
  for (const [topic, metric] of Object.entries(STORE_METRICS)) {
    const value = readings.store[topic];
    if (typeof value === 'number') show(metric, value);
  }
  const duration = readings.store['store/save/duration_ms'];
  if (typeof duration === 'number') show('midge_store_save_duration_seconds', duration / 1000);
  return { type: registry.contentType, body: await registry.metrics() };
}

type Show = (name: MetricName, value: number, label?: string) => void;

function showIn(registry: Registry): Show {
  const known = new Map<MetricName, CounterMetric | Gauge>();
  return (name, value, label) => {
    const { type, help, label: labelName }: Metric = METRICS[name];
    let metric = known.get(name);
    if (metric === undefined) {
      const labelNames = labelName === undefined ? [] : [labelName];
      const options = { name, help, labelNames, registers: [registry] };
      metric = type === 'counter' ? new CounterMetric(options) : new Gauge(options);
      known.set(name, metric);
    }
    if (labelName === undefined) metric.inc(value);
    else metric.inc({ [labelName]: label! }, value);
  };
}

function showProcess({ version, isReady, startedAt, readings, workers }: Figures, show: Show): void {
  show('midge_info', 1, version);
  show('midge_ready', isReady ? 1 : 0);
  show('midge_start_time_seconds', Math.floor(startedAt / 1000));
  show('midge_resident_memory_bytes', readings.heapBytes);
  show('midge_memory_used_bytes', readings.memoryUsed);
  show('midge_memory_limit_bytes', readings.memoryLimit);
  show('midge_accepted_connections_total', readings.sockets);
  show('midge_sessions', readings.clientsTotal);
  show('midge_workers', workers.filter(({ isReady }) => isReady).length);
  for (const { worker, utilisation, clients } of workers) {
    show('midge_worker_utilisation_ratio', utilisation, String(worker));
    show('midge_worker_clients', clients, String(worker));
  }
}

/** Whoever names OpenMetrics in `Accept` knows it; Prometheus does. */
function prefersOpenMetrics(accept = ''): boolean {
  return accept.includes('application/openmetrics-text');
}

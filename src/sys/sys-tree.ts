/**
 * The `$SYS` tree: which topics there are, what each shows, and which of them changed since they were last
 * published [mosq: $SYS tree]. Pure: readings and time come in, topics and values go out.
 */
import { appendAll } from '../base/append-all.js';
import { COUNTER_NAMES, COUNTER_USES, type CounterName } from './counters.js';

/** What main itself knows. */
interface MainReadings {
  clientsTotal: number;
  /** Connections accepted since the start. */
  sockets: number;
  heapBytes: number;
  /** What clients occupy, as `memory_limit` counts it. */
  memoryUsed: number;
  /** Bytes; 0 = none. */
  memoryLimit: number;
}

/** Everything the tree shows; counters are summed over all workers. */
export interface SysReadings extends Readonly<Record<CounterName, number>>, MainReadings {
  /** The store, by topic below `$SYS/broker/`; topics of our own. */
  store: Readonly<Record<string, string | number>>;
}

type Reading = CounterName | keyof MainReadings;

export type SysUpdate = readonly [topic: string, value: string];

const PREFIX = '$SYS/broker/';

/** Topics that show one reading as it is. */
const FIGURES: readonly (readonly [topic: string, reading: Reading])[] = [
  ['clients/total', 'clientsTotal'],
  ...COUNTER_NAMES.flatMap((name) =>
    (COUNTER_USES[name].topics ?? []).map((topic) => [topic, name] as const),
  ),
  ['connections/socket/count', 'sockets'],
  ['heap/current', 'heapBytes'],
  // Topics of our own.
  ['memory/used', 'memoryUsed'],
  ['memory/limit', 'memoryLimit'],
];

/** Topics that show events per minute as moving averages. */
const LOADS: readonly (readonly [topic: string, reading: Reading])[] = [
  ...COUNTER_NAMES.flatMap((name) => {
    const { load } = COUNTER_USES[name];
    return load === undefined ? [] : [[`load/${load}`, name] as const];
  }),
  ['load/sockets', 'sockets'],
];

/** Name and time constant in seconds of each average. */
const AVERAGES = [
  ['1min', 60],
  ['5min', 300],
  ['15min', 900],
] as const;

/** A load is published again when it has changed by so much. */
const LOAD_STEP = 0.01;

export class SysTree {
  /** What was published last, by topic. */
  readonly #published = new Map<string, string>();
  readonly #loads = new Map<string, number>();
  readonly #version: string;
  readonly #startedAt: number;
  #before: SysReadings | null = null;
  #updatedAt: number;
  #clientsMaximum = 0;
  #heapMaximum = 0;

  /** @param now milliseconds since the epoch */
  constructor(version: string, now: number) {
    this.#version = version;
    this.#startedAt = now;
    this.#updatedAt = now;
  }

  /** What was published is lost: the next update has everything again. */
  forget(): void {
    this.#published.clear();
  }

  /** The topics whose value has changed. @param now milliseconds since the epoch */
  update(readings: SysReadings, now: number): SysUpdate[] {
    const updates: SysUpdate[] = [];
    const show = (topic: string, value: string): void => {
      if (this.#published.get(topic) === value) return;
      this.#published.set(topic, value);
      updates.push([PREFIX + topic, value]);
    };
    show('version', this.#version);
    show('uptime', `${this.#uptime(now)} seconds`);
    for (const [topic, value] of this.#figures(readings)) show(topic, String(value));
    this.#showLoads(readings, now, show);
    this.#before = readings;
    this.#updatedAt = now;
    return updates;
  }

  /**
   * The whole numbers of the tree as they are now, and the uptime in seconds [mosq: HTTP API], by topic. What is
   * published, and when, does not depend on who asks for them.
   */
  numbers(readings: SysReadings, now: number): Record<string, number> {
    const numbers: Record<string, number> = { [`${PREFIX}uptime`]: this.#uptime(now) };
    for (const [topic, value] of this.#figures(readings)) {
      if (typeof value === 'number') numbers[PREFIX + topic] = value;
    }
    numbers[`${PREFIX}clients/maximum`] = this.#clientsMaximum; // here it is always there
    return numbers;
  }

  #uptime(now: number): number {
    return Math.floor((now - this.#startedAt) / 1000);
  }

  /** Everything that shows the readings of one moment. */
  #figures(readings: SysReadings): [topic: string, value: string | number][] {
    const figures: [string, string | number][] = [];
    for (const [topic, reading] of FIGURES) figures.push([topic, readings[reading]]);
    const disconnected = Math.max(0, readings.clientsTotal - readings.connections);
    figures.push(['clients/disconnected', disconnected], ['clients/inactive', disconnected]);
    this.#clientsMaximum = Math.max(this.#clientsMaximum, readings.clientsTotal);
    if (this.#clientsMaximum > 1) figures.push(['clients/maximum', this.#clientsMaximum]);
    this.#heapMaximum = Math.max(this.#heapMaximum, readings.heapBytes);
    figures.push(['heap/maximum', this.#heapMaximum]);
    appendAll(figures, Object.entries(readings.store));
    return figures;
  }

  /** rate = Δ·60/dt; value = rate + e^(−dt/τ)·(old − rate) [mosq: $SYS tree] */
  #showLoads(readings: SysReadings, now: number, show: (topic: string, value: string) => void): void {
    const seconds = (now - this.#updatedAt) / 1000;
    for (const [topic, reading] of LOADS) {
      const before = this.#before?.[reading] ?? 0;
      const rate = seconds <= 0 ? 0 : ((readings[reading] - before) * 60) / seconds;
      for (const [name, timeConstant] of AVERAGES) {
        const key = `${topic}/${name}`;
        const old = this.#loads.get(key) ?? 0;
        const value = seconds <= 0 ? old : rate + Math.exp(-seconds / timeConstant) * (old - rate);
        this.#loads.set(key, value);
        const shown = this.#published.get(key);
        if (shown === undefined || Math.abs(value - Number(shown)) >= LOAD_STEP) show(key, value.toFixed(2));
      }
    }
  }
}

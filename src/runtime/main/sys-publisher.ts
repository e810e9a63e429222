/** Publishes the `$SYS` tree every `sys_interval` seconds, on seconds divisible by it. */
import { Publication } from '../../mqtt/publication.js';
import { packedRecords, RecordFlag } from '../../routing/wire.js';
import { COUNTER_NAMES, type CounterName } from '../../sys/counters.js';
import { type SysReadings, SysTree } from '../../sys/sys-tree.js';
import type { Supervisor } from './supervisor.js';

export interface SysSource {
  supervisor: Supervisor;
  /** Connections accepted since the start. */
  sockets: () => number;
  /** Pieces of input over which main has failed. */
  faults: () => number;
  /** Figures of the store, by topic below `$SYS/broker/`. */
  store: () => Readonly<Record<string, string | number>>;
}

export class SysPublisher {
  readonly #source: SysSource;
  readonly #tree: SysTree;
  #intervalSeconds = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(source: SysSource, version: string) {
    this.#source = source;
    this.#tree = new SysTree(version, Date.now());
  }

  /** Begins, or goes on at another pace; 0 = no `$SYS` at all. */
  start(intervalSeconds: number): void {
    const first = this.#intervalSeconds === 0;
    this.stop();
    this.#intervalSeconds = intervalSeconds;
    if (intervalSeconds === 0) return;
    if (first) this.#publish();
    this.#wait();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  /** No worker is left that has the tree: it is published as a whole. */
  republish(): void {
    if (this.#intervalSeconds === 0) return;
    this.#tree.forget();
    this.#publish();
  }

  /** What the tree would show now, as numbers by topic; even if `sys_interval 0` publishes nothing. */
  numbers(): Record<string, number> {
    return this.#tree.numbers(this.readings(), Date.now());
  }

  /** What the tree is made from, now. */
  readings(): SysReadings {
    const { supervisor, sockets, faults, store } = this.#source;
    const counted = COUNTER_NAMES.map((name) => [name, supervisor.count(name)]);
    const counters = Object.fromEntries(counted) as Record<CounterName, number>;
    const { retainedMessages } = supervisor;
    return {
      ...counters,
      retainedMessages, // all workers see the same ones
      storedMessages: retainedMessages + counters.storedMessages,
      clientsTotal: supervisor.clients,
      sockets: sockets(),
      inputFaults: faults() + counters.inputFaults,
      heapBytes: process.memoryUsage.rss(),
      memoryUsed: supervisor.memoryUsed,
      memoryLimit: supervisor.memoryLimit,
      store: store(),
    };
  }

  #wait(): void {
    const interval = this.#intervalSeconds * 1000;
    this.#timer = setTimeout(
      () => {
        this.#publish();
        this.#wait();
      },
      interval - (Date.now() % interval),
    );
    this.#timer.unref();
  }

  #publish(): void {
    const updates = this.#tree.update(this.readings(), Date.now());
    if (updates.length === 0) return;
    const messages = updates.map(([topic, value]) =>
      Publication.create({ topic, payload: Buffer.from(value), qos: 2, retain: true }),
    );
    this.#source.supervisor.publish(packedRecords(messages, RecordFlag.deliver | RecordFlag.setRetained));
  }
}

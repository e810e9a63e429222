/**
 * The pool of worker threads: workers by number, the links between them, and the sums of their counters. The number of
 * a worker that died is vacant until its replacement begins.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { WORKERS_MAX } from '../../routing/cluster.js';
import type { MainToWorker, WorkerStart } from '../../routing/messages.js';
import { Counter, type CounterName, createCounters, retire } from '../../sys/counters.js';
import { WorkingRecord } from '../../sys/working-record.js';
import { WorkerHandle } from './worker-handle.js';

const WORKER_FILE = fileURLToPath(new URL('../../../workers/connection-worker.cjs', import.meta.url));

/** What a worker is given beside its place among the others. */
export type WorkerTask = Omit<WorkerStart, 'worker' | 'counters' | 'workingRecord' | 'port'>;

export class WorkerPool {
  #threads: Piscina<WorkerStart, void> | undefined;
  readonly #workers: (WorkerHandle | null)[] = new Array(WORKERS_MAX).fill(null);
  /** Those of them that run, in the order of their numbers. */
  #living: readonly WorkerHandle[] = [];
  /** Numbers of workers that died and have no successor yet. */
  readonly #vacant = new Set<number>();
  /** What dead workers had counted. */
  readonly #retiredCounters = new Float64Array(createCounters());

  open(): void {
    this.#threads = new Piscina({
      filename: WORKER_FILE,
      minThreads: 1,
      maxThreads: WORKERS_MAX,
      idleTimeout: Number.POSITIVE_INFINITY,
      // With the default a worker between tasks is parked and answers nothing.
      atomics: 'disabled',
      recordTiming: false,
    });
  }

  /** The threads are gone. */
  async close(): Promise<void> {
    await this.#threads?.destroy();
    this.#workers.fill(null);
    this.#living = [];
  }

  get living(): readonly WorkerHandle[] {
    return this.#living;
  }

  at(worker: number): WorkerHandle | null {
    return this.#workers[worker] ?? null;
  }

  /** Workers that run or are about to. */
  get size(): number {
    return this.#living.length + this.#vacant.size;
  }

  get freeNumber(): number {
    return this.#workers.findIndex((handle, worker) => handle === null && !this.#vacant.has(worker));
  }

  /** The one with the least to do, of those to which connections may come. */
  leastLoaded(): WorkerHandle | undefined {
    let best: WorkerHandle | undefined;
    for (const handle of this.#living) {
      if (!handle.ready) continue;
      if (best === undefined || handle.load < best.load) best = handle;
    }
    return best;
  }

  /** Starts a worker with links to all others. @returns `ended`: its task, which is over when the worker is */
  start(worker: number, task: WorkerTask): { handle: WorkerHandle; ended: Promise<void> } {
    this.#vacant.delete(worker);
    const { port1, port2 } = new MessageChannel();
    const counters = createCounters();
    const workingRecord = WorkingRecord.create();
    const handle = new WorkerHandle(worker, port1, new Float64Array(counters), workingRecord, this.#vacant);
    const peers = this.#living.map((other) => ({ worker: other.worker, port: link(worker, other) }));
    this.#set(worker, handle);
    // The links wait in its port. They could not be transferred with the task: that waits for its thread, and if
    // another worker dies meanwhile, the end of its link is closed, and such a port cannot be given away.
    port1.postMessage(
      { kind: 'peers', peers } satisfies MainToWorker,
      peers.map(({ port }) => port),
    );
    const start: WorkerStart = { ...task, worker, counters, workingRecord, port: port2 };
    return { handle, ended: this.#threads!.run(start, { transferList: [port2] }) };
  }

  remove(handle: WorkerHandle): void {
    this.#set(handle.worker, null);
    handle.port.close();
    retire(handle.counters, this.#retiredCounters);
  }

  /** A replacement worker will take this worker's number. */
  expectReplacement({ worker }: WorkerHandle): void {
    this.#vacant.add(worker);
  }

  /** No worker that died is replaced any more. */
  expectNoReplacements(): void {
    this.#vacant.clear();
  }

  /** A counter's sum over all workers, living and dead. */
  count(name: CounterName): number {
    const cell = Counter[name];
    let sum = this.#retiredCounters[cell]!;
    for (const handle of this.#living) sum += handle.counters[cell]!;
    return sum;
  }

  /** A figure that is the same in every worker, such as those of retained messages: one of them is asked. */
  anyOf(name: CounterName): number {
    for (const handle of this.#living) if (handle.ready) return handle.counters[Counter[name]]!;
    return 0;
  }

  #set(worker: number, handle: WorkerHandle | null): void {
    this.#workers[worker] = handle;
    this.#living = this.#workers.filter((one) => one !== null);
  }
}

/** Makes the link between a new worker and one that runs. @returns the new worker's end */
function link(worker: number, other: WorkerHandle): MessagePort {
  const { port1, port2 } = new MessageChannel();
  other.port.postMessage({ kind: 'peer-added', worker, port: port1 } satisfies MainToWorker, [port1]);
  return port2;
}

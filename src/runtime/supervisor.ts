/**
 * Main's side of the workers: starts them in the pool, connects each with all others, spreads connections over
 * them, keeps the directory of client ids, adds workers while load asks for it, and replaces one that dies.
 */
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { assertNever } from '../base/assert.js';
import type { Settings } from '../config/settings.js';
import type { Log, LogLine } from '../log/log.js';
import { Counter, type CounterName, createCounters, retire } from '../metrics/counters.js';
import { WORKERS_MAX } from '../routing/cluster.js';
import type {
  ClaimAnswer,
  FileTexts,
  MainToWorker,
  PassedConnection,
  StorePlace,
  WorkerStart,
  WorkerToMain,
} from '../routing/messages.js';
import { BridgeAssignment } from './bridge-assignment.js';
import { ClientDirectory } from './client-directory.js';

const WORKER_FILE = fileURLToPath(new URL('../../workers/connection-worker.js', import.meta.url));

/** Share of time a worker's event loop is busy from which on it is hot. */
const HOT_UTILISATION = 0.75;
/** Seconds that the busiest worker has to be hot before another one is added. */
const HOT_SECONDS = 5;
/** Cores that have to be idle for another worker to be of use. */
const IDLE_CORES = 0.5;
const WATCH_MS = 1000;
/** Milliseconds to wait before a dead worker is replaced, so that one that always dies does not spin. */
const REPLACE_MS = 100;
/** Milliseconds the workers have for an orderly end. */
const STOP_MS = 10_000;

interface WorkerEntry {
  readonly worker: number;
  readonly port: MessagePort;
  readonly counters: Float64Array;
  /** It has told that it knows all others, and they it. */
  hasBegun: boolean;
  /** Numbers of workers that were being replaced when it began: what they store for, it learns from their successors. */
  readonly awaits: Set<number>;
  /** Connections may come to it. */
  ready: boolean;
  /** Connections sent to it, without those it is known to have taken up. */
  readonly handedOver: PassedConnection[];
  /** How many it is known to have taken up. */
  taken: number;
  /** Connections given to it and not yet reported closed. */
  connections: number;
  /** The same by the index of their listener. */
  readonly connectionsOf: number[];
  utilisation: number;
  stopped: (() => void) | null;
  /** Who waits until it has written everything. */
  flushed: (() => void)[];
}

export interface SupervisorOptions {
  settings: Settings;
  files: FileTexts;
  log: Log;
  logMask: number;
  /** Lines from workers, with their own time. */
  writeLines: (lines: LogLine[]) => void;
  tlsKeylog: number | null;
  /** A connection accepted on this listener is gone. */
  connectionClosed: (listener: number) => void;
  /** The only worker died, and another one has begun, which knows nothing of what was kept in memory. */
  begunAnew: () => void;
}

export class Supervisor {
  #settings: Settings;
  #files: FileTexts;
  readonly #log: Log;
  #logMask: number;
  readonly #options: SupervisorOptions;
  #pool: Piscina<WorkerStart, void> | undefined;
  #store: StorePlace | undefined;
  readonly #workersMax: number;
  readonly #workers: (WorkerEntry | null)[] = new Array(WORKERS_MAX).fill(null);
  /** Those of them that run, in the order of their numbers. */
  #living: WorkerEntry[] = [];
  #directory: ClientDirectory;
  readonly #bridges = new BridgeAssignment();
  /** Numbers of workers that died and have no successor yet. */
  readonly #vacant = new Set<number>();
  readonly #replacements = new Set<NodeJS.Timeout>();
  /** Messages collected over this turn of the event loop. */
  readonly #answers = new Map<number, ClaimAnswer[]>();
  readonly #discards = new Map<number, string[]>();
  readonly #connections = new Map<number, PassedConnection[]>();
  /** Accepted while no worker was ready. */
  #unserved: PassedConnection[] = [];
  #scheduled = false;
  /** What waits for a worker that can serve. */
  #onReady: (() => void)[] = [];
  #stopping = false;
  #watch: NodeJS.Timeout | undefined;
  #hotSeconds = 0;
  #memoryIsShort = false;
  #cpuTimes = cpuTimes();
  /** What dead workers had counted. */
  readonly #retiredCounters = new Float64Array(createCounters());

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#files = options.files;
    this.#log = options.log;
    this.#logMask = options.logMask;
    const { workerThreads } = options.settings;
    this.#workersMax =
      workerThreads === 'auto' ? Math.min(availableParallelism(), WORKERS_MAX) : workerThreads;
    this.#directory = this.#newDirectory();
  }

  #newDirectory(): ClientDirectory {
    return new ClientDirectory(
      {
        answer: (worker, answer) => this.#collect(this.#answers, worker, answer),
        discard: (worker, clientId) => this.#collect(this.#discards, worker, clientId),
      },
      this.#settings.globalMaxClients,
    );
  }

  /**
   * Starts the first worker, or as many as configured; resolves when connections may come. Once more after `stop`,
   * with another store.
   * @param stored client ids of the stored sessions, which are spread over the workers
   */
  async start(store: StorePlace, stored: Iterable<string>): Promise<void> {
    this.#stopping = false;
    this.#store = store;
    this.#pool = newPool();
    this.#directory = this.#newDirectory();
    const first = this.#settings.workerThreads === 'auto' ? 1 : this.#workersMax;
    const ready = new Promise<void>((resolve) => {
      this.#onReady.push(resolve);
    });
    const shares: string[][] = Array.from({ length: first }, () => []);
    let next = 0;
    for (const clientId of stored) {
      this.#directory.restore(next, clientId);
      shares[next]!.push(clientId);
      next = (next + 1) % first;
    }
    this.#assignBridges(first);
    for (const [worker, share] of shares.entries()) this.#startWorker(worker, share);
    await ready;
    this.#watch = setInterval(() => this.#watchLoad(), WATCH_MS);
  }

  /** Gives an accepted connection to the worker with the least to do. */
  serve(connection: PassedConnection): void {
    const target = this.#leastLoaded();
    if (target === undefined) {
      this.#unserved.push(connection);
      return;
    }
    countConnection(target, connection.listener, 1);
    this.#collect(this.#connections, target.worker, connection);
  }

  /** Routes packed records to every subscriber, whatever its worker. */
  publish(records: Uint8Array): void {
    const target = this.#workers.find((entry) => entry?.ready);
    if (target) this.#tell(target, { kind: 'publish', records });
  }

  reload(settings: Settings, files: FileTexts, logMask: number): void {
    this.#settings = settings;
    this.#files = files;
    this.#logMask = logMask;
    this.#directory.clientsMax = settings.globalMaxClients;
    this.#assignBridges(this.#living.length);
    for (const entry of this.#living) {
      this.#tell(entry, { kind: 'reload', settings, files, logMask });
      if (entry.ready) this.#tellBridges(entry);
    }
  }

  printSubscriptions(): void {
    for (const entry of this.#living) this.#tell(entry, { kind: 'print-subscriptions' });
  }

  /** Has every worker write what it holds to the store. */
  async flushStores(): Promise<void> {
    if (this.#stopping) return; // each closes its own
    const flushed = this.#living.map(
      (entry) =>
        new Promise<void>((resolve) => {
          entry.flushed.push(resolve);
          this.#tell(entry, { kind: 'flush' });
        }),
    );
    await Promise.all(flushed);
  }

  /** A counter's sum over all workers, living and dead. */
  count(name: CounterName): number {
    const cell = Counter[name];
    let sum = this.#retiredCounters[cell]!;
    for (const entry of this.#living) sum += entry.counters[cell]!;
    return sum;
  }

  /** Every worker has all retained messages, so one of them is asked. */
  get retainedMessages(): number {
    for (const entry of this.#living) if (entry.ready) return entry.counters[Counter.retainedMessages]!;
    return 0;
  }

  /** Sessions, connected or not. */
  get clients(): number {
    return this.#directory.size;
  }

  /**
   * Asks every worker to send wills, flush and close; never waits longer than `STOP_MS`.
   * @returns whether all of them have
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    clearInterval(this.#watch);
    this.#watch = undefined;
    for (const timer of this.#replacements) clearTimeout(timer);
    this.#replacements.clear();
    this.#vacant.clear();
    const stopped = this.#living.map(
      (entry) =>
        new Promise<void>((resolve) => {
          entry.stopped = resolve;
          this.#tell(entry, { kind: 'stop' });
        }),
    );
    const patience = new Promise<false>((resolve) => setTimeout(() => resolve(false), STOP_MS).unref());
    return Promise.race([Promise.all(stopped).then(() => true), patience]);
  }

  /** After `stop`: the threads are gone, and what was meant for them waits for those of the next `start`. */
  async clear(): Promise<void> {
    await this.#pool?.destroy();
    for (const connections of this.#connections.values()) this.#unserved.push(...connections);
    for (const collected of [this.#connections, this.#answers, this.#discards]) collected.clear();
    this.#onReady = [];
    this.#workers.fill(null);
    this.#living = [];
  }

  // ----------------------------------------------------------------- workers

  #assignBridges(workerCount: number): void {
    const { bridges } = this.#settings;
    this.#bridges.assign(bridges, workerCount, (clientId) => this.#directory.workerOf(clientId));
  }

  #tellBridges(entry: WorkerEntry): void {
    this.#tell(entry, { kind: 'bridges', bridges: this.#bridges.of(entry.worker) });
  }

  /** @param sessions client ids of the stored sessions that it takes up */
  #startWorker(worker: number, sessions: string[]): void {
    this.#vacant.delete(worker);
    const toMain = new MessageChannel();
    const counters = createCounters();
    const entry: WorkerEntry = {
      worker,
      port: toMain.port1,
      counters: new Float64Array(counters),
      hasBegun: false,
      awaits: new Set(this.#vacant),
      ready: false,
      handedOver: [],
      taken: 0,
      connections: 0,
      connectionsOf: [],
      utilisation: 0,
      stopped: null,
      flushed: [],
    };
    const peers = this.#living.map((other) => ({
      worker: other.worker,
      port: this.#link(worker, other),
    }));
    this.#setWorker(worker, entry);
    entry.port.on('message', (message: WorkerToMain) => this.#receive(entry, message));
    const start: WorkerStart = {
      worker,
      settings: this.#settings,
      files: this.#files,
      logMask: this.#logMask,
      counters,
      port: toMain.port2,
      store: this.#store!,
      sessions,
      peers,
      tlsKeylog: this.#options.tlsKeylog,
    };
    for (const { listener } of this.#connections.get(worker) ?? []) countConnection(entry, listener, 1);
    const transferList = [toMain.port2, ...peers.map(({ port }) => port)];
    this.#pool!.run(start, { transferList }).then(
      () => this.#ended(entry, undefined),
      (error: unknown) => this.#ended(entry, error),
    );
    this.#flush(); // what has waited for a worker of this number
  }

  #setWorker(worker: number, entry: WorkerEntry | null): void {
    this.#workers[worker] = entry;
    this.#living = this.#workers.filter((one) => one !== null);
  }

  /** Makes the link between a new worker and one that runs. @returns the new worker's end */
  #link(worker: number, other: WorkerEntry): MessagePort {
    const { port1, port2 } = new MessageChannel();
    other.port.postMessage({ kind: 'peer-added', worker, port: port1 } satisfies MainToWorker, [port1]);
    return port2;
  }

  /** A worker's task is over: asked for, or by a fault. */
  #ended(entry: WorkerEntry, error: unknown): void {
    this.#receiveRest(entry);
    this.#setWorker(entry.worker, null);
    entry.port.close();
    entry.stopped?.();
    for (const resolve of entry.flushed.splice(0)) resolve();
    retire(entry.counters, this.#retiredCounters);
    if (this.#stopping) {
      this.#unserved.push(...notTaken(entry));
      return;
    }
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error ?? 'it ended');
    this.#log.write(
      'error',
      `Error: Worker ${entry.worker} died and is being replaced: ${why.split('\n').join(' | ')}`,
    );
    for (const other of this.#living) this.#tell(other, { kind: 'peer-removed', worker: entry.worker });
    const lost = [...notTaken(entry), ...(this.#connections.get(entry.worker) ?? [])];
    this.#connections.delete(entry.worker);
    for (const { listener } of lost) countConnection(entry, listener, -1);
    for (const [listener, open] of entry.connectionsOf.entries()) {
      for (let i = 0; i < open; i += 1) this.#options.connectionClosed(listener);
    }
    this.#answers.delete(entry.worker);
    this.#discards.delete(entry.worker);
    const { wills, sessions } = this.#directory.workerDied(entry.worker);
    const wasOnly = this.#leastLoaded() === undefined;
    this.#vacant.add(entry.worker);
    const timer = setTimeout(() => {
      this.#replacements.delete(timer);
      this.#startWorker(entry.worker, sessions);
      this.#whenReady(() => {
        if (wasOnly) this.#options.begunAnew();
        for (const will of wills) this.publish(will);
        for (const connection of lost) this.serve(connection);
      });
    }, REPLACE_MS);
    this.#replacements.add(timer);
  }

  /** What the worker said last has been posted, but may not have arrived. */
  #receiveRest(entry: WorkerEntry): void {
    for (let next = receiveMessageOnPort(entry.port); next !== undefined; ) {
      this.#receive(entry, next.message as WorkerToMain);
      next = receiveMessageOnPort(entry.port);
    }
  }

  #whenReady(action: () => void): void {
    if (this.#leastLoaded() !== undefined) action();
    else this.#onReady.push(action);
  }

  #leastLoaded(): WorkerEntry | undefined {
    let best: WorkerEntry | undefined;
    for (const entry of this.#living) {
      if (!entry.ready) continue;
      if (best === undefined || load(entry) < load(best)) best = entry;
    }
    return best;
  }

  #tell(entry: WorkerEntry, message: MainToWorker): void {
    entry.port.postMessage(message);
  }

  #receive(entry: WorkerEntry, message: WorkerToMain): void {
    switch (message.kind) {
      case 'together':
        for (const one of message.messages) this.#receive(entry, one);
        return;
      case 'ready':
        this.#workerBegun(entry);
        return;
      case 'log':
        this.#options.writeLines(message.lines);
        return;
      case 'claims':
        for (const claim of message.claims) this.#directory.claim(entry.worker, claim);
        return;
      case 'wills-done':
        for (const [clientId, claim] of message.wills)
          this.#directory.willDone(entry.worker, clientId, claim);
        return;
      case 'released':
        for (const clientId of message.clientIds) this.#directory.released(entry.worker, clientId);
        return;
      case 'discarded':
        for (const clientId of message.clientIds) this.#directory.discarded(clientId);
        return;
      case 'pass':
        this.#pass(entry, message.worker, message.connection);
        return;
      case 'closed':
        for (const listener of message.listeners) {
          countConnection(entry, listener, -1);
          this.#options.connectionClosed(listener);
        }
        return;
      case 'flushed':
        entry.flushed.shift()?.();
        return;
      case 'stopped':
        return; // its task ends next
      default:
        assertNever(message);
    }
  }

  #workerBegun(entry: WorkerEntry): void {
    entry.hasBegun = true;
    for (const other of this.#living) {
      other.awaits.delete(entry.worker);
      if (other.hasBegun && !other.ready && other.awaits.size === 0) this.#workerReady(other);
    }
  }

  #workerReady(entry: WorkerEntry): void {
    entry.ready = true;
    if (this.#memoryIsShort) this.#tell(entry, { kind: 'memory', isShort: true });
    this.#tellBridges(entry);
    const fixed = this.#settings.workerThreads !== 'auto';
    if (fixed && this.#onReady.length > 0) {
      const ready = this.#living.filter((one) => one.ready).length;
      if (ready < this.#workersMax && !this.#watch) return;
    }
    for (const action of this.#onReady.splice(0)) action();
    for (const connection of this.#unserved.splice(0)) this.serve(connection);
    this.#flush(); // connections that have waited for this one
  }

  /** A connection whose session lives on another worker than the one that has read its CONNECT. */
  #pass(from: WorkerEntry, worker: number, connection: PassedConnection): void {
    countConnection(from, connection.listener, -1);
    // A worker that is being replaced takes its sessions up again: the connection waits for it.
    const target = this.#workers[worker];
    if (target) countConnection(target, connection.listener, 1);
    this.#collect(this.#connections, worker, connection);
  }

  // ----------------------------------------------------------------- messages of this turn

  #collect<T>(collected: Map<number, T[]>, worker: number, item: T): void {
    const items = collected.get(worker);
    if (items === undefined) collected.set(worker, [item]);
    else items.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#scheduled = false;
    for (const entry of this.#living) {
      const { worker } = entry;
      // A session that is to be discarded may have been granted in the same turn: the grant goes first.
      const answers = this.#answers.get(worker);
      if (answers !== undefined) this.#tell(entry, { kind: 'claim-answers', answers });
      const clientIds = this.#discards.get(worker);
      if (clientIds !== undefined) this.#tell(entry, { kind: 'discard', clientIds });
      this.#discards.delete(worker);
      if (entry.ready) this.#handOver(entry);
    }
    // What a worker is to discard or to serve that is being replaced, the next one gets under its number.
    this.#answers.clear();
  }

  #handOver(entry: WorkerEntry): void {
    const connections = this.#connections.get(entry.worker);
    if (connections === undefined) return;
    this.#connections.delete(entry.worker);
    forgetTaken(entry);
    entry.handedOver.push(...connections); // before the worker can count them
    const ports = connections.map(({ handover }) => handover).filter((one) => typeof one !== 'number');
    entry.port.postMessage({ kind: 'connections', connections } satisfies MainToWorker, ports);
  }

  // ----------------------------------------------------------------- load

  /** Once a second: is the busiest worker hot, and a core idle? */
  #watchLoad(): void {
    this.#watchMemory();
    const idleCores = this.#idleCores();
    let hottest = 0;
    let count = 0;
    for (const entry of this.#living) {
      count += 1;
      entry.utilisation = entry.counters[Counter.utilisation]!;
      hottest = Math.max(hottest, entry.utilisation);
    }
    this.#hotSeconds = hottest >= HOT_UTILISATION && idleCores >= IDLE_CORES ? this.#hotSeconds + 1 : 0;
    if (this.#hotSeconds < HOT_SECONDS || count + this.#vacant.size >= this.#workersMax) return;
    this.#hotSeconds = 0;
    this.#log.write('information', `Adding worker thread ${count + 1} of at most ${this.#workersMax}.`);
    this.#startWorker(this.#freeNumber(), []);
  }

  #freeNumber(): number {
    return this.#workers.findIndex((entry, worker) => entry === null && !this.#vacant.has(worker));
  }

  /**
   * Messages that wait in sessions and for sockets are what memory grows by; the runtime's own part, some tens of
   * megabytes, does not count [mosq: memory_limit].
   */
  #watchMemory(): void {
    const { memoryLimit } = this.#settings;
    const taken = this.count('storedBytes') + this.count('waitingBytes');
    const isShort = memoryLimit > 0 && taken > memoryLimit;
    if (isShort === this.#memoryIsShort) return;
    this.#memoryIsShort = isShort;
    this.#log.write(
      'warning',
      isShort
        ? `Warning: Messages take ${taken} bytes, memory_limit is ${memoryLimit}: further ones are refused.`
        : 'Messages take less than memory_limit again and are accepted.',
    );
    for (const entry of this.#living) this.#tell(entry, { kind: 'memory', isShort });
  }

  /** How many cores had nothing to do since the last look. */
  #idleCores(): number {
    const before = this.#cpuTimes;
    const now = cpuTimes();
    this.#cpuTimes = now;
    const total = now.total - before.total;
    return total === 0 ? 0 : ((now.idle - before.idle) / total) * availableParallelism();
  }
}

function newPool(): Piscina<WorkerStart, void> {
  return new Piscina({
    filename: WORKER_FILE,
    minThreads: 1,
    maxThreads: WORKERS_MAX,
    idleTimeout: Number.POSITIVE_INFINITY,
    // With the default a worker between tasks is parked and answers nothing.
    atomics: 'disabled',
    recordTiming: false,
  });
}

/** A connection comes to the worker, or leaves it. */
function countConnection(entry: WorkerEntry, listener: number, change: 1 | -1): void {
  entry.connections += change;
  entry.connectionsOf[listener] = (entry.connectionsOf[listener] ?? 0) + change;
}

function forgetTaken(entry: WorkerEntry): void {
  const taken = entry.counters[Counter.connectionsTaken]!;
  entry.handedOver.splice(0, taken - entry.taken);
  entry.taken = taken;
}

/** Connections sent to a dead worker that nobody answers for but main; those that are ports died with it. */
function notTaken(entry: WorkerEntry): PassedConnection[] {
  forgetTaken(entry);
  return entry.handedOver.filter(({ handover }) => typeof handover === 'number');
}

/** What a worker has to do, for comparison: connections count, unless it is hot already. */
function load(entry: WorkerEntry): number {
  const isHot = entry.utilisation >= HOT_UTILISATION;
  return (isHot ? 1_000_000 * entry.utilisation : 0) + entry.connections;
}

function cpuTimes(): { idle: number; total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}

/**
 * Main's side of the workers: starts them in the pool, connects each with all others, spreads connections over
 * them, keeps the directory of client ids, adds workers while load asks for it, and replaces one that dies.
 */

import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { receiveMessageOnPort } from 'node:worker_threads';
import type { TableChange } from '../../auth/dynamic-security/tables.js';
import { appendAll } from '../../base/append-all.js';
import { assertNever } from '../../base/assert.js';
import type { InputGuard } from '../../broker/input-guard.js';
import { UndeliverableTopics } from '../../broker/undeliverable.js';
import type { Settings } from '../../config/settings.js';
import type { WorkerFigures } from '../../http-api/metrics.js';
import type { Log, LogLine } from '../../log/log.js';
import { undeliverable } from '../../log/mosquitto-lines.js';
import type { WorkerQuestion } from '../../routing/client-questions.js';
import { WORKERS_MAX } from '../../routing/cluster.js';
import type {
  ControlAnswer,
  ControlRequest,
  FileTexts,
  PassedConnection,
  StorePlace,
  WorkerToMain,
} from '../../routing/messages.js';
import { Counter, type CounterName } from '../../sys/counters.js';
import { steadyClock } from '../../system/steady-clock.js';
import { autoMemoryLimit } from '../process/machine-memory.js';
import { WATCH_MS, WORKERS_STOP_MS } from '../process/time-limits.js';
import { BridgeAssignment } from './bridge-assignment.js';
import { ClientDirectory } from './client-directory.js';
import { IdFights } from './id-fights.js';
import { LoadWatch, MemoryWatch } from './load-watch.js';
import { StallWatch } from './stall-watch.js';
import { StoredDeaths } from './stored-deaths.js';
import type { WorkerHandle } from './worker-handle.js';
import { WorkerMail } from './worker-mail.js';
import { WorkerPool } from './worker-pool.js';
import { type GatheredAnswers, WorkerQuestions } from './worker-questions.js';

/** Milliseconds to wait before a dead worker is replaced, so that one that always dies does not spin. */
const REPLACE_MS = 100;

export interface SupervisorOptions {
  settings: Settings;
  files: FileTexts;
  log: Log;
  guard: InputGuard;
  logMask: number;
  /** Lines from workers, with their own time. */
  writeLines: (lines: LogLine[]) => void;
  tlsKeylog: number | null;
  /** A connection accepted on this listener is gone. */
  connectionClosed: (listener: number) => void;
  /** What dynamic security says at the moment; `null` without it. */
  rights: () => TableChange | null;
  /** A request to dynamic security. */
  controlRequest: (request: ControlRequest) => void;
  /** The only worker died, and its replacement has begun, without what the dead one had in memory. */
  begunAnew: () => void;
}

export class Supervisor {
  #settings: Settings;
  #files: FileTexts;
  readonly #log: Log;
  #logMask: number;
  readonly #options: SupervisorOptions;
  #store: StorePlace | undefined;
  readonly #workersMax: number;
  readonly #pool = new WorkerPool();
  readonly #mail: WorkerMail;
  #directory: ClientDirectory;
  readonly #bridges = new BridgeAssignment();
  readonly #replacements = new Set<NodeJS.Timeout>();
  /** Accepted while no worker was ready. */
  #unserved: PassedConnection[] = [];
  /** What waits for a worker that can serve. */
  #onReady: (() => void)[] = [];
  #stopping = false;
  #watch: NodeJS.Timeout | undefined;
  readonly #load = new LoadWatch();
  readonly #memory = new MemoryWatch();
  /** Bytes of the process before any client came; 0 until the workers run. */
  #processBytes = 0;
  readonly #stalls: StallWatch;
  readonly #deaths = new StoredDeaths();
  readonly #questions = new WorkerQuestions();
  readonly #undeliverable = new UndeliverableTopics();
  readonly #fights = new IdFights((text) => this.#log.write('warning', text));

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#files = options.files;
    this.#log = options.log;
    this.#logMask = options.logMask;
    this.#stalls = new StallWatch(options.log);
    const { workerThreads } = options.settings;
    this.#workersMax =
      workerThreads === 'auto' ? Math.min(availableParallelism(), WORKERS_MAX) : workerThreads;
    this.#mail = new WorkerMail(
      () => this.#pool.living,
      options.guard,
      (handle, listener) => this.#connectionEnded(handle, listener),
    );
    this.#directory = this.#newDirectory();
  }

  #newDirectory(): ClientDirectory {
    return new ClientDirectory(this.#mail, this.#settings.globalMaxClients);
  }

  /**
   * Starts the first worker, or as many as configured; resolves when connections may come. Once more after `stop`,
   * with another store.
   * @param stored client ids of the stored sessions, which are spread over the workers
   */
  async start(store: StorePlace, stored: Iterable<string>): Promise<void> {
    this.#stopping = false;
    this.#store = store;
    this.#pool.open();
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
    if (this.#processBytes === 0) this.#processBytes = this.#bytesNow();
    this.#limitMemory();
    this.#watch = setInterval(() => this.#watchLoad(), WATCH_MS);
  }

  /** Gives an accepted connection to the worker with the least to do. */
  serve(connection: PassedConnection): void {
    const target = this.#pool.leastLoaded();
    if (target === undefined) {
      this.#unserved.push(connection);
      return;
    }
    target.countConnection(connection.listener, 1);
    this.#mail.connection(target.worker, connection);
  }

  /** Routes packed records to every subscriber, whatever its worker. */
  publish(records: Uint8Array): void {
    this.#pool.living.find((handle) => handle.ready)?.tell({ kind: 'publish', records });
  }

  reload(settings: Settings, files: FileTexts, logMask: number): void {
    this.#settings = settings;
    this.#files = files;
    this.#logMask = logMask;
    this.#directory.clientsMax = settings.globalMaxClients;
    this.#limitMemory();
    this.#assignBridges(this.#pool.living.length);
    for (const handle of this.#pool.living) {
      handle.tell({ kind: 'reload', settings, files, logMask });
      if (handle.ready) this.#tellBridges(handle);
    }
  }

  printSubscriptions(): void {
    for (const handle of this.#pool.living) handle.tell({ kind: 'print-subscriptions' });
  }

  /** Makes every worker write its changes to the store. */
  async flushStores(): Promise<void> {
    if (this.#stopping) return; // each closes its own
    const flushed = this.#pool.living.map(
      (handle) =>
        new Promise<void>((resolve) => {
          handle.flushed.push(resolve);
          handle.tell({ kind: 'flush' });
        }),
    );
    await Promise.all(flushed);
  }

  /** Puts a change of dynamic security in force. Resolves once that is so in every worker. */
  async changeRights(change: TableChange): Promise<void> {
    const inForce = this.#pool.living.map(
      (handle) =>
        new Promise<void>((resolve) => {
          handle.rightsInForce.push(resolve);
          handle.tell({ kind: 'rights', change });
        }),
    );
    await Promise.all(inForce);
  }

  answerControl(answer: ControlAnswer): void {
    for (const handle of this.#pool.living) handle.tell({ kind: 'control-answer', answer });
  }

  /** A worker stands still: it serves nobody. */
  get isStalled(): boolean {
    return this.#stalls.isStalled;
  }

  /** What all workers know of their clients. */
  ask(question: WorkerQuestion): Promise<GatheredAnswers> {
    return this.#questions.ask(this.#pool.living, question);
  }

  /** What each worker that runs does at the moment. */
  workers(): WorkerFigures[] {
    return this.#pool.living.map((handle) => ({
      worker: handle.worker,
      isReady: handle.ready,
      isStalled: this.#stalls.hasStalled(handle),
      utilisation: handle.counters[Counter.utilisation]!,
      clients: handle.counters[Counter.connections]!,
    }));
  }

  /** A counter's sum over all workers, living and dead. */
  count(name: CounterName): number {
    return this.#pool.count(name);
  }

  get retainedMessages(): number {
    return this.#pool.anyOf('retainedMessages');
  }

  /** Bytes that clients occupy, as `memory_limit` counts them. */
  get memoryUsed(): number {
    return this.#memory.used;
  }

  /** Bytes; 0 = none. */
  get memoryLimit(): number {
    return this.#memory.limit.bytes;
  }

  /** Sessions, connected or not. */
  get clients(): number {
    return this.#directory.size;
  }

  /**
   * Asks every worker to send wills, flush and close; never waits longer than `WORKERS_STOP_MS`.
   * @returns whether all of them have
   */
  async stop(): Promise<boolean> {
    this.#stopping = true;
    clearInterval(this.#watch);
    this.#watch = undefined;
    for (const timer of this.#replacements) clearTimeout(timer);
    this.#replacements.clear();
    this.#pool.expectNoReplacements();
    const stopped = this.#pool.living.map(
      (handle) =>
        new Promise<void>((resolve) => {
          handle.stopped = resolve;
          handle.tell({ kind: 'stop' });
        }),
    );
    const patience = new Promise<false>((resolve) =>
      setTimeout(() => resolve(false), WORKERS_STOP_MS).unref(),
    );
    return Promise.race([Promise.all(stopped).then(() => true), patience]);
  }

  /** After `stop`: the threads have ended, and messages and connections for them wait for the next `start`. */
  async clear(): Promise<void> {
    await this.#pool.close();
    appendAll(this.#unserved, this.#mail.takeBackAll());
    this.#onReady = [];
  }

  // ----------------------------------------------------------------- workers

  #assignBridges(workerCount: number): void {
    const { bridges } = this.#settings;
    this.#bridges.assign(bridges, workerCount, (clientId) => this.#directory.workerOf(clientId));
  }

  #tellBridges(handle: WorkerHandle): void {
    handle.tell({ kind: 'bridges', bridges: this.#bridges.of(handle.worker) });
  }

  /**
   * @param sessions client ids of the stored sessions that it takes up
   * @param setAside those of them that it is to set aside
   */
  #startWorker(worker: number, sessions: string[], setAside: readonly string[] = []): void {
    const { persistenceLocation, persistenceFile } = this.#settings;
    const { handle, ended } = this.#pool.start(worker, {
      settings: this.#settings,
      files: this.#files,
      rights: this.#options.rights(),
      logMask: this.#logMask,
      bridgedMs: steadyClock.bridgedMs,
      store: this.#store!,
      sessions,
      setAside: { clientIds: setAside, path: resolve(persistenceLocation, persistenceFile) },
      tlsKeylog: this.#options.tlsKeylog,
    });
    handle.port.on('message', (message: WorkerToMain) => this.#receive(handle, message));
    for (const { listener } of this.#mail.connectionsFor(worker)) handle.countConnection(listener, 1);
    ended.then(
      () => this.#ended(handle, undefined),
      (error: unknown) => this.#ended(handle, error),
    );
    this.#mail.send(); // what has waited for a worker of this number
  }

  /** A worker's task is over: asked for, or by a fault. */
  #ended(handle: WorkerHandle, error: unknown): void {
    this.#receiveRest(handle);
    this.#pool.remove(handle);
    handle.stopped?.();
    for (const resolve of handle.flushed.splice(0)) resolve();
    for (const resolve of handle.rightsInForce.splice(0)) resolve();
    if (this.#stopping) {
      appendAll(this.#unserved, handle.notTaken());
      return;
    }
    this.#replace(handle, error);
  }

  /** A worker died: its wills go out, and another one takes its place, its sessions and what it had not served. */
  #replace(handle: WorkerHandle, error: unknown): void {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error ?? 'it ended');
    this.#log.write(
      'error',
      `Error: Worker ${handle.worker} died and is being replaced: ${why.split('\n').join(' | ')}`,
    );
    const { diedOver } = handle;
    const isTooMuch = diedOver !== null && this.#deaths.died(diedOver, performance.now());
    if (isTooMuch) {
      const text = `Error: Three workers have died within a minute over the stored session of "${diedOver}", which is set aside.`;
      this.#log.write('error', text);
    }
    for (const other of this.#pool.living) other.tell({ kind: 'peer-removed', worker: handle.worker });
    const lost = [...handle.notTaken(), ...this.#mail.takeBack(handle.worker)];
    for (const { listener } of lost) handle.countConnection(listener, -1);
    for (const [listener, open] of handle.connectionsOf.entries()) {
      for (let i = 0; i < open; i += 1) this.#options.connectionClosed(listener);
    }
    const { wills, sessions } = this.#directory.workerDied(handle.worker);
    const wasOnly = this.#pool.leastLoaded() === undefined;
    this.#pool.expectReplacement(handle);
    const timer = setTimeout(() => {
      this.#replacements.delete(timer);
      this.#startWorker(handle.worker, sessions, isTooMuch ? [diedOver] : []);
      this.#whenReady(() => {
        if (wasOnly) this.#options.begunAnew();
        for (const will of wills) this.publish(will);
        for (const connection of lost) this.serve(connection);
      });
    }, REPLACE_MS);
    this.#replacements.add(timer);
  }

  /** What the worker said last has been posted, but may not have arrived. */
  #receiveRest(handle: WorkerHandle): void {
    for (let next = receiveMessageOnPort(handle.port); next !== undefined; ) {
      this.#receive(handle, next.message as WorkerToMain);
      next = receiveMessageOnPort(handle.port);
    }
  }

  #whenReady(action: () => void): void {
    if (this.#pool.leastLoaded() !== undefined) action();
    else this.#onReady.push(action);
  }

  /** What a worker says goes back to what some client sent, and must not end main. */
  #receive(handle: WorkerHandle, message: WorkerToMain): void {
    try {
      this.#take(handle, message);
    } catch (error) {
      const input = { from: `worker ${handle.worker}`, what: `a message (${message.kind})` };
      this.#options.guard.caught(error, input);
    }
  }

  #take(handle: WorkerHandle, message: WorkerToMain): void {
    switch (message.kind) {
      case 'together':
        for (const one of message.messages) this.#receive(handle, one);
        return;
      case 'ready':
        this.#workerBegun(handle);
        return;
      case 'log':
        this.#options.writeLines(message.lines);
        return;
      case 'undeliverable':
        if (this.#undeliverable.add(message.topic)) {
          this.#log.write('warning', undeliverable(message.topic, this.#undeliverable.isFull));
        }
        return;
      case 'claims':
        for (const claim of message.claims) this.#directory.claim(handle.worker, claim);
        return;
      case 'wills-done':
        for (const [clientId, claim] of message.wills)
          this.#directory.willDone(handle.worker, clientId, claim);
        return;
      case 'taken-over':
        for (const takeover of message.takeovers) this.#fights.takenOver(takeover, steadyClock.now());
        return;
      case 'sessions-ended':
        for (const clientId of message.clientIds) this.#directory.sessionEnded(handle.worker, clientId);
        return;
      case 'discarded':
        for (const clientId of message.clientIds) this.#directory.discarded(clientId);
        return;
      case 'pass':
        this.#pass(handle, message.worker, message.connection);
        return;
      case 'closed':
        for (const listener of message.listeners) this.#connectionEnded(handle, listener);
        return;
      case 'answer':
        this.#questions.answered(handle.worker, message.id, message.answer);
        return;
      case 'control-request':
        this.#options.controlRequest(message.request);
        return;
      case 'rights-in-force':
        handle.rightsInForce.shift()?.();
        return;
      case 'flushed':
        handle.flushed.shift()?.();
        return;
      case 'stopped':
        return; // its task ends next
      default:
        assertNever(message);
    }
  }

  #connectionEnded(handle: WorkerHandle, listener: number): void {
    handle.countConnection(listener, -1);
    this.#options.connectionClosed(listener);
  }

  #workerBegun(handle: WorkerHandle): void {
    handle.hasBegun = true;
    for (const other of this.#pool.living) {
      other.awaits.delete(handle.worker);
      if (other.hasBegun && !other.ready && other.awaits.size === 0) this.#workerReady(other);
    }
  }

  #workerReady(handle: WorkerHandle): void {
    handle.ready = true;
    this.#tellMemory(handle);
    this.#tellBridges(handle);
    const fixed = this.#settings.workerThreads !== 'auto';
    if (fixed && this.#onReady.length > 0) {
      const ready = this.#pool.living.filter((one) => one.ready).length;
      if (ready < this.#workersMax && !this.#watch) return;
    }
    for (const action of this.#onReady.splice(0)) action();
    for (const connection of this.#unserved.splice(0)) this.serve(connection);
    this.#mail.send(); // connections that have waited for this one
  }

  /** A connection whose session lives on another worker than the one that has read its CONNECT. */
  #pass(from: WorkerHandle, worker: number, connection: PassedConnection): void {
    from.countConnection(connection.listener, -1);
    // A worker that is being replaced takes its sessions up again: the connection waits for it.
    this.#pool.at(worker)?.countConnection(connection.listener, 1);
    this.#mail.connection(worker, connection);
  }

  // ----------------------------------------------------------------- load

  /** Once a second. */
  #watchLoad(): void {
    this.#watchMemory();
    this.#stalls.look(this.#pool.living, performance.now());
    const wantsAnother = this.#load.look(this.#pool.living);
    if (!wantsAnother || this.#pool.size >= this.#workersMax) return;
    this.#load.added();
    const count = this.#pool.living.length;
    this.#log.write('information', `Adding worker thread ${count + 1} of at most ${this.#workersMax}.`);
    this.#startWorker(this.#pool.freeNumber, []);
  }

  #watchMemory(): void {
    const counted =
      this.#settings.memoryLimit === 'auto'
        ? this.count('occupiedBytes') + this.#pool.anyOf('retainedBytes')
        : this.count('storedBytes') + this.count('waitingBytes');
    const wasMuch = this.#memory.isMuch;
    const line = this.#memory.look(counted, this.#bytesNow());
    if (line !== undefined) this.#log.write(line.isWarning ? 'warning' : 'notice', line.text);
    if (!wasMuch && !this.#memory.isMuch) return;
    for (const handle of this.#pool.living) this.#tellMemory(handle, counted);
  }

  /** Of the process, and of a store that lies in memory. */
  #bytesNow(): number {
    return process.memoryUsage.rss() + this.#pool.anyOf('storeMemoryBytes');
  }

  #tellMemory(handle: WorkerHandle, counted = 0): void {
    handle.tell({ kind: 'memory', limit: this.#memory.limit, counted });
  }

  #limitMemory(): void {
    const { memoryLimit } = this.#settings;
    this.#memory.limit =
      memoryLimit === 'auto'
        ? { bytes: autoMemoryLimit(), processBytes: this.#processBytes }
        : { bytes: memoryLimit, processBytes: null };
    for (const handle of this.#pool.living) this.#tellMemory(handle);
  }
}

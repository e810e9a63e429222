/** What main knows of one worker: how to reach it, which connections it was given, and how busy it is. */

import type { MessagePort } from 'node:worker_threads';
import { appendAll } from '../../base/append-all.js';
import { postWithPort } from '../../net/relay.js';
import type { MainToWorker, PassedConnection } from '../../routing/messages.js';
import { Counter } from '../../sys/counters.js';
import { WorkingRecord } from '../../sys/working-record.js';

/** Share of time a worker's event loop is busy from which on it is hot. */
export const HOT_UTILISATION = 0.75;

export class WorkerHandle {
  readonly worker: number;
  readonly port: MessagePort;
  readonly counters: Float64Array;
  readonly #workingRecord: WorkingRecord;
  /** Links to all other workers are established, and this worker has reported so. */
  hasBegun = false;
  /** Numbers of workers that were being replaced when this one began: which stored sessions they have is yet to come. */
  readonly awaits: Set<number>;
  /** The worker accepts connections. */
  ready = false;
  stopped: (() => void) | null = null;
  /** Called once the worker has written all its changes. */
  flushed: (() => void)[] = [];
  /** Called, one after the other, as it puts changes of dynamic security in force. */
  rightsInForce: (() => void)[] = [];
  utilisation = 0;
  /** Connections given to it and not yet reported closed. */
  #connections = 0;
  /** The same by the index of their listener. */
  readonly connectionsOf: number[] = [];
  /** Connections sent to the worker that it has not accepted yet, as far as main knows. */
  readonly #handedOver: PassedConnection[] = [];
  /** How many connections the worker has accepted, as far as main knows. */
  #connectionsTaken = 0;

  constructor(
    worker: number,
    port: MessagePort,
    counters: Float64Array,
    workingRecord: SharedArrayBuffer,
    awaits: Iterable<number>,
  ) {
    this.#workingRecord = new WorkingRecord(workingRecord);
    this.worker = worker;
    this.port = port;
    this.counters = counters;
    this.awaits = new Set(awaits);
  }

  tell(message: MainToWorker): void {
    this.port.postMessage(message);
  }

  /** Whose stored session it was working on when it died; `null` = none's. */
  get diedOver(): string | null {
    return this.#workingRecord.clientId;
  }

  /** The worker's load, for comparison: its connections, unless it is hot already. */
  get load(): number {
    const isHot = this.utilisation >= HOT_UTILISATION;
    return (isHot ? 1_000_000 * this.utilisation : 0) + this.#connections;
  }

  /** A connection comes to the worker, or leaves it. */
  countConnection(listener: number, change: 1 | -1): void {
    this.#connections += change;
    this.connectionsOf[listener] = (this.connectionsOf[listener] ?? 0) + change;
  }

  /**
   * @returns those that cannot be handed over: the other end of their port is closed already
   * @throws if none of them has been: all are still the caller's
   */
  handOver(connections: readonly PassedConnection[]): PassedConnection[] {
    this.#forgetTaken();
    const sockets = connections.filter(({ handover }) => typeof handover === 'number');
    appendAll(this.#handedOver, sockets); // before the worker can count them
    try {
      if (sockets.length > 0) this.tell({ kind: 'connections', connections: sockets });
    } catch (error) {
      this.#handedOver.length -= sockets.length;
      throw error;
    }
    const gone: PassedConnection[] = [];
    for (const relayed of connections) {
      if (typeof relayed.handover === 'number') continue;
      this.#handedOver.push(relayed);
      const message: MainToWorker = { kind: 'connections', connections: [relayed] };
      if (postWithPort(this.port, message, relayed.handover)) continue;
      this.#handedOver.pop();
      gone.push(relayed);
    }
    return gone;
  }

  /** Connections sent to a dead worker that nobody answers for but main; those that are ports died with it. */
  notTaken(): PassedConnection[] {
    this.#forgetTaken();
    return this.#handedOver.filter(({ handover }) => typeof handover === 'number');
  }

  #forgetTaken(): void {
    const connectionsTaken = this.counters[Counter.connectionsTaken]!;
    this.#handedOver.splice(0, connectionsTaken - this.#connectionsTaken);
    this.#connectionsTaken = connectionsTaken;
  }
}

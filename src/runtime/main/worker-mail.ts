/**
 * Collects what main sends to the workers over a turn of the event loop: one message of each kind for each worker. If a
 * worker is being replaced, its replacement gets what it was to discard or to serve.
 */
import type { InputGuard } from '../../broker/input-guard.js';
import type { ClaimAnswer, PassedConnection } from '../../routing/messages.js';
import { abandon } from './abandon.js';
import type { WorkerHandle } from './worker-handle.js';

export class WorkerMail {
  readonly #living: () => readonly WorkerHandle[];
  readonly #guard: InputGuard;
  readonly #connectionGone: (handle: WorkerHandle, listener: number) => void;
  readonly #answers = new Map<number, ClaimAnswer[]>();
  readonly #discards = new Map<number, string[]>();
  readonly #connections = new Map<number, PassedConnection[]>();
  #scheduled = false;

  /** @param connectionGone called with a connection that ended before it could go to the worker */
  constructor(
    living: () => readonly WorkerHandle[],
    guard: InputGuard,
    connectionGone: (handle: WorkerHandle, listener: number) => void,
  ) {
    this.#living = living;
    this.#guard = guard;
    this.#connectionGone = connectionGone;
  }

  answer(worker: number, answer: ClaimAnswer): void {
    this.#collect(this.#answers, worker, answer);
  }

  discard(worker: number, clientId: string): void {
    this.#collect(this.#discards, worker, clientId);
  }

  connection(worker: number, connection: PassedConnection): void {
    this.#collect(this.#connections, worker, connection);
  }

  connectionsFor(worker: number): readonly PassedConnection[] {
    return this.#connections.get(worker) ?? [];
  }

  #collect<T>(collected: Map<number, T[]>, worker: number, item: T): void {
    const items = collected.get(worker);
    if (items === undefined) collected.set(worker, [item]);
    else items.push(item);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.send());
  }

  send(): void {
    this.#scheduled = false;
    for (const handle of this.#living()) {
      const { worker } = handle;
      // A session that is to be discarded may have been granted in the same turn: the grant goes first.
      const answers = this.#answers.get(worker);
      if (answers !== undefined) handle.tell({ kind: 'claim-answers', answers });
      const clientIds = this.#discards.get(worker);
      if (clientIds !== undefined) handle.tell({ kind: 'discard', clientIds });
      this.#discards.delete(worker);
      if (handle.ready) this.#handOver(handle);
    }
    this.#answers.clear();
  }

  #handOver(handle: WorkerHandle): void {
    const connections = this.#connections.get(handle.worker);
    if (connections === undefined) return;
    this.#connections.delete(handle.worker);
    try {
      for (const { listener } of handle.handOver(connections)) this.#connectionGone(handle, listener);
    } catch (error) {
      this.#guard.caught(error, { from: `worker ${handle.worker}`, what: 'a message (connections)' });
      for (const { handover, listener } of connections) {
        abandon(handover);
        this.#connectionGone(handle, listener);
      }
    }
  }

  /** The worker died. @returns the connections that had not gone to it yet */
  takeBack(worker: number): PassedConnection[] {
    const connections = this.#connections.get(worker) ?? [];
    for (const collected of [this.#connections, this.#answers, this.#discards]) collected.delete(worker);
    return connections;
  }

  /** All workers are gone. @returns the connections that had not gone to them */
  takeBackAll(): PassedConnection[] {
    const connections = [...this.#connections.values()].flat();
    for (const collected of [this.#connections, this.#answers, this.#discards]) collected.clear();
    return connections;
  }
}

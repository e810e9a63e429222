/**
 * Acknowledgements of one connection that wait for what they stand for to be stored, here and on other workers.
 * They leave in the order in which the packets came [MQTT-4.6.0-2], [MQTT-4.6.0-3], so one that is ready waits for
 * those before it.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { AckPacket } from '../mqtt/packets.js';
import type { Broker } from './broker.js';

interface Waiting {
  /** The store and the workers that have not confirmed yet. */
  missing: number;
  send: () => void;
}

/** Who sends them. */
export interface AckTarget {
  readonly isConnected: boolean;
  sendAck(type: AckPacket['type'], packetId: number, reasonCode: number): void;
}

export class Acknowledgements {
  readonly #waiting = new RingQueue<Waiting>();
  readonly #broker: Broker;
  readonly #target: AckTarget;
  /** What is awaited will not come: a worker died. */
  readonly #failed: () => void;

  constructor(broker: Broker, target: AckTarget, failed: () => void) {
    this.#broker = broker;
    this.#target = target;
    this.#failed = failed;
  }

  /** Nothing is ahead of an acknowledgement that needs no waiting itself. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** How many wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Acknowledges when everything changed in the store since `mark`, and stored by the workers of the mask, is
   * committed; at once if there is nothing to wait for (hot path).
   */
  acknowledge(
    mark: number,
    workers: number,
    type: AckPacket['type'],
    packetId: number,
    reasonCode: number,
  ): void {
    if (workers === 0 && this.#waiting.length === 0 && !this.#broker.store.changedSince(mark)) {
      this.#target.sendAck(type, packetId, reasonCode);
    } else {
      this.#acknowledgeLater(mark, workers, type, packetId, reasonCode);
    }
  }

  /** By itself: what a closure needs costs memory at each call of the function that makes it. */
  #acknowledgeLater(
    mark: number,
    workers: number,
    type: AckPacket['type'],
    packetId: number,
    reasonCode: number,
  ): void {
    this.add(mark, workers, () => {
      if (this.#target.isConnected) this.#target.sendAck(type, packetId, reasonCode);
    });
  }

  /**
   * Sends once everything changed in the store since `mark`, and everything sent in this turn to the workers of
   * the mask, is committed.
   * @param alsoAwait starts something else to wait for, and is given what to call when that is done, or has failed
   */
  add(
    mark: number,
    workers: number,
    send: () => void,
    alsoAwait?: (done: () => void, failed: () => void) => void,
  ): void {
    const { store, cluster } = this.#broker;
    const waiting: Waiting = { missing: 1, send };
    const one = (): void => {
      waiting.missing -= 1;
      if (waiting.missing === 0) this.#sendReady();
    };
    this.#waiting.push(waiting);
    if (store.changedSince(mark)) {
      waiting.missing += 1;
      store.whenSettled(mark, one);
    }
    if (workers !== 0) waiting.missing += cluster.whenStored(workers, one, this.#failed);
    if (alsoAwait !== undefined) {
      waiting.missing += 1;
      alsoAwait(one, this.#failed);
    }
    one();
  }

  #sendReady(): void {
    for (let next = this.#waiting.peek(); next?.missing === 0; next = this.#waiting.peek()) {
      this.#waiting.shift();
      next.send();
    }
  }
}

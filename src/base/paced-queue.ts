/**
 * A queue of work that arrives in bursts, such as new connections. It does a few pieces each turn of the event loop, so
 * that a burst does not delay everything else.
 */
import { RingQueue } from './ring-queue.js';

export interface PacedQueueOptions<T> {
  perTurn: number;
  /** Calls back in the next turn of the event loop. */
  nextTurn: (callback: () => void) => void;
  /** Does a piece. */
  each: (item: T) => void;
}

export class PacedQueue<T> {
  readonly #options: PacedQueueOptions<T>;
  readonly #waiting = new RingQueue<T>();
  /** What may still be done in this turn. */
  #left: number;
  #isScheduled = false;

  constructor(options: PacedQueueOptions<T>) {
    this.#options = options;
    this.#left = options.perTurn;
  }

  /** Does the piece at once if nothing waits and this turn has room; else later. */
  push(item: T): void {
    this.#schedule();
    if (this.#left === 0 || this.#waiting.length > 0) {
      this.#waiting.push(item);
      return;
    }
    this.#left -= 1;
    this.#options.each(item);
  }

  /** Does all that waits now, for what has to come behind it. */
  drain(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      this.#options.each(next);
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.nextTurn(() => this.#proceed());
  }

  #proceed(): void {
    this.#isScheduled = false;
    this.#left = this.#options.perTurn;
    while (this.#left > 0 && this.#waiting.length > 0) {
      this.#left -= 1;
      this.#options.each(this.#waiting.shift()!);
    }
    if (this.#left < this.#options.perTurn) this.#schedule();
  }
}

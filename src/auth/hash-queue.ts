/**
 * A queue for password hashes: a few run at a time, in the order in which they came.
 *
 * libuv's thread pool also carries the commits of the store and the reading of files. A storm of logins must not
 * fill it, nor hold 46 MiB for each argon2id entry at once.
 */
import { assert } from '../base/assert.js';

export interface HashQueueOptions {
  /** Hashes that run at the same time. */
  runningMax: number;
  /** Hashes that may wait. */
  waitingMax: number;
}

export class HashQueue {
  readonly #options: HashQueueOptions;
  #running = 0;
  #waiting: (() => void)[] = [];

  constructor(options: HashQueueOptions) {
    assert(options.runningMax >= 1 && options.waitingMax >= 0, 'a hash queue lets something run');
    this.#options = options;
  }

  /** Whether the queue is full: `run` must not be called then, and the login is refused with "server busy". */
  get isFull(): boolean {
    return this.#running >= this.#options.runningMax && this.#waiting.length >= this.#options.waitingMax;
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    assert(!this.isFull, 'the hash queue has room');
    if (this.#running >= this.#options.runningMax) {
      // Whoever finishes hands over its place, so the number of running jobs stays as it is.
      await new Promise<void>((start) => this.#waiting.push(start));
    } else {
      this.#running += 1;
    }
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}

/**
 * Lets password hashes run a few at a time.
 *
 * libuv's thread pool also carries the commits of the store and the reading of files. A storm of logins must not
 * fill it, nor hold 46 MiB for each argon2id entry at once. Nor may one sender of logins hold up all others: who waits
 * is served by turns, one of each address, and of each address one of each user. Passwords that were right before go
 * first: nobody can make up more of those.
 */
import { assert } from '../base/assert.js';
import { RingQueue } from '../base/ring-queue.js';

export interface HashQueueOptions {
  /** How many hashes run at the same time. */
  runningMax: number;
  /** How many may wait behind them. */
  waitingMax: number;
}

/** Whose hash it is. */
export interface HashOrder {
  address: string;
  username: string;
  /** The password was right before. */
  goesFirst: boolean;
}

/** Those who wait, by turns of their keys. A key that has had its turn goes to the end. */
class Lanes<Item> {
  readonly #lanes = new Map<string, Item>();

  /** The lane of the key, which is made if there is none. */
  at(key: string, make: () => Item): Item {
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = make();
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /** Takes one from the lane whose turn it is. @param take returns `isEmpty` where nothing is left in the lane */
  next<Job>(take: (lane: Item) => { job: Job; isEmpty: boolean }): { job: Job; isEmpty: boolean } {
    const [key, lane] = this.#lanes.entries().next().value!;
    const { job, isEmpty } = take(lane);
    this.#lanes.delete(key);
    if (!isEmpty) this.#lanes.set(key, lane);
    return { job, isEmpty: this.#lanes.size === 0 };
  }
}

type Start = () => void;

export class HashQueue {
  readonly #options: HashQueueOptions;
  #running = 0;
  #waiting = 0;
  readonly #first = new RingQueue<Start>();
  readonly #addresses = new Lanes<Lanes<RingQueue<Start>>>();

  constructor(options: HashQueueOptions) {
    assert(options.runningMax >= 1 && options.waitingMax >= 0, 'a hash queue lets something run');
    this.#options = options;
  }

  /** True when `run` must not be called: the caller answers "busy" instead. */
  get isFull(): boolean {
    return this.#running >= this.#options.runningMax && this.#waiting >= this.#options.waitingMax;
  }

  async run<T>(job: () => Promise<T>, order: HashOrder): Promise<T> {
    assert(!this.isFull || order.goesFirst, 'the hash queue has room');
    if (this.#running >= this.#options.runningMax) {
      // Whoever finishes hands over its place, so the number of running jobs stays as it is.
      await new Promise<void>((start) => this.#wait(start, order));
    } else {
      this.#running += 1;
    }
    try {
      return await job();
    } finally {
      this.#startNext();
    }
  }

  #wait(start: Start, { address, username, goesFirst }: HashOrder): void {
    this.#waiting += 1;
    if (goesFirst) {
      this.#first.push(start);
      return;
    }
    const users = this.#addresses.at(address, () => new Lanes<RingQueue<Start>>());
    users.at(username, () => new RingQueue<Start>()).push(start);
  }

  #startNext(): void {
    if (this.#waiting === 0) {
      this.#running -= 1;
      return;
    }
    this.#waiting -= 1;
    const start = this.#first.shift() ?? this.#nextByTurns();
    start();
  }

  #nextByTurns(): Start {
    return this.#addresses.next((users) =>
      users.next((queue) => ({ job: queue.shift()!, isEmpty: queue.length === 0 })),
    ).job;
  }
}

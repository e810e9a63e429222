/**
 * The time of day as this process goes by it: it begins with the machine's clock, and goes on steadily where that is set.
 * A small machine without a battery sets its clock by hours or years once it has a network: durations, and what is to
 * expire, must not notice. Small corrections are followed.
 *
 * Workers that start later are told by how much the clock was set (`bridgedMs`), so that all threads have the same time.
 */

/** The machine's clock drifts, and is slewed by less than this in a second. */
const JUMP_MS = 2000;

export class SteadyClock {
  readonly #wall: () => number;
  readonly #monotonic: () => number;
  /** What is added to the monotonic clock. */
  #offset: number;
  #bridgedMs = 0;

  /**
   * @param wall milliseconds since the epoch, on a clock that may be set
   * @param monotonic milliseconds since any moment
   */
  constructor(wall: () => number, monotonic: () => number) {
    this.#wall = wall;
    this.#monotonic = monotonic;
    this.#offset = wall() - monotonic();
  }

  /** Milliseconds since the epoch (hot path). */
  now(): number {
    return Math.floor(this.#monotonic() + this.#offset);
  }

  /** By how much the machine's clock was set since the broker began, and this one was not. */
  get bridgedMs(): number {
    return this.#bridgedMs;
  }

  /** In a thread that starts later: what main has bridged by then. */
  bridge(ms: number): void {
    this.#bridgedMs += ms;
    this.#offset -= ms;
  }

  /** To be called once a second. @returns by how much the machine's clock was set since the last call; 0 = it was not */
  check(): number {
    const difference = this.#wall() - this.#monotonic() - this.#offset - this.#bridgedMs;
    if (Math.abs(difference) < JUMP_MS) {
      this.#offset += difference;
      return 0;
    }
    this.#bridgedMs += difference;
    return difference;
  }
}

/** The clock of this thread. */
export const steadyClock = new SteadyClock(Date.now, () => performance.now());

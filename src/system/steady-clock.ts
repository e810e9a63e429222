/**
 * The broker's time of day. It begins with the machine's clock and then follows the monotonic clock: a small machine
 * without a battery sets its clock by hours or years once it has a network, and no duration or expiry may change for
 * that. Small corrections of the machine's clock are followed.
 *
 * Main passes the sum of the jumps so far (`bridgedMs`) to a worker that starts later, so that all threads have the same
 * time.
 */

/** Milliseconds. A smaller difference after a second is drift, or a correction by NTP; a larger one is a jump. */
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

  /** Milliseconds of all jumps of the machine's clock since the broker began, which this clock did not follow. */
  get bridgedMs(): number {
    return this.#bridgedMs;
  }

  /** Takes over the jumps that main has seen before this thread started. */
  bridge(ms: number): void {
    this.#bridgedMs += ms;
    this.#offset -= ms;
  }

  /** Looks for a jump; called once a second. @returns its milliseconds; 0 = the machine's clock has not jumped */
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

/**
 * Removes expired retained messages from time to time, instead of when somebody asks for their topic
 * [mosq: retain_expiry_interval]. One worker does it for all, a piece a second: a store of a million messages is
 * walked without anybody noticing.
 */
import type { BrokerStore, RetainedCursor } from './ports.js';

/** Messages looked at in one second. */
const PIECE = 2000;

export class RetainedSweep {
  readonly #store: BrokerStore;
  #cursor: RetainedCursor | null = null;
  /** Milliseconds since the epoch. */
  #lastBegun: number;

  constructor(store: BrokerStore, now: number) {
    this.#store = store;
    this.#lastBegun = now;
  }

  /** Once a second. @param minutes between two sweeps; `undefined` = none @param now milliseconds since the epoch */
  tick(minutes: number | undefined, now: number): void {
    if (this.#cursor === null) {
      if (minutes === undefined || now - this.#lastBegun < minutes * 60_000) return;
      this.#lastBegun = now;
      this.#cursor = this.#store.retained.sweep(now);
    }
    this.#cursor.next(PIECE, () => {});
    if (this.#cursor.done) this.#cursor = null;
  }
}

/**
 * Decides when a bridge tries again, and at which address: waits between attempts [mosq: restart_timeout] and the
 * choice among several addresses [mosq: round_robin]. Pure: the time and the random numbers are passed in.
 */
import type { BridgeAddress, RestartTimeout } from '../config/option-types.js';

/** A number from 0 (inclusive) to 1 (exclusive). */
export type Random = () => number;

export interface Wait {
  /** Milliseconds. */
  delayMs: number;
  /** The last connection was up long enough for the waits to start from the shortest again. */
  wasStable: boolean;
}

/** Waits of one bridge, each drawn between the base and three times the one before, up to a cap. */
export class Backoff {
  readonly #timeout: RestartTimeout;
  readonly #random: Random;
  /** The last wait in milliseconds; 0 = none since the start, or since a stable connection. */
  #lastMs = 0;

  constructor(timeout: RestartTimeout, random: Random) {
    this.#timeout = timeout;
    this.#random = random;
  }

  /** @param connectedMs how long the connection that ended had stood; 0 = none came about */
  next(connectedMs: number): Wait {
    const timeout = this.#timeout;
    if (timeout.kind === 'constant') return { delayMs: timeout.seconds * 1000, wasStable: false };
    const baseMs = timeout.baseSeconds * 1000;
    if (connectedMs > 0 && connectedMs >= timeout.stableSeconds * 1000) {
      this.#lastMs = baseMs;
      return { delayMs: baseMs, wasStable: true };
    }
    const highestMs = this.#lastMs === 0 ? 2 * baseMs : 3 * this.#lastMs;
    const drawnMs = Math.round(baseMs + this.#random() * (highestMs - baseMs));
    this.#lastMs = Math.min(drawnMs, timeout.capSeconds * 1000);
    return { delayMs: this.#lastMs, wasStable: false };
  }
}

/** The addresses of one bridge, in the order in which they are tried. */
export class AddressList {
  readonly #addresses: readonly BridgeAddress[];
  readonly #roundRobin: boolean;
  #at = 0;

  constructor(addresses: readonly BridgeAddress[], roundRobin: boolean) {
    this.#addresses = addresses;
    this.#roundRobin = roundRobin;
  }

  get current(): BridgeAddress {
    return this.#addresses[this.#at]!;
  }

  get primary(): BridgeAddress {
    return this.#addresses[0]!;
  }

  /** The current address failed, or its connection was lost: the next one's turn. */
  moveOn(): void {
    this.#at = (this.#at + 1) % this.#addresses.length;
  }

  /** The primary address answers again. */
  backToPrimary(): void {
    this.#at = 0;
  }

  /** Whether it is worth asking if the primary address answers again. */
  get wantsProbe(): boolean {
    return !this.#roundRobin && this.#at !== 0;
  }
}

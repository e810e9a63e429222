/**
 * Paces a backlog once the bridge is connected again [bridge_max_drain_rate]. The allowance grows with the time, up to
 * that of a second, and each message uses one. Pure: the time is passed in.
 */
export class DrainPace {
  readonly #perSecond: number;
  #credit: number;
  #grantedAtMs: number;

  /** @param perSecond messages; 0 = as fast as they go */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#credit = Math.min(1, perSecond);
    this.#grantedAtMs = nowMs;
  }

  /** Whether one more message may leave. */
  get isOpen(): boolean {
    return this.#perSecond === 0 || this.#credit >= 1;
  }

  take(): void {
    this.#credit -= 1;
  }

  grant(nowMs: number): void {
    const earned = ((nowMs - this.#grantedAtMs) * this.#perSecond) / 1000;
    this.#credit = Math.min(this.#perSecond, this.#credit + earned);
    this.#grantedAtMs = nowMs;
  }
}

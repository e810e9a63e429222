/**
 * Slows down whoever keeps failing to log in: our own addition to Mosquitto's rules.
 *
 * After a few failures that cost nothing, a key gets its next turn only a while after the last one, twice as long
 * with each further failure, up to a longest delay. Turns follow one another, so that trying on many connections
 * at once gains nothing. One failure is forgotten every `forgetMs`, and all of them on success.
 *
 * The limiter reads no clock: times are milliseconds of any steady clock.
 */
import { assert } from '../base/assert.js';

export interface FailureLimits {
  /** Failures that cost nothing: a typing error, a device with an old password that is mended at once. */
  freeFailures: number;
  firstDelayMs: number;
  longestDelayMs: number;
  forgetMs: number;
  /** Keys remembered; beyond it the one that failed longest ago is forgotten. */
  keysMax: number;
}

interface FailureRecord {
  failures: number;
  /** From when on time counts towards forgetting the next failure. */
  forgettingSince: number;
  nextTurnAt: number;
}

export class FailureLimiter {
  readonly #limits: FailureLimits;
  /** In the order of the last failure. */
  readonly #records = new Map<string, FailureRecord>();

  constructor(limits: FailureLimits) {
    assert(limits.firstDelayMs > 0 && limits.firstDelayMs <= limits.longestDelayMs, 'delays grow');
    assert(
      limits.forgetMs > 0 && limits.keysMax > 0,
      'failures are forgotten one day, and some are remembered',
    );
    this.#limits = limits;
  }

  /**
   * Takes the key's next turn.
   *
   * @returns the milliseconds until then, 0 unless it failed too often; never more than the longest delay: beyond
   *   that, turns come together
   */
  takeTurn(key: string, now: number): number {
    const record = this.#records.get(key);
    if (record === undefined) return 0;
    this.#forget(key, record, now);
    const delayMs = this.#delayMs(record);
    if (delayMs === 0) return 0;
    const turnAt = Math.min(Math.max(now, record.nextTurnAt), now + this.#limits.longestDelayMs);
    record.nextTurnAt = turnAt + delayMs;
    return turnAt - now;
  }

  failed(key: string, now: number): void {
    const record = this.#records.get(key) ?? { failures: 0, forgettingSince: now, nextTurnAt: now };
    this.#forget(key, record, now);
    record.failures = Math.min(record.failures + 1, this.#failuresMax());
    record.nextTurnAt = Math.max(record.nextTurnAt, now + this.#delayMs(record));
    this.#records.delete(key);
    this.#records.set(key, record);
    if (this.#records.size > this.#limits.keysMax) this.#dropOldest();
  }

  /** The key has proved itself. */
  succeeded(key: string): void {
    this.#records.delete(key);
  }

  #delayMs({ failures }: FailureRecord): number {
    const { freeFailures, firstDelayMs, longestDelayMs } = this.#limits;
    if (failures <= freeFailures) return 0;
    return Math.min(longestDelayMs, firstDelayMs * 2 ** (failures - freeFailures - 1));
  }

  /** Enough for the longest delay; counting on would only make forgetting take longer. */
  #failuresMax(): number {
    const { freeFailures, firstDelayMs, longestDelayMs } = this.#limits;
    return freeFailures + 1 + Math.ceil(Math.log2(longestDelayMs / firstDelayMs));
  }

  #forget(key: string, record: FailureRecord, now: number): void {
    const { forgetMs } = this.#limits;
    const forgotten = Math.floor((now - record.forgettingSince) / forgetMs);
    if (forgotten <= 0) return;
    record.failures = Math.max(0, record.failures - forgotten);
    record.forgettingSince += forgotten * forgetMs;
    if (record.failures === 0) this.#records.delete(key);
  }

  #dropOldest(): void {
    for (const key of this.#records.keys()) {
      this.#records.delete(key);
      return;
    }
  }
}

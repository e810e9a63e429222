/**
 * Estimates how long the oldest message of a queue has been waiting, without a time for each message: now and then it
 * samples how many messages have ever joined the queue, and drops a sample when as many have left.
 *
 *   joined:  120 @ 10:00   150 @ 10:01   210 @ 10:05         left: 130  →  the oldest waits since about 10:01
 */

/** Samples at the most; beyond it every second one goes, and the age becomes coarser. */
const SAMPLES_MAX = 512;

export class BacklogAge {
  #samples: { joined: number; atMs: number }[] = [];

  /**
   * @param left how many messages have ever left the queue @param waiting how many are in it
   * @returns milliseconds; 0 if nothing waits
   */
  sample(left: number, waiting: number, nowMs: number): number {
    const joined = left + waiting;
    const done = this.#samples.findIndex((sample) => sample.joined > left);
    this.#samples = done < 0 ? [] : this.#samples.slice(done);
    if (waiting === 0) return 0;
    const last = this.#samples.at(-1);
    if (last === undefined || last.joined < joined) this.#samples.push({ joined, atMs: nowMs });
    if (this.#samples.length > SAMPLES_MAX)
      this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    return nowMs - this.#samples[0]!.atMs;
  }
}

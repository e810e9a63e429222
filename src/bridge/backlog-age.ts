/**
 * Estimates how long the oldest message of a queue has been waiting, without a time for each message: now and then it
 * samples how many messages have ever joined the queue, and drops a sample when as many have left.
 *
 *   joined:  120 @ 10:00   150 @ 10:01   210 @ 10:05         left: 130  →  the oldest waits since about 10:01
 */

/** Notes at the most; beyond it every second one goes, and the age becomes coarser. */
const NOTES_MAX = 512;

export class BacklogAge {
  #notes: { joined: number; atMs: number }[] = [];

  /**
   * @param left how many messages have ever left the queue @param waiting how many are in it
   * @returns milliseconds; 0 if nothing waits
   */
  note(left: number, waiting: number, nowMs: number): number {
    const joined = left + waiting;
    const done = this.#notes.findIndex((note) => note.joined > left);
    this.#notes = done < 0 ? [] : this.#notes.slice(done);
    if (waiting === 0) return 0;
    const last = this.#notes.at(-1);
    if (last === undefined || last.joined < joined) this.#notes.push({ joined, atMs: nowMs });
    if (this.#notes.length > NOTES_MAX) this.#notes = this.#notes.filter((_, index) => index % 2 === 0);
    return nowMs - this.#notes[0]!.atMs;
  }
}

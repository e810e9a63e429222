/**
 * Counts deaths of workers over the same stored session: each successor takes up what its predecessor fell over. After
 * the third one within a minute the session is set aside, and the rest is served.
 */

const DEATHS_MAX = 3;
const WINDOW_MS = 60_000;

export class StoredDeaths {
  /** By client id, when workers died: milliseconds. */
  readonly #deaths = new Map<string, number[]>();

  /** @param now milliseconds @returns whether the session is to be set aside */
  died(clientId: string, now: number): boolean {
    for (const [id, times] of this.#deaths) {
      if (now - times.at(-1)! > WINDOW_MS) this.#deaths.delete(id);
    }
    const times = (this.#deaths.get(clientId) ?? []).filter((time) => now - time <= WINDOW_MS);
    times.push(now);
    this.#deaths.set(clientId, times);
    if (times.length < DEATHS_MAX) return false;
    this.#deaths.delete(clientId);
    return true;
  }
}

/** Decides which worker runs which bridge. Pure; main owns it. */
import type { BridgeSettings } from '../../config/settings.js';

export class BridgeAssignment {
  readonly #workers = new Map<string, number>();
  #bridges: readonly BridgeSettings[] = [];
  #next = 0;

  /**
   * Takes new settings. Bridges that are known stay where they are; a new one goes to where its stored session is, or
   * to the workers in turn.
   * @param workerOf the worker of a client id's session
   */
  assign(
    bridges: readonly BridgeSettings[],
    workerCount: number,
    workerOf: (clientId: string) => number | undefined,
  ): void {
    this.#bridges = bridges;
    const names = new Set(bridges.map(({ name }) => name));
    for (const name of [...this.#workers.keys()]) if (!names.has(name)) this.#workers.delete(name);
    for (const { name, localClientid } of bridges) {
      if (this.#workers.has(name)) continue;
      this.#workers.set(name, workerOf(localClientid) ?? this.#next++ % workerCount);
    }
  }

  of(worker: number): BridgeSettings[] {
    return this.#bridges.filter(({ name }) => this.#workers.get(name) === worker);
  }
}

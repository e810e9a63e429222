/** How many messages to a client were dropped, and why: for the log, and for whoever counts. */
import type { DropReason } from './outbound.js';

export class Drops {
  /** Since the client connected, for want of room. */
  sinceConnect = 0;
  /** Counts for whoever wants to know, as a bridge; the owner's object. */
  counts: Record<DropReason, number> | null = null;
  /** All of them, by reason; `null` = none. */
  totals: Map<DropReason, number> | null = null;
  #unreported: Map<DropReason, number> | null = null;

  /** @returns whether the first message since the client connected is dropped for want of room */
  add(reason: DropReason): boolean {
    if (this.counts !== null) this.counts[reason] += 1;
    this.totals ??= new Map();
    this.totals.set(reason, (this.totals.get(reason) ?? 0) + 1);
    this.#unreported ??= new Map();
    this.#unreported.set(reason, (this.#unreported.get(reason) ?? 0) + 1);
    if (reason !== 'queue full' && reason !== 'memory' && reason !== 'backlog') return false;
    this.sinceConnect += 1;
    return this.sinceConnect === 1;
  }

  /** Those that are in no log line yet, by reason; `null` = none. */
  takeUnreported(): Map<DropReason, number> | null {
    const unreported = this.#unreported;
    this.#unreported = null;
    return unreported;
  }
}

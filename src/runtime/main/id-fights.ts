/**
 * Two clients with one client id: each connects again when the other has taken the session over, and neither stays
 * (a copied configuration, a device cloned from an image). The log names both, once a minute. Pure.
 */
import type { Takeover } from '../../routing/messages.js';

const WINDOW_MS = 60_000;

/** Takeovers within a minute: a client that has lost its network comes back once or twice. */
const TAKEOVERS_MIN = 3;

/** Client ids that are watched at once, so that a client with ever new ids does not fill the memory. */
const IDS_MAX = 1000;

interface Watched {
  /** When the minute began, in milliseconds since the epoch. */
  since: number;
  /** Takeovers since then. */
  count: number;
  /** The last takeover, and the one before it: in a fight, one of each client. */
  last: Takeover;
  before: Takeover | null;
}

export class IdFights {
  readonly #watched = new Map<string, Watched>();
  readonly #warn: (text: string) => void;

  constructor(warn: (text: string) => void) {
    this.#warn = warn;
  }

  /** @param now milliseconds since the epoch */
  takenOver(takeover: Takeover, now: number): void {
    const { clientId } = takeover;
    const known = this.#watched.get(clientId);
    if (known === undefined || now - known.since >= WINDOW_MS) {
      this.#watched.delete(clientId);
      if (this.#watched.size >= IDS_MAX) this.#watched.delete(this.#watched.keys().next().value!);
      const before = known?.last ?? null;
      this.#watched.set(clientId, { since: now, count: 1, last: takeover, before });
      return;
    }
    known.count += 1;
    known.before = known.last;
    known.last = takeover;
    if (known.count === TAKEOVERS_MIN) this.#warn(fightLine(clientId, known, now));
  }
}

function fightLine(clientId: string, { since, count, last, before }: Watched, now: number): string {
  const seconds = Math.max(1, Math.round((now - since) / 1000));
  const both = `${peerText(before!)} and ${peerText(last)}`;
  return `Warning: Client id ${clientId} was taken over ${count} times within ${seconds} s, at last from ${both}. Two clients seem to have this id: give one of them another.`;
}

function peerText({ address, username, connectedAt }: Takeover): string {
  const user = username === '' ? '' : `, user ${username}`;
  return `${address} (connected ${new Date(connectedAt).toISOString()}${user})`;
}

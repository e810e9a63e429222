/**
 * The directory of client ids: which worker has which. Main alone puts claims in order, so that two connections of a
 * client never both own its session. Pure: messages to workers are effects.
 *
 *   claim, id unknown or already on that worker ─► granted
 *   claim, id elsewhere, session not needed     ─► discard there, granted when done
 *   claim, id elsewhere, session wanted         ─► the connection is sent to where the session is
 */
import { appendAll } from '../../base/append-all.js';
import { Registry } from '../../base/registry.js';
import type { Claim, ClaimAnswer } from '../../routing/messages.js';

interface DirectoryRow {
  worker: number;
  /** The session may be stored. It was once, and whether it still is only the worker knows. */
  durable: boolean;
  /**
   * By the number of the claim, the wills that are to be sent if the worker dies; `null` = none. Usually there is one
   * at most, and two while a connection takes over another. Those of durable sessions are stored with them.
   */
  wills: Map<number, Uint8Array> | null;
  /** Claims that wait until the worker has discarded the session; `null` = it is not to. */
  waiting: { worker: number; claim: Claim }[] | null;
}

export interface DirectoryEffects {
  answer(worker: number, answer: ClaimAnswer): void;
  discard(worker: number, clientId: string): void;
}

export class ClientDirectory {
  readonly #rows = new Registry<DirectoryRow>();
  readonly #effects: DirectoryEffects;
  /** Client ids known at the most; 0 or less = no limit [mosq: global_max_clients]. */
  clientsMax: number;

  constructor(effects: DirectoryEffects, clientsMax: number) {
    this.#effects = effects;
    this.clientsMax = clientsMax;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** The worker on which the session of a client id lives. */
  workerOf(clientId: string): number | undefined {
    return this.#rows.get(clientId)?.worker;
  }

  claim(worker: number, claim: Claim): void {
    const { clientId } = claim;
    const row = this.#rows.get(clientId);
    if (row === undefined) {
      if (this.clientsMax > 0 && this.#rows.size >= this.clientsMax) {
        this.#effects.answer(worker, { id: claim.id, verdict: 'full' });
        return;
      }
      const created = { worker, durable: false, wills: null, waiting: null };
      this.#rows.set(clientId, created);
      this.#grant(created, claim);
    } else if (row.waiting !== null) {
      row.waiting.push({ worker, claim });
    } else {
      this.#claimKnown(row, worker, claim);
    }
  }

  #claimKnown(row: DirectoryRow, worker: number, claim: Claim): void {
    if (row.worker === worker) {
      this.#grant(row, claim);
    } else if (row.durable && !claim.cleanStart) {
      this.#effects.answer(worker, { id: claim.id, verdict: 'elsewhere', worker: row.worker });
    } else {
      row.waiting = [{ worker, claim }];
      this.#effects.discard(row.worker, claim.clientId);
    }
  }

  #grant(row: DirectoryRow, { id, durable, will }: Claim): void {
    if (durable) row.durable = true;
    else if (will !== null) (row.wills ??= new Map()).set(id, will);
    this.#effects.answer(row.worker, { id, verdict: 'granted' });
  }

  /** The worker has ended the session, as main asked: the claim that waits for the client id gets it. */
  discarded(clientId: string): void {
    const row = this.#rows.get(clientId);
    if (row === undefined || row.waiting === null) return;
    const { waiting } = row;
    this.#rows.delete(clientId);
    for (const { worker, claim } of waiting) this.claim(worker, claim);
  }

  /** A session ended by itself. A session that is being discarded ends with `discarded`. */
  sessionEnded(worker: number, clientId: string): void {
    const row = this.#rows.get(clientId);
    if (row?.worker === worker && row.waiting === null) this.#rows.delete(clientId);
  }

  /** The will of that claim is sent or deleted; a later claim's will stands. */
  willDone(worker: number, clientId: string, claim: number): void {
    const row = this.#rows.get(clientId);
    if (row?.worker === worker) row.wills?.delete(claim);
  }

  /** A stored session, at the start: it lives on this worker from now on. */
  restore(worker: number, clientId: string): void {
    this.#rows.set(clientId, { worker, durable: true, wills: null, waiting: null });
  }

  /**
   * A worker died. Its stored sessions are taken up by the worker that replaces it under the same number; of the
   * others nothing is left but the wills, which nobody else will send now.
   */
  workerDied(worker: number): { wills: Uint8Array[]; sessions: string[] } {
    const wills: Uint8Array[] = [];
    const sessions: string[] = [];
    for (const [clientId, row] of this.#rows) {
      row.waiting = row.waiting?.filter((waiting) => waiting.worker !== worker) ?? null;
      if (row.worker !== worker) continue;
      if (row.wills !== null) appendAll(wills, row.wills.values());
      row.wills = null;
      if (!row.durable) {
        this.#rows.delete(clientId);
        for (const { worker: other, claim } of row.waiting ?? []) this.claim(other, claim);
        continue;
      }
      sessions.push(clientId);
      if (row.waiting?.length === 0) row.waiting = null;
      else if (row.waiting !== null) this.#effects.discard(worker, clientId);
    }
    return { wills, sessions };
  }
}

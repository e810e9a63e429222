/**
 * A worker's side of main's directory of client ids: what the broker core tells main is collected over a turn of
 * the event loop and posted as one message.
 */
import type { MessagePort } from 'node:worker_threads';
import { NumberMap } from '../../base/number-map.js';
import type { Directory, Transport } from '../../broker/ports.js';
import { postWithPort } from '../../net/relay.js';
import type { Claim, ClaimAnswer, Takeover, WorkerToMain } from '../../routing/messages.js';

export class WorkerDirectory implements Directory {
  readonly #port: MessagePort;
  #nextClaim = 0;
  readonly #unanswered = new NumberMap<{ clientId: string; answer: (answer: ClaimAnswer) => void }>();
  /** Client ids with unanswered claims, and how many. */
  readonly #claiming = new Map<string, number>();
  #claims: Claim[] = [];
  #willsDone: [clientId: string, claim: number][] = [];
  #takeovers: Takeover[] = [];
  #endedSessions: string[] = [];
  #closed: number[] = [];
  #scheduled = false;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  claim(claim: Omit<Claim, 'id'>, answer: (answer: ClaimAnswer) => void): number {
    this.#nextClaim += 1;
    const id = this.#nextClaim;
    this.#unanswered.set(id, { clientId: claim.clientId, answer });
    this.#claiming.set(claim.clientId, (this.#claiming.get(claim.clientId) ?? 0) + 1);
    this.#claims.push({ ...claim, id });
    this.#schedule();
    return id;
  }

  willDone(clientId: string, claim: number): void {
    this.#willsDone.push([clientId, claim]);
    this.#schedule();
  }

  takenOver(takeover: Takeover): void {
    this.#takeovers.push(takeover);
    this.#schedule();
  }

  /** While another claim to the id is unanswered, the id is still wanted here. */
  sessionEnded(clientId: string): void {
    if (this.#claiming.has(clientId)) return;
    this.#endedSessions.push(clientId);
    this.#schedule();
  }

  closed(listener: number): void {
    this.#closed.push(listener);
    this.#schedule();
  }

  pass(worker: number, transport: Transport, received: Uint8Array): void {
    const { listener, remoteAddress, remotePort, tls } = transport;
    const detached = transport.detach();
    if (detached === null) {
      this.closed(listener);
      return;
    }
    this.flush();
    const { handover, unread } = detached;
    const connection = {
      handover,
      listener,
      remoteAddress,
      remotePort,
      tls,
      received: unread.length === 0 ? received : new Uint8Array(Buffer.concat([received, unread])),
    };
    const message: WorkerToMain = { kind: 'pass', worker, connection };
    if (typeof handover === 'number') this.#port.postMessage(message);
    else if (!postWithPort(this.#port, message, handover)) this.closed(listener);
  }

  /** Main's answer to a claim. */
  answered(answer: ClaimAnswer): void {
    const claim = this.#unanswered.get(answer.id);
    if (claim === undefined) return;
    this.#unanswered.delete(answer.id);
    this.#forgetClaim(claim.clientId);
    claim.answer(answer);
  }

  #forgetClaim(clientId: string): void {
    const left = this.#claiming.get(clientId)! - 1;
    if (left > 0) this.#claiming.set(clientId, left);
    else this.#claiming.delete(clientId);
  }

  flush(): void {
    this.#scheduled = false;
    const messages: WorkerToMain[] = [];
    if (this.#willsDone.length > 0) {
      messages.push({ kind: 'wills-done', wills: this.#willsDone });
      this.#willsDone = [];
    }
    if (this.#takeovers.length > 0) {
      messages.push({ kind: 'taken-over', takeovers: this.#takeovers });
      this.#takeovers = [];
    }
    if (this.#endedSessions.length > 0) {
      messages.push({ kind: 'sessions-ended', clientIds: this.#endedSessions });
      this.#endedSessions = [];
    }
    if (this.#claims.length > 0) {
      messages.push({ kind: 'claims', claims: this.#claims });
      this.#claims = [];
    }
    if (this.#closed.length > 0) {
      messages.push({ kind: 'closed', listeners: this.#closed });
      this.#closed = [];
    }
    if (messages.length > 1) this.#post({ kind: 'together', messages });
    else if (messages.length === 1) this.#post(messages[0]!);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  #post(message: WorkerToMain): void {
    this.#port.postMessage(message);
  }
}

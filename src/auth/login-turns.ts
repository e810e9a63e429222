/**
 * Attempts of one user from one address that have to wait because earlier ones have failed: each is looked at when it
 * has its turn, and nobody is told that a password is wrong that was not looked at.
 *
 * More may come than there are turns: a device with an old password that tries again and again, behind the same proxy
 * as one with the right password. So client ids that have not failed go before those that have, and the newest first:
 * its client is still there. Of more than `waitingMax` the oldest one is sent away as the server is busy.
 */
import type { FailureLimiter } from './failure-limiter.js';

export interface LoginTurnsPorts {
  /** Milliseconds of a steady clock. */
  now(): number;
  wait(ms: number): Promise<void>;
}

/** Client ids of a key that are remembered because they have failed. */
const FAILED_IDS_MAX = 32;

/** Characters of a client id that are remembered. */
const ID_LENGTH_MAX = 64;

interface Attempt {
  clientId: string;
  isGone: () => boolean;
  /** @param hasTurn false = it is sent away */
  go: (hasTurn: boolean) => void;
}

export class LoginTurns {
  readonly #limiter: FailureLimiter;
  readonly #ports: LoginTurnsPorts;
  readonly #waitingMax: number;
  /** By key, those that wait. */
  readonly #waiting = new Map<string, Attempt[]>();
  /** By key, as far as attempts wait. */
  readonly #failedIds = new Map<string, Set<string>>();

  constructor(limiter: FailureLimiter, ports: LoginTurnsPorts, waitingMax: number) {
    this.#limiter = limiter;
    this.#ports = ports;
    this.#waitingMax = waitingMax;
  }

  /** @returns whether the attempt is to be looked at; if it has to wait, once it has its turn */
  take(key: string, clientId: string, isGone: () => boolean): true | Promise<boolean> {
    const waiting = this.#waiting.get(key);
    if (waiting === undefined) {
      const firstMs = this.#limiter.takeTurn(key, this.#ports.now());
      if (firstMs === 0) return true;
      const list: Attempt[] = [];
      this.#waiting.set(key, list);
      const result = this.#join(key, list, clientId, isGone);
      void this.#giveTurns(key, list, firstMs);
      return result;
    }
    return this.#join(key, waiting, clientId, isGone);
  }

  failed(key: string, clientId: string): void {
    this.#limiter.failed(key, this.#ports.now());
    if (!this.#waiting.has(key)) return;
    let ids = this.#failedIds.get(key);
    if (ids === undefined) {
      ids = new Set();
      this.#failedIds.set(key, ids);
    }
    if (ids.size < FAILED_IDS_MAX) ids.add(clientId.slice(0, ID_LENGTH_MAX));
  }

  #join(key: string, waiting: Attempt[], clientId: string, isGone: () => boolean): Promise<boolean> {
    return new Promise((go) => {
      waiting.push({ clientId: clientId.slice(0, ID_LENGTH_MAX), isGone, go });
      if (waiting.length <= this.#waitingMax) return;
      const ids = this.#failedIds.get(key);
      const oldest = waiting.findIndex((attempt) => ids?.has(attempt.clientId));
      waiting.splice(Math.max(0, oldest), 1)[0]!.go(false);
    });
  }

  async #giveTurns(key: string, waiting: Attempt[], firstMs: number): Promise<void> {
    for (let ms = firstMs; ; ms = this.#limiter.takeTurn(key, this.#ports.now())) {
      if (ms > 0) await this.#ports.wait(ms);
      this.#next(key, waiting)?.go(true);
      if (waiting.length === 0) break;
    }
    this.#waiting.delete(key);
    this.#failedIds.delete(key);
  }

  #next(key: string, waiting: Attempt[]): Attempt | undefined {
    for (let at = waiting.length - 1; at >= 0; at -= 1) {
      if (waiting[at]!.isGone()) waiting.splice(at, 1)[0]!.go(false);
    }
    const ids = this.#failedIds.get(key);
    const newest = waiting.findLastIndex(({ clientId }) => !ids?.has(clientId));
    return waiting.splice(newest < 0 ? waiting.length - 1 : newest, 1)[0];
  }
}

/**
 * What becomes of an exception that nobody expected, thrown while one piece of input was worked on: a read of a
 * connection, a handshake, an HTTP request, a message of another thread. It costs that connection and nothing else,
 * unless the thread's own state may be wrong (src/ARCHITECTURE.md, "A fault in one input").
 */
import { AssertionError } from '../base/assert.js';
import type { Log } from '../log/log.js';
import { inputFault } from '../log/mosquitto-lines.js';

/** Lines a minute: who has found such an input sends it again and again. */
const LINES_MAX = 5;
const WINDOW_MS = 60_000;

/** Lines of a stack that are written. */
const STACK_LINES_MAX = 8;

export interface FaultyInput {
  /** Whose it is: client id and address, or what else is known. */
  from: string;
  /** What it is: `a PUBLISH packet`, `a TLS handshake`. */
  what: string;
}

export interface InputGuardOptions {
  log: Log;
  /** False if something that all clients share was being changed when the exception came. */
  isWhole: () => boolean;
  /** One more was caught. */
  count: () => void;
  /** Milliseconds since the epoch. */
  clock: () => number;
}

export class InputGuard {
  readonly #options: InputGuardOptions;
  #windowEndsAt = 0;
  #written = 0;
  #unwritten = 0;

  constructor(options: InputGuardOptions) {
    this.#options = options;
  }

  /**
   * To be called first thing with what was caught; the caller then ends the connection.
   * @throws the error, if the thread has to fall over it
   */
  caught(error: unknown, { from, what }: FaultyInput): void {
    const { log, isWhole, count, clock } = this.#options;
    if (error instanceof AssertionError || !isWhole()) throw error;
    count();
    const now = clock();
    if (now >= this.#windowEndsAt) {
      this.#windowEndsAt = now + WINDOW_MS;
      this.#written = 0;
    }
    if (this.#written === LINES_MAX) {
      this.#unwritten += 1;
      return;
    }
    this.#written += 1;
    log.write('error', inputFault(from, what, stackOf(error), this.#unwritten));
    this.#unwritten = 0;
  }
}

function stackOf(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return text
    .split('\n')
    .slice(0, STACK_LINES_MAX)
    .map((line) => line.trim())
    .join(' | ');
}

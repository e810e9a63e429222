/**
 * The interface of the log for the rest of the program, and its implementation for workers. That one touches no file
 * and no socket: it sends its lines to main in one message per turn of the event loop.
 */
import { LINE_BYTES_MAX } from './line-format.js';
import { LogMask, type LogType } from './log-types.js';

export { LogMask, type LogType } from './log-types.js';

/**
 * Takes lines. A caller on a hot path asks first, so that nothing is formatted in vain:
 *
 *     if ((log.mask & LogMask.debug) !== 0) log.write('debug', sendingPingresp(clientId));
 *
 * Elsewhere `write` alone will do: it drops lines of a type that is not wanted.
 */
export interface Log {
  /** The types that are wanted now, bits of `LogMask`; changes at a reload. */
  readonly mask: number;
  /** @param text one line, without timestamp and line end; see `mosquitto-lines.ts`. Never throws, never blocks. */
  write(type: LogType, text: string): void;
}

/** `[type, text, milliseconds since the epoch]`, as it crosses threads. */
export type LogLine = [type: LogType, text: string, time: number];

export interface WorkerLogOptions {
  mask: number;
  /** Hands lines to main; called at most once per turn of the event loop. */
  post(lines: LogLine[]): void;
  /** How many lines wait for the end of a turn before further ones are dropped and counted. */
  pendingLinesMax?: number;
}

const PENDING_LINES_MAX = 10_000;

/** The log of a worker thread. */
export class WorkerLog implements Log {
  mask: number;
  readonly #post: (lines: LogLine[]) => void;
  readonly #pendingLinesMax: number;
  #pending: LogLine[] = [];
  #dropped = 0;

  constructor({ mask, post, pendingLinesMax = PENDING_LINES_MAX }: WorkerLogOptions) {
    this.mask = mask;
    this.#post = post;
    this.#pendingLinesMax = pendingLinesMax;
  }

  write(type: LogType, text: string): void {
    if ((this.mask & LogMask[type]) === 0) return;
    if (this.#pending.length >= this.#pendingLinesMax) {
      this.#dropped += 1;
      return;
    }
    if (this.#pending.length === 0) setImmediate(this.flush);
    // Main cuts lines at as many bytes, so what lies behind them need not cross.
    this.#pending.push([type, text.slice(0, LINE_BYTES_MAX), Date.now()]);
  }

  /** Posts what is pending now, for a worker that is about to end. */
  readonly flush = (): void => {
    const lines = this.#pending;
    if (lines.length === 0) return;
    this.#pending = [];
    if (this.#dropped > 0) {
      lines.push(['warning', `${this.#dropped} log lines were dropped: too many at once.`, Date.now()]);
      this.#dropped = 0;
    }
    this.#post(lines);
  };
}

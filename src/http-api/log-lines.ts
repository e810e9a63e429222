/** The last lines of the log, for `/api/v1/log`. */
import type { LogLine } from '../log/log.js';

const LINES_MAX = 500;

export class LogLines {
  readonly #lines: LogLine[] = [];

  add(line: LogLine): void {
    if (this.#lines.length === LINES_MAX) this.#lines.shift();
    this.#lines.push(line);
  }

  /** The oldest first. */
  get all(): readonly LogLine[] {
    return this.#lines;
  }
}

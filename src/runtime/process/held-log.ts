/**
 * Holds log lines until the log is open: listeners are opened before the log is, because only root may bind some ports, and the log
 * file is to belong to the user that the broker runs as.
 */
import type { Log, LogType } from '../../log/log.js';
import { logMaskAll } from '../../log/log-types.js';

export class HeldLog implements Log {
  #log: Log | null = null;
  #held: [type: LogType, text: string][] = [];

  get mask(): number {
    return this.#log?.mask ?? logMaskAll;
  }

  write(type: LogType, text: string): void {
    if (this.#log === null) this.#held.push([type, text]);
    else this.#log.write(type, text);
  }

  /** What was written goes to `log`, and from now on everything else. */
  release(log: Log): void {
    this.#log = log;
    for (const [type, text] of this.#held) log.write(type, text);
    this.#held = [];
  }
}

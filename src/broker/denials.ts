/**
 * Tells why messages are not taken: the rule that decided, with its file and line. A device with a wrong topic sends
 * it again and again, so only a few lines a while are written, and the rest is counted.
 */
import type { TopicAcl } from '../auth/acl-check.js';
import type { Log } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';

const LINES_MAX = 10;
const WINDOW_MS = 10_000;

export class DenialLog {
  readonly #log: Log;
  #windowEndsAt = 0;
  #written = 0;
  #unwritten = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param now milliseconds since the epoch */
  denied(clientId: string, topic: string, acl: TopicAcl, now: number): void {
    if (now >= this.#windowEndsAt) this.#beginWindow(now);
    if (this.#written < LINES_MAX) {
      this.#written += 1;
      this.#log.write('notice', lines.deniedBecause(clientId, topic, acl.explain(topic, 'write').why));
    } else {
      this.#unwritten += 1;
    }
  }

  /** Once a second. @param now milliseconds since the epoch */
  tick(now: number): void {
    if (this.#unwritten > 0 && now >= this.#windowEndsAt) this.#beginWindow(now);
  }

  #beginWindow(now: number): void {
    if (this.#unwritten > 0) this.#log.write('notice', lines.furtherDenials(this.#unwritten));
    this.#windowEndsAt = now + WINDOW_MS;
    this.#written = 0;
    this.#unwritten = 0;
  }
}

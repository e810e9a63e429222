/**
 * When the store is saved: one save at a time, started by `tick` as `autosave_interval` and `autosave_on_changes`
 * say, or by `save` (SIGUSR1, orderly end).
 */

export interface AutosaveOptions {
  /** `autosave_interval`: seconds, or changes; 0 = only by `save`. */
  interval: number;
  /** `autosave_on_changes`: the interval is a number of changes. */
  onChanges: boolean;
  changes: ChangeCounter;
  /**
   * Has every worker write what it holds and saves all of it.
   * @returns the bytes written to the saved file; `undefined` if nothing has changed
   */
  write: () => Promise<{ bytes: number } | undefined>;
  /** Milliseconds since the epoch. */
  now: () => number;
  onSaved?: (report: SaveReport) => void;
  /** A save failed, the first one in a row; it is tried again. */
  onFailure?: (error: Error) => void;
  onRecovery?: () => void;
}

export interface SaveReport {
  /** Milliseconds since the epoch. */
  finishedAt: number;
  durationMs: number;
  bytes: number;
}

/** A save may take a tenth of the time: on a slow card a short interval becomes a longer one. */
const REST_PER_SAVE = 10;

const RETRY_MS = 10_000;

export class Autosave {
  readonly #options: AutosaveOptions;
  #interval: number;
  #onChanges: boolean;
  #running: Promise<boolean> | undefined;
  #startedAt: number;
  #lastDurationMs = 0;
  #failing = false;
  #bytesWritten = 0;
  #last: SaveReport | undefined;

  constructor(options: AutosaveOptions) {
    this.#options = options;
    this.#interval = options.interval;
    this.#onChanges = options.onChanges;
    this.#startedAt = options.now();
  }

  get last(): SaveReport | undefined {
    return this.#last;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Bytes of all saves since the start. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Whether the last save failed. */
  get failing(): boolean {
    return this.#failing;
  }

  /** New values of the options, at a reload. */
  configure(interval: number, onChanges: boolean): void {
    this.#interval = interval;
    this.#onChanges = onChanges;
  }

  /** Called about once a second: saves if it is time. */
  tick(): void {
    if (this.#running === undefined && this.isDue) void this.save();
  }

  /**
   * Saves now. While a save is under way, another one follows it, because that one may have missed something.
   * @returns whether it succeeded; failures are reported, not thrown
   */
  async save(): Promise<boolean> {
    while (this.#running !== undefined) await this.#running;
    this.#running = this.#saveOnce();
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Whether it is time for a save. */
  get isDue(): boolean {
    const elapsed = this.#options.now() - this.#startedAt;
    if (elapsed < this.#lastDurationMs * REST_PER_SAVE) return false;
    if (this.#failing) return elapsed >= RETRY_MS;
    if (this.#interval === 0) return false;
    if (this.#onChanges) return this.#options.changes.count >= this.#interval;
    return elapsed >= this.#interval * 1000;
  }

  async #saveOnce(): Promise<boolean> {
    const { now, changes, write } = this.#options;
    this.#startedAt = now();
    changes.reset();
    let written: { bytes: number } | undefined;
    try {
      written = await write();
    } catch (error) {
      this.#noteFailure(error as Error);
      return false;
    }
    this.#noteSuccess(written?.bytes);
    return true;
  }

  /** @param bytes `undefined` if there was nothing to save */
  #noteSuccess(bytes: number | undefined): void {
    const { now, onSaved, onRecovery } = this.#options;
    const recovered = this.#failing;
    this.#failing = false;
    if (recovered) onRecovery?.();
    if (bytes === undefined) return;
    const finishedAt = now();
    const durationMs = Math.max(0, finishedAt - this.#startedAt); // a clock may be set back
    this.#lastDurationMs = durationMs;
    this.#bytesWritten += bytes;
    this.#last = { finishedAt, durationMs, bytes };
    onSaved?.(this.#last);
  }

  #noteFailure(error: Error): void {
    const first = !this.#failing;
    this.#failing = true;
    if (first) this.#options.onFailure?.(error);
  }
}

/**
 * Counts what Mosquitto counts for `autosave_on_changes`: accepted CONNECTs without clean start, SUBSCRIBE and
 * UNSUBSCRIBE packets, retained messages set or cleared (not below $SYS), messages put into a queue, outgoing QoS 1
 * and 2 messages completed [mosq: autosave_on_changes]. Shared by all threads.
 */
export class ChangeCounter {
  /** To be given to the other threads. */
  readonly memory: SharedArrayBuffer;
  readonly #cell: Int32Array;

  constructor(memory = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#cell = new Int32Array(memory);
  }

  get count(): number {
    return Atomics.load(this.#cell, 0);
  }

  add(): void {
    Atomics.add(this.#cell, 0, 1);
  }

  reset(): void {
    Atomics.store(this.#cell, 0, 0);
  }
}

/**
 * The stored session that a worker works on, in memory that main reads once the worker has died: whose record it was
 * that three workers in a row could not take.
 */

/** Bytes of the longest client id. */
const TEXT_MAX = 0xffff;

export class WorkingRecord {
  readonly #length: Int32Array;
  readonly #text: Buffer;

  /** @param shared from `create` */
  constructor(shared: SharedArrayBuffer) {
    this.#length = new Int32Array(shared, 0, 1);
    this.#text = Buffer.from(shared, Int32Array.BYTES_PER_ELEMENT);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT + TEXT_MAX);
  }

  begin(clientId: string): void {
    this.#length[0] = this.#text.write(clientId);
  }

  end(): void {
    this.#length[0] = 0;
  }

  /** `null` if none is worked on. */
  get clientId(): string | null {
    const length = this.#length[0]!;
    return length === 0 ? null : this.#text.toString('utf8', 0, length);
  }
}

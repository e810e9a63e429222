/** Lines from chunks of bytes. Does no I/O. */

const NEWLINE = 0x0a;

export class LineReader {
  #chunks: Buffer[] = [];
  /** The offset of the next line in the first chunk. */
  #at = 0;
  #hasEnded = false;
  #bytesTaken = 0;
  /** Where the newline of the next line lies: its chunk's index and position; `undefined` = not found or not sought. */
  #newline: { chunk: number; at: number } | undefined;
  /** Chunks before this one have no newline. */
  #searched = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  /** The input has ended: the bytes after the last newline, if any, are a line. */
  end(): void {
    this.#hasEnded = true;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Bytes of the lines taken so far. */
  get bytesTaken(): number {
    return this.#bytesTaken;
  }

  get hasLine(): boolean {
    if (this.#findNewline() !== undefined) return true;
    return this.#hasEnded && this.#chunks.some((chunk, index) => chunk.length > (index === 0 ? this.#at : 0));
  }

  /**
   * The next line without its newline. `undefined`: no line yet, or no more. If the line lies in one chunk, the bytes
   * are those of the chunk, not a copy.
   */
  next(): Buffer | undefined {
    if (!this.hasLine) return undefined;
    const newline = this.#newline ?? { chunk: this.#chunks.length - 1, at: this.#chunks.at(-1)!.length };
    const line = this.#cut(newline.chunk, newline.at);
    this.#bytesTaken += line.length + 1;
    this.#chunks.splice(0, newline.chunk);
    this.#at = newline.at + 1;
    this.#newline = undefined;
    this.#searched = 0;
    if (this.#at >= this.#chunks[0]!.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
    return line;
  }

  #findNewline(): { chunk: number; at: number } | undefined {
    while (this.#newline === undefined && this.#searched < this.#chunks.length) {
      const start = this.#searched === 0 ? this.#at : 0;
      const at = this.#chunks[this.#searched]!.indexOf(NEWLINE, start);
      if (at >= 0) this.#newline = { chunk: this.#searched, at };
      else this.#searched += 1;
    }
    return this.#newline;
  }

  /** The bytes from the next line's beginning to `at` in chunk number `last`. */
  #cut(last: number, at: number): Buffer {
    if (last === 0) return this.#chunks[0]!.subarray(this.#at, at);
    const middle = this.#chunks.slice(1, last);
    return Buffer.concat([
      this.#chunks[0]!.subarray(this.#at),
      ...middle,
      this.#chunks[last]!.subarray(0, at),
    ]);
  }
}

/**
 * Asks for a password on standard input: without echo on a terminal, line by line from a pipe.
 *
 * On a terminal the input is raw, so the keys that edit a line are answered here.
 */

import type { ReadStream, WriteStream } from 'node:tty';
import { appendAll } from '../../base/append-all.js';

const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACE = 0x08;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const CTRL_U = 0x15;
const DELETE = 0x7f;

export class PasswordPrompt {
  readonly #input: ReadStream;
  readonly #output: WriteStream;
  /** Bytes that were read after the end of the last line. */
  #pending: number[] = [];
  #ended = false;

  /** @param output where the prompts go */
  constructor(input: ReadStream, output: WriteStream) {
    this.#input = input;
    this.#output = output;
  }

  /** @returns the bytes of one line; null for Ctrl-C */
  async ask(prompt: string): Promise<Buffer | null> {
    const terminal = this.#input.isTTY === true;
    // Echo is off before the prompt appears, for users who type at once.
    if (terminal) this.#input.setRawMode(true);
    this.#output.write(prompt);
    try {
      return await this.#readLine(terminal);
    } finally {
      if (terminal) this.#input.setRawMode(false);
      this.#input.pause();
      this.#output.write('\n');
    }
  }

  async #readLine(terminal: boolean): Promise<Buffer | null> {
    const line: number[] = [];
    for (;;) {
      const byte = this.#pending.shift();
      if (byte === undefined) {
        if (this.#ended || !(await this.#readMore())) return Buffer.from(line);
      } else if (byte === LINE_FEED || byte === CARRIAGE_RETURN) {
        // A pipe may have the line ends of Windows.
        if (byte === CARRIAGE_RETURN && this.#pending[0] === LINE_FEED) this.#pending.shift();
        return Buffer.from(line);
      } else if (!terminal) {
        line.push(byte);
      } else if (byte === CTRL_C) {
        return null;
      } else if (byte === CTRL_D) {
        return Buffer.from(line);
      } else {
        edit(line, byte);
      }
    }
  }

  /** @returns false at the end of the input */
  async #readMore(): Promise<boolean> {
    const chunk = await new Promise<Buffer | null>((resolve) => {
      const onData = (data: Buffer) => settle(data);
      const onEnd = () => settle(null);
      const settle = (result: Buffer | null) => {
        this.#input.off('data', onData).off('end', onEnd).off('error', onEnd);
        this.#input.pause();
        resolve(result);
      };
      this.#input.on('data', onData).on('end', onEnd).on('error', onEnd);
      this.#input.resume();
    });
    if (chunk === null) this.#ended = true;
    else appendAll(this.#pending, chunk);
    return chunk !== null;
  }
}

function edit(line: number[], byte: number): void {
  if (byte === CTRL_U) {
    line.length = 0;
  } else if (byte === BACKSPACE || byte === DELETE) {
    // The whole character: its following bytes look like 10xxxxxx in UTF-8.
    let last = line.pop();
    while (last !== undefined && (last & 0xc0) === 0x80) last = line.pop();
  } else {
    line.push(byte);
  }
}

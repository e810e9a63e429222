/**
 * Writes lines to one descriptor and never makes the thread wait for it.
 *
 *   write() ──► waiting, a bounded string ──one chunk per turn──► chunk ──► descriptor
 *
 * A pipe is written on this thread, without blocking, and tried again when it was full. Everything else is written on
 * Node's thread pool, because a card that is busy may hold a write for seconds. What does not fit while a descriptor
 * is stalled is dropped and counted, and one line says so when it goes on.
 *
 * Pino's own destination is not used: its `flushSync` leaves out a chunk that waits for a full pipe, and a write that
 * waits in the thread pool keeps the process from ending.
 */

import { close, closeSync, write, writeSync } from 'node:fs';
import { assert } from '../base/assert.js';
import { NO_BYTES } from '../base/no-bytes.js';

/** Characters that wait for a stalled descriptor, some 40,000 lines. */
const WAITING_LENGTH_MAX = 4 * 1024 * 1024;

/** Before a full pipe is tried again: doubled from the first to the second while it stays full. */
const FULL_RETRY_MIN_MS = 2;
const FULL_RETRY_MAX_MS = 100;

/** Before a failing descriptor is tried again, such as a file on a full disk. */
const FAULT_RETRY_MS = 1000;

/** How long `flushSync` waits for a full pipe altogether. */
const FLUSH_MAX_MS = 500;

/** How long `flushSync` leaves the thread pool to end the write that it is at, to keep the order of lines. */
const POOL_HEAD_START_MS = 5;

/** The other end is gone for good. */
const PERMANENT_FAULTS = new Set(['EPIPE', 'EBADF', 'ECONNRESET']);

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

const sleep = (milliseconds: number) => Atomics.wait(sleepCell, 0, 0, milliseconds);

export interface LineWriterOptions {
  fd: number;
  /** The descriptor answers EAGAIN rather than wait. */
  nonBlocking: boolean;
  /** @returns the line, with its line end, that reports dropped lines */
  droppedLine(count: number): string;
  waitingLengthMax?: number;
}

/**
 * idle: nothing to write · scheduled: at the end of this turn · writing: on the thread pool · retrying: a timer runs ·
 * broken: the other end is gone · closed.
 */
type State = 'idle' | 'scheduled' | 'writing' | 'retrying' | 'broken' | 'closed';

export class LineWriter {
  #fd: number;
  /** Takes the descriptor's place when the write on the thread pool is over. */
  #nextFd: number | null = null;
  readonly #nonBlocking: boolean;
  readonly #droppedLine: (count: number) => string;
  readonly #waitingLengthMax: number;
  #state: State = 'idle';
  #waiting = '';
  #chunk: Buffer = NO_BYTES;
  /** How much of the chunk is written. */
  #offset = 0;
  #dropped = 0;
  #retryMs = FULL_RETRY_MIN_MS;
  #onClosed: (() => void) | null = null;

  constructor({ fd, nonBlocking, droppedLine, waitingLengthMax = WAITING_LENGTH_MAX }: LineWriterOptions) {
    assert(fd >= 0, 'a line writer needs an open descriptor');
    this.#fd = fd;
    this.#nonBlocking = nonBlocking;
    this.#droppedLine = droppedLine;
    this.#waitingLengthMax = waitingLengthMax;
  }

  /** @param line with its line end */
  write(line: string): void {
    if (this.#state === 'broken' || this.#onClosed !== null) return;
    if (this.#waiting.length + line.length > this.#waitingLengthMax) {
      this.#dropped += 1;
      return;
    }
    this.#waiting += line;
    if (this.#state === 'idle') {
      this.#state = 'scheduled';
      setImmediate(() => {
        if (this.#state === 'scheduled') this.#proceed();
      });
    }
  }

  /**
   * Goes on with another descriptor; lines that wait go there, none is lost. The old one is closed.
   */
  replaceDescriptor(fd: number): void {
    if (this.#state === 'writing') {
      if (this.#nextFd !== null) closeSync(this.#nextFd);
      this.#nextFd = fd;
      return;
    }
    this.#switchTo(fd);
    if (this.#state === 'retrying' || this.#state === 'broken') this.#proceed();
  }

  #switchTo(fd: number): void {
    // Aside: closing a file of a network or a dying disk may wait.
    close(this.#fd, () => {});
    this.#fd = fd;
  }

  #proceed(): void {
    if (this.#nonBlocking) this.#writeHere();
    else this.#writeAside();
  }

  #writeHere(): void {
    try {
      while (this.#hasChunk()) this.#written(writeSync(this.#fd, this.#chunk, this.#offset));
      this.#rest();
    } catch (error) {
      this.#failed(error as NodeJS.ErrnoException);
    }
  }

  #writeAside(): void {
    if (!this.#hasChunk()) {
      this.#rest();
      return;
    }
    this.#state = 'writing';
    const chunk = this.#chunk;
    write(this.#fd, chunk, this.#offset, chunk.length - this.#offset, null, (error, bytes) => {
      if (this.#nextFd !== null) {
        this.#switchTo(this.#nextFd);
        this.#nextFd = null;
      }
      if (error !== null) {
        this.#failed(error);
        return;
      }
      if (chunk === this.#chunk) this.#written(bytes);
      this.#writeAside();
    });
  }

  /** Whether there is something to write: the rest of the chunk, or what waited becomes the next. */
  #hasChunk(): boolean {
    if (this.#offset < this.#chunk.length) return true;
    if (this.#dropped > 0) {
      this.#waiting += this.#droppedLine(this.#dropped);
      this.#dropped = 0;
    }
    this.#chunk = this.#waiting === '' ? NO_BYTES : Buffer.from(this.#waiting);
    this.#offset = 0;
    this.#waiting = '';
    return this.#chunk.length > 0;
  }

  #written(bytes: number): void {
    this.#offset += bytes;
    this.#retryMs = FULL_RETRY_MIN_MS;
  }

  #rest(): void {
    this.#state = 'idle';
    if (this.#onClosed !== null) this.#end();
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (PERMANENT_FAULTS.has(error.code ?? '')) {
      this.#break();
      return;
    }
    this.#state = 'retrying';
    const isFull = error.code === 'EAGAIN';
    // Not to keep a process that has nothing else to do: what waits is flushed at its exit.
    setTimeout(
      () => {
        if (this.#state === 'retrying') this.#proceed();
      },
      isFull ? this.#retryMs : FAULT_RETRY_MS,
    ).unref();
    if (isFull) this.#retryMs = Math.min(this.#retryMs * 2, FULL_RETRY_MAX_MS);
  }

  #break(): void {
    this.#state = 'broken';
    this.#discard();
    if (this.#onClosed !== null) this.#end();
  }

  #discard(): void {
    this.#waiting = '';
    this.#chunk = NO_BYTES;
    this.#offset = 0;
    this.#dropped = 0;
  }

  /**
   * Writes what waits before it returns, for a process that is about to end. Gives up on a descriptor that takes
   * nothing for `FLUSH_MAX_MS`, or fails.
   */
  flushSync(): void {
    if (this.#state === 'broken' || this.#state === 'closed') return;
    if (this.#state === 'writing') {
      // The chunk is the thread pool's, which ends its work before the process ends.
      sleep(POOL_HEAD_START_MS);
      this.#chunk = NO_BYTES;
      this.#offset = 0;
    }
    const deadline = Date.now() + FLUSH_MAX_MS;
    while (this.#hasChunk()) {
      try {
        this.#written(writeSync(this.#fd, this.#chunk, this.#offset));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || Date.now() >= deadline) return;
        sleep(1);
      }
    }
  }

  /** Resolves when everything is written and the descriptor closed; takes no further lines. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#onClosed = resolve;
      if (this.#state === 'idle' || this.#state === 'broken' || this.#state === 'closed') this.#end();
    });
  }

  #end(): void {
    if (this.#state !== 'closed' && this.#fd > 2) closeSync(this.#fd);
    this.#state = 'closed';
    this.#onClosed?.();
  }
}

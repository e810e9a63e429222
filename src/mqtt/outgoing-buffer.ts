/**
 * The bytes on their way to one peer. Packets are written straight into a chunk; once in a turn of the event loop
 * everything collected leaves with one write (hot path).
 *
 *   reserve ─► chunk ──flush──► transport ──(kernel took it)──► chunk goes back to the pool
 *                    └─ while the transport is still busy: full chunks wait in `waiting`
 */
import { COLLECTING_SIZE_MAX, returnChunk, takeChunk } from '../base/chunk-pool.js';

/** Where the bytes go: a socket, or a link to another thread. */
export interface ByteSink {
  /**
   * Hands over the first `length` bytes of the chunk.
   * @returns true when they are gone and the chunk is free; false when the sink holds the chunk and will call
   * `written()` on the buffer later
   */
  write(chunk: Buffer, length: number): boolean;
}

/** Buffers that have something to flush, each once; emptied by `flushAll`. */
export class FlushList {
  #dirty: OutgoingBuffer[] = [];
  readonly #schedule: (flush: () => void) => void;
  readonly #flush = (): void => this.flushAll();

  /** @param schedule runs its argument at the end of this turn of the event loop */
  constructor(schedule: (flush: () => void) => void) {
    this.#schedule = schedule;
  }

  add(buffer: OutgoingBuffer): void {
    if (this.#dirty.length === 0) this.#schedule(this.#flush);
    this.#dirty.push(buffer);
  }

  flushAll(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (let i = 0; i < dirty.length; i += 1) dirty[i]!.flush();
  }
}

export class OutgoingBuffer {
  /** The chunk being filled; `null` while there is nothing to send. */
  chunk: Buffer | null = null;
  /** How far the chunk is filled. */
  length = 0;
  /** Packets added while the peer was not taking any: what limits on backlogs count. */
  waitingPackets = 0;
  /** Bytes handed to the sink so far. */
  bytesWritten = 0;
  readonly #sink: ByteSink;
  readonly #flushList: Pick<FlushList, 'add'>;
  #size = 0;
  #dirty = false;
  #busy: Buffer | null = null;
  #busyLength = 0;
  /** Full chunks behind the one that the sink is busy with. */
  #waiting: { chunk: Buffer; length: number }[] = [];
  #closed = false;

  constructor(sink: ByteSink, flushList: Pick<FlushList, 'add'>) {
    this.#sink = sink;
    this.#flushList = flushList;
  }

  /** The peer is not taking bytes at the moment. */
  get blocked(): boolean {
    return this.#busy !== null;
  }

  /** Bytes not yet taken by the kernel. */
  get waitingBytes(): number {
    let bytes = this.length;
    for (const { length } of this.#waiting) bytes += length;
    return this.#busy === null ? bytes : bytes + this.#busyLength;
  }

  /**
   * Makes room for one packet of `bytes` bytes.
   * @returns where in `chunk` it is to be written
   */
  reserve(bytes: number): number {
    let chunk = this.chunk;
    if (chunk === null || chunk.length - this.length < bytes) {
      if (chunk !== null) this.#handOn(chunk);
      chunk = takeChunk(this.#size, bytes);
      this.chunk = chunk;
      this.length = 0;
    }
    if (!this.#dirty) {
      this.#dirty = true;
      this.#flushList.add(this);
    }
    if (this.#busy !== null) this.waitingPackets += 1;
    const at = this.length;
    this.length = at + bytes;
    return at;
  }

  /** Adds one already encoded packet. */
  append(packet: Uint8Array): void {
    const at = this.reserve(packet.length);
    this.chunk!.set(packet, at);
  }

  /** Offers everything collected to the sink. */
  flush(): void {
    this.#dirty = false;
    const chunk = this.chunk;
    if (chunk === null || this.#closed) return;
    if (this.#busy !== null) return; // written() goes on
    // Little in a large chunk: take a smaller one next time.
    if (this.#size > 0 && this.length < chunk.length >> 3) this.#size -= 1;
    this.chunk = null;
    this.#write(chunk, this.length);
    this.length = 0;
  }

  /** The sink is done with the chunk that it held. */
  written(): void {
    const chunk = this.#busy;
    if (chunk === null) return;
    this.#busy = null;
    returnChunk(chunk);
    while (this.#busy === null) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#write(next.chunk, next.length);
    }
    if (this.#busy === null) {
      this.waitingPackets = 0;
      this.flush();
    }
  }

  /** Drops what was not sent, and whatever comes now. */
  close(): void {
    this.#closed = true;
    this.#waiting = [];
    this.chunk = null;
    this.length = 0;
  }

  /** The chunk is full: write it now, or queue it behind the one being written. */
  #handOn(chunk: Buffer): void {
    if (this.#size < COLLECTING_SIZE_MAX) this.#size += 1;
    if (this.#closed) return;
    if (this.#busy === null) this.#write(chunk, this.length);
    else this.#waiting.push({ chunk, length: this.length });
  }

  #write(chunk: Buffer, length: number): void {
    this.bytesWritten += length;
    if (this.#sink.write(chunk, length)) {
      returnChunk(chunk);
    } else {
      this.#busy = chunk;
      this.#busyLength = length;
    }
  }
}

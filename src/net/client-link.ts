/**
 * Joins a client connection (the protocol) to a stream: bytes both ways, keep-alive timer, orderly end.
 * For the command-line clients and the bridges.
 */
import type { Duplex } from 'node:stream';
import type { ClientConnection } from '../client/client-connection.js';
import { monotonicMs } from '../system/monotonic-clock.js';
import { LINGER_MS } from './time-limits.js';

/** Bytes that may wait to be sent before producers are asked to wait too. */
const UNSENT_BYTES_MAX = 256 * 1024;

export class ClientLink {
  readonly #stream: Duplex;
  readonly #connection: ClientConnection;
  #onClosed: ((error: Error | undefined) => void) | undefined;
  #error: Error | undefined;
  #whenSent: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param onClosed called once when the other side ends the connection or it breaks, not after `end` or `destroy` */
  constructor(stream: Duplex, connection: ClientConnection, onClosed: (error: Error | undefined) => void) {
    this.#stream = stream;
    this.#connection = connection;
    this.#onClosed = onClosed;
    stream.on('data', (chunk: Buffer) => this.#received(chunk));
    stream.on('error', (error) => {
      this.#error = error;
    });
    stream.on('end', () => this.#closed());
    stream.on('close', () => this.#closed());
  }

  /** Begins with the CONNECT. */
  start(): void {
    this.#connection.connect(monotonicMs());
    this.flush();
  }

  /** Sends the connection's pending bytes. Call it after each use of the connection, but not within its events. */
  flush(): void {
    const bytes = this.#connection.takeOutgoing();
    if (bytes !== undefined && !this.#stream.destroyed) this.#stream.write(bytes, () => this.#sent());
    this.#armTimer();
  }

  /** Whether the connection has ended, on either side. */
  get isClosed(): boolean {
    return this.#onClosed === undefined;
  }

  /** So much waits to be sent that producers should wait. */
  get isCongested(): boolean {
    return this.#stream.writableLength > UNSENT_BYTES_MAX;
  }

  /** Bytes that wait to be sent. */
  get unsentBytes(): number {
    return this.#stream.writableLength;
  }

  /** Calls back when all bytes are on their way: now, or later. */
  whenSent(callback: () => void): void {
    if (this.#stream.writableLength === 0) callback();
    else this.#whenSent.push(callback);
  }

  /** Sends the pending bytes and closes. Calls `done` once that is done or given up. */
  end(done: () => void): void {
    this.#release();
    const bytes = this.#connection.takeOutgoing();
    const stream = this.#stream;
    if (stream.destroyed) {
      done();
      return;
    }
    let finished = false;
    const finish = () => {
      if (finished) return;
      finished = true;
      clearTimeout(linger);
      stream.destroy();
      done();
    };
    const linger = setTimeout(finish, LINGER_MS);
    stream.once('error', finish);
    if (bytes === undefined) stream.end(finish);
    else stream.end(bytes, finish);
  }

  /** Closes at once. */
  destroy(): void {
    this.#release();
    this.#stream.destroy();
  }

  #received(chunk: Buffer): void {
    this.#connection.receive(chunk, monotonicMs());
    this.flush();
  }

  #sent(): void {
    if (this.#stream.writableLength > 0) return;
    const callbacks = this.#whenSent;
    if (callbacks.length === 0) return;
    this.#whenSent = [];
    for (const callback of callbacks) callback();
  }

  /** The deadline only moves away while packets pass, so a timer that is too early just looks again. */
  #armTimer(): void {
    const deadline = this.#connection.nextDeadlineMs;
    if (deadline === undefined || this.#timer !== undefined || this.#onClosed === undefined) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, deadline - monotonicMs()) + 1);
  }

  #tick(): void {
    this.#timer = undefined;
    this.#connection.tick(monotonicMs());
    this.flush();
  }

  #closed(): void {
    const onClosed = this.#onClosed;
    if (onClosed === undefined) return;
    this.#release();
    this.#stream.destroy();
    onClosed(this.#error);
  }

  #release(): void {
    this.#onClosed = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

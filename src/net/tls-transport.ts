/** A connection over TLS: bytes between its stream, in the clear, and the broker core. */

import type { TLSSocket } from 'node:tls';
import { MessageChannel } from 'node:worker_threads';
import type { TlsSession } from '../auth/authenticator.js';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import { badSocket } from '../log/mosquitto-lines.js';
import { cLibraryErrorText } from '../system/system-error.js';
import { pumpSocket } from './relay.js';
import type { SocketOrigin } from './socket-transport.js';
import { LINGER_MS } from './time-limits.js';

export class TlsTransport implements Transport {
  readonly listener: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: TlsSession;
  readonly #socket: TLSSocket;
  #user: TransportUser | null = null;

  /** @param socket with its handshake done, and nothing read of it yet */
  constructor(socket: TLSSocket, origin: SocketOrigin, tls: TlsSession) {
    this.listener = origin.listener;
    this.remoteAddress = origin.remoteAddress;
    this.remotePort = origin.remotePort;
    this.tls = tls;
    this.#socket = socket;
  }

  serve(user: TransportUser): void {
    this.#user = user;
    const socket = this.#socket;
    socket.on('data', (bytes) => this.#user?.receive(bytes, bytes.length));
    socket.on('end', () => this.#user?.transportEnded(''));
    socket.on('error', (error) => this.#user?.transportEnded(badSocket(cLibraryErrorText(error))));
    socket.on('close', () => this.#user?.transportEnded(''));
  }

  write(chunk: Buffer, length: number): boolean {
    this.#socket.write(chunk.subarray(0, length), this.#written);
    return this.#socket.writableLength === 0;
  }

  readonly #written = (): void => {
    if (this.#socket.writableLength === 0) this.#user?.drained();
  };

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    const socket = this.#socket;
    this.#user = null;
    socket.on('error', () => {});
    socket.end(() => socket.destroy());
    if (socket.writableLength > 0) setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.#user = null;
    this.#socket.destroy();
  }

  /** The socket stays here, for its keys are here; its bytes go over a port. */
  detach(): Detached | null {
    const socket = this.#socket;
    this.#user = null;
    if (socket.destroyed) return null;
    const { port1, port2 } = new MessageChannel();
    socket.removeAllListeners('data');
    const unread = (socket.read() as Buffer | null) ?? Buffer.alloc(0);
    pumpSocket(socket, port1);
    return { handover: port2, unread };
  }
}

/** A connection's socket: bytes between the kernel and the broker core, nothing else. */

import type { Socket, SocketConstructorOpts } from 'node:net';
import type { TlsSession } from '../auth/authenticator.js';
import { NO_BYTES } from '../base/no-bytes.js';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import { badSocket } from '../log/mosquitto-lines.js';
import { cLibraryErrorText } from '../system/system-error.js';
import { socketOf, takeDescriptor } from './descriptor.js';
import { LINGER_MS } from './time-limits.js';

/**
 * All sockets of a thread read into this one buffer: what arrives is worked on before the next read, and what has
 * to stay is copied there.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

export interface SocketOrigin {
  listener: number;
  remoteAddress: string;
  remotePort: number;
}

/** Its listeners are the same functions for all connections: each closure would take memory once a connection. */
interface ServedSocket extends Socket {
  transport: SocketTransport;
}

export class SocketTransport implements Transport {
  readonly listener: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: TlsSession | null;
  readonly #socket: Socket;
  #connection: TransportUser | null = null;
  #busy = false;

  /**
   * @param fd a descriptor that is this transport's from now on
   * @param tls what a proxy has settled with the client: the socket itself is not encrypted
   */
  constructor(fd: number, kind: 'tcp' | 'unix', origin: SocketOrigin, tls: TlsSession | null = null) {
    this.tls = tls;
    this.listener = origin.listener;
    this.remoteAddress = origin.remoteAddress;
    this.remotePort = origin.remotePort;
    this.#socket = socketOf(fd, kind, {
      onread: {
        buffer: READ_BUFFER,
        callback: (bytes: number, buffer: Uint8Array) => this.#received(bytes, buffer),
      },
      // 'drain' then comes for every write that the kernel did not take at once.
      writableHighWaterMark: 1,
    } as SocketConstructorOpts);
    const socket = this.#socket as ServedSocket;
    socket.transport = this;
    socket.on('drain', onDrain);
    socket.on('end', onEnd);
    socket.on('error', onError);
    socket.on('close', onEnd);
  }

  /** Gives all further bytes to `connection`. */
  serve(connection: TransportUser): void {
    this.#connection = connection;
  }

  write(chunk: Buffer, length: number): boolean {
    const socket = this.#socket;
    socket.write(chunk.subarray(0, length));
    if (socket.writableLength === 0) return true;
    this.#busy = true;
    return false;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    const socket = this.#socket;
    this.#connection = null;
    if (socket.writableLength === 0) {
      socket.destroy(); // the kernel has all bytes, and sends them before the end
      return;
    }
    socket.end(() => socket.destroy());
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  }

  destroy(): void {
    this.#connection = null;
    this.#socket.destroy();
  }

  detach(): Detached | null {
    this.#connection = null;
    const fd = takeDescriptor(this.#socket);
    return fd < 0 ? null : { handover: fd, unread: NO_BYTES };
  }

  #received(bytes: number, buffer: Uint8Array): boolean {
    this.#connection?.receive(buffer, bytes);
    return true;
  }

  /** The socket's event. */
  drained(): void {
    if (!this.#busy || this.#socket.writableLength > 0) return;
    this.#busy = false;
    this.#connection?.drained();
  }

  /** One of the events that end a socket. @param why '' if the socket ended in order */
  ended(why: string): void {
    this.#connection?.transportEnded(why);
  }
}

function onDrain(this: ServedSocket): void {
  this.transport.drained();
}

function onEnd(this: ServedSocket): void {
  this.transport.ended('');
}

function onError(this: ServedSocket, error: Error): void {
  this.transport.ended(badSocket(cLibraryErrorText(error)));
}

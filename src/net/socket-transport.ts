/** A connection's socket: bytes between the kernel and the broker core, nothing else. */
import type { Socket, SocketConstructorOpts } from 'node:net';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import { badSocket } from '../log/mosquitto-lines.js';
import { socketOf, takeDescriptor } from './descriptor.js';
import { nodeErrorText } from './system-error.js';

/**
 * All sockets of a thread read into this one buffer: what arrives is worked on before the next read, and what has
 * to stay is copied there.
 */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

const NOTHING = new Uint8Array(0);

/** Milliseconds that a closing peer is given to take the last bytes. */
const LINGER_MS = 5000;

export interface SocketOrigin {
  listener: number;
  remoteAddress: string;
  remotePort: number;
}

export class SocketTransport implements Transport {
  readonly listener: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls = null;
  readonly #socket: Socket;
  #connection: TransportUser | null = null;
  #busy = false;

  /** @param fd a descriptor that is this transport's from now on */
  constructor(fd: number, kind: 'tcp' | 'unix', origin: SocketOrigin) {
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
    this.#socket.on('drain', () => this.#drained());
    this.#socket.on('end', () => this.#connection?.transportEnded(''));
    this.#socket.on('error', (error) => this.#connection?.transportEnded(badSocket(nodeErrorText(error))));
    this.#socket.on('close', () => this.#connection?.transportEnded(''));
  }

  /** From here on what arrives goes to `connection`. */
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
    return fd < 0 ? null : { handover: fd, unread: NOTHING };
  }

  #received(bytes: number, buffer: Uint8Array): boolean {
    this.#connection?.receive(buffer, bytes);
    return true;
  }

  #drained(): void {
    if (!this.#busy || this.#socket.writableLength > 0) return;
    this.#busy = false;
    this.#connection?.drained();
  }
}

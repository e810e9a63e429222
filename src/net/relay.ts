/**
 * Relays a connection whose socket cannot change threads: an encrypted one, or any if the C library cannot be reached.
 * The socket stays in its thread, and its bytes cross over a message port.
 *
 *   socket ◄─► RelayPump ◄── port ──► RelayTransport ◄─► connection
 *
 * Each side stops sending while `WINDOW_BYTES` are not processed on the other side.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import type { MessagePort } from 'node:worker_threads';
import type { TlsSession } from '../auth/authenticator.js';
import { assertNever } from '../base/assert.js';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import { badSocket } from '../log/mosquitto-lines.js';
import { cLibraryErrorText } from '../system/system-error.js';
import type { SocketOrigin } from './socket-transport.js';

type RelayMessage =
  | { kind: 'bytes'; bytes: Uint8Array }
  /** The receiver has processed this number of bytes. */
  | { kind: 'taken'; bytes: number }
  /** Nothing more will come. `reason` is empty for an ordinary end. */
  | { kind: 'ended'; reason: string };

const WINDOW_BYTES = 256 * 1024;

/** The socket's side of a port, as the pump needs it. */
export interface PumpedSocket {
  /** @returns whether the kernel took all bytes; if not, `drained` of the pump is called when it has */
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  end(): void;
}

/** Where the socket is. */
export class RelayPump {
  readonly #port: MessagePort;
  readonly #socket: PumpedSocket;
  #outstanding = 0;
  #owed = 0;

  constructor(port: MessagePort, socket: PumpedSocket) {
    this.#port = port;
    this.#socket = socket;
    port.on('message', (message: RelayMessage) => this.#receive(message));
  }

  /** Bytes from the socket; the buffer is the caller's again afterwards. */
  received(bytes: Uint8Array): void {
    post(this.#port, bytes);
    this.#outstanding += bytes.length;
    if (this.#outstanding >= WINDOW_BYTES) this.#socket.pause();
  }

  drained(): void {
    if (this.#owed > 0) this.#port.postMessage({ kind: 'taken', bytes: this.#owed } satisfies RelayMessage);
    this.#owed = 0;
  }

  ended(reason: string): void {
    this.#port.postMessage({ kind: 'ended', reason } satisfies RelayMessage);
    this.#port.close();
  }

  #receive(message: RelayMessage): void {
    switch (message.kind) {
      case 'bytes':
        this.#owed += message.bytes.length;
        if (this.#socket.write(message.bytes)) this.drained();
        return;
      case 'taken':
        this.#outstanding -= message.bytes;
        if (this.#outstanding < WINDOW_BYTES) this.#socket.resume();
        return;
      case 'ended':
        this.#port.close();
        this.#socket.end();
        return;
      default:
        assertNever(message);
    }
  }
}

/** Passes the bytes of a socket on; whoever has the other end of the port serves the connection. */
export function pumpSocket(socket: Socket, port: MessagePort): void {
  const pump = new RelayPump(port, {
    write: (bytes) => socket.write(bytes),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
    end: () => socket.end(),
  });
  let reason = '';
  socket.on('data', (bytes) => pump.received(bytes));
  socket.on('drain', () => pump.drained());
  socket.on('error', (error) => {
    reason = badSocket(cLibraryErrorText(error));
  });
  socket.on('close', () => pump.ended(reason));
  socket.resume();
}

/** Where the connection is served. */
export class RelayTransport implements Transport {
  readonly listener: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: TlsSession | null;
  readonly #port: MessagePort;
  #connection: TransportUser | null = null;
  #outstanding = 0;
  #blocked = false;
  /** Bytes that came while reading was paused. */
  #held: Uint8Array[] | null = null;
  #closed = false;

  /** @param tls of the handshake that another thread, or a proxy, has done */
  constructor(port: MessagePort, origin: SocketOrigin, tls: TlsSession | null = null) {
    this.tls = tls;
    this.listener = origin.listener;
    this.remoteAddress = origin.remoteAddress;
    this.remotePort = origin.remotePort;
    this.#port = port;
  }

  serve(connection: TransportUser): void {
    this.#connection = connection;
    this.#port.on('message', (message: RelayMessage) => this.#receive(message));
    this.#port.on('close', () => this.#connection?.transportEnded(''));
  }

  write(chunk: Buffer, length: number): boolean {
    if (this.#closed) return true;
    post(this.#port, chunk.subarray(0, length));
    this.#outstanding += length;
    this.#blocked = this.#outstanding >= WINDOW_BYTES;
    return !this.#blocked;
  }

  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held;
    this.#held = null;
    for (const bytes of held ?? []) this.#take(bytes);
  }

  end(): void {
    this.#connection = null;
    if (this.#closed) return;
    this.#closed = true;
    this.#port.postMessage({ kind: 'ended', reason: '' } satisfies RelayMessage);
    this.#port.close();
  }

  destroy(): void {
    this.end();
  }

  /** The port itself moves on. */
  detach(): Detached | null {
    this.#connection = null;
    if (this.#closed) return null;
    this.#port.removeAllListeners();
    return { handover: this.#port, unread: Buffer.concat(this.#held ?? []) };
  }

  #receive(message: RelayMessage): void {
    switch (message.kind) {
      case 'bytes':
        if (this.#held === null) this.#take(message.bytes);
        else this.#held.push(message.bytes);
        return;
      case 'taken':
        this.#outstanding -= message.bytes;
        if (!this.#blocked || this.#outstanding >= WINDOW_BYTES) return;
        this.#blocked = false;
        this.#connection?.drained();
        return;
      case 'ended':
        this.#closed = true;
        this.#port.close();
        this.#connection?.transportEnded(message.reason);
        return;
      default:
        assertNever(message);
    }
  }

  #take(bytes: Uint8Array): void {
    if (this.#held !== null) {
      this.#held.push(bytes);
      return;
    }
    this.#port.postMessage({ kind: 'taken', bytes: bytes.length } satisfies RelayMessage);
    this.#connection?.receive(bytes, bytes.length);
  }
}

/** A socket in another thread as a stream, because TLS takes streams only. */
export class RelayStream extends Duplex implements TransportUser {
  readonly #transport: RelayTransport;
  #written: (() => void) | null = null;

  constructor(transport: RelayTransport) {
    super({ decodeStrings: true });
    this.#transport = transport;
    transport.serve(this);
  }

  receive(bytes: Uint8Array): void {
    if (!this.push(Buffer.from(bytes))) this.#transport.pause();
  }

  drained(): void {
    const written = this.#written;
    this.#written = null;
    written?.();
  }

  transportEnded(): void {
    this.push(null);
    this.destroy();
  }

  override _read(): void {
    this.#transport.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#transport.write(chunk, chunk.length)) done();
    else this.#written = done;
  }

  override _final(done: () => void): void {
    this.#transport.end();
    done();
  }

  override _destroy(_error: Error | null, done: (error: null) => void): void {
    this.#transport.destroy();
    done(null);
  }
}

/** Posts an exact copy: a view would carry its whole buffer along. */
function post(port: MessagePort, bytes: Uint8Array): void {
  const copy = new Uint8Array(bytes);
  port.postMessage({ kind: 'bytes', bytes: copy } satisfies RelayMessage, [copy.buffer]);
}

/**
 * Posts a message that gives a port away.
 * @returns false if that cannot be done: the other end of the port is closed, which nobody may have heard of yet
 */
export function postWithPort(over: MessagePort, message: unknown, port: MessagePort): boolean {
  try {
    over.postMessage(message, [port]);
    return true;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'DataCloneError') return false;
    throw error;
  }
}

/**
 * Accepted connections, before a worker serves them.
 *
 * Node makes a whole stream for every connection, of which Midge needs the descriptor only; that was most of the cost
 * of accepting. So if descriptors can change threads, the accepting handle calls this file instead of `net.Server`. That
 * handle is no documented interface: if it does not look as expected, the streams are used.
 */
import type { Server, Socket } from 'node:net';
import { canPassDescriptors, duplicateDescriptor, takeDescriptor } from './descriptor.js';

/** A connection that was accepted. Either `take` or `drop` is called, once. */
export interface Arrival {
  /** '' on a unix socket, and if the peer is gone already. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** @returns a descriptor that is the caller's, or the socket if those cannot change threads; -1: there is none */
  take(): number | Socket;
  drop(): void;
}

export interface ArrivalEvents {
  arrived(arrival: Arrival): void;
  /** A connection could not be accepted: descriptors have run out. */
  failed(): void;
}

/** Connections of this server go to `events`. */
export function receiveArrivals(server: Server, events: ArrivalEvents): void {
  server.on('error', events.failed);
  const { _handle: handle } = server as unknown as { _handle: ListeningHandle | null };
  if (canPassDescriptors() && typeof handle?.onconnection === 'function') {
    handle.onconnection = (status, accepted) => {
      if (status !== 0 || accepted === undefined) events.failed();
      else events.arrived(new HandleArrival(accepted));
    };
  } else {
    server.on('connection', (socket) => events.arrived(new SocketArrival(socket)));
  }
}

/** Accepted connections inherit it, which saves each the system call. It may not be a TCP socket. */
export function setNoDelayOfArrivals(server: Server, on: boolean): void {
  (server as unknown as { _handle: ListeningHandle | null })._handle?.setNoDelay?.(on);
}

interface ListeningHandle {
  onconnection: (status: number, accepted: AcceptedHandle | undefined) => void;
  setNoDelay?: (on: boolean) => void;
}

interface AcceptedHandle {
  readonly fd: number;
  /** Not on a unix socket. */
  getpeername?: (into: { address?: string; port?: number }) => number;
  close(): void;
}

class HandleArrival implements Arrival {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #handle: AcceptedHandle;

  constructor(handle: AcceptedHandle) {
    this.#handle = handle;
    const peer: { address?: string; port?: number } = {};
    handle.getpeername?.(peer);
    this.remoteAddress = peer.address ?? '';
    this.remotePort = peer.port ?? 0;
  }

  take(): number {
    const fd = duplicateDescriptor(this.#handle.fd);
    this.#handle.close();
    return fd;
  }

  drop(): void {
    this.#handle.close();
  }
}

class SocketArrival implements Arrival {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.remotePort = socket.remotePort ?? 0;
  }

  take(): number | Socket {
    return canPassDescriptors() ? takeDescriptor(this.#socket) : this.#socket;
  }

  drop(): void {
    this.#socket.destroy();
  }
}

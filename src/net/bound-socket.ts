/**
 * Gives a socket its address now, and lets it listen later: privileged ports are bound before root is given up, and until
 * the broker can serve them clients are refused, as before its start. Node binds and listens in one call, so its
 * handles, which are no documented interface, are asked for the first half.
 */
import { chmodSync } from 'node:fs';
import { createServer, type ListenOptions, type Server, Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { type ArrivalEvents, receiveArrivals } from './arrival.js';
import { canPassDescriptors, duplicateDescriptor } from './descriptor.js';
import { type ListenAddress, listen, removeOldSocket, UNIX_SOCKET_MODE, withTrueReason } from './listener.js';

export interface BoundSocket {
  /** Connections come from here on. Rejects with the system's error. */
  listen(): Promise<Server>;
  close(): void;
}

/**
 * Binds the address. Where Node's handles do not look as expected, the socket listens already when this is done.
 * @throws the system's error
 */
export async function bindSocket(address: ListenAddress, events: ArrivalEvents): Promise<BoundSocket> {
  const handle = createHandle(address.family === 'unix' ? 'unix' : 'tcp');
  if (handle === null) {
    const server = await listen(address, events);
    return { listen: () => Promise.resolve(server), close: () => void server.close() };
  }
  try {
    bind(handle, address);
    if (address.family === 'unix') chmodSync(address.path, UNIX_SOCKET_MODE);
  } catch (error) {
    handle.close();
    throw withTrueReason(error as Error, address);
  }
  return new HandleSocket(handle, address, events);
}

class HandleSocket implements BoundSocket {
  readonly #handle: BindingHandle;
  readonly #address: ListenAddress;
  readonly #events: ArrivalEvents;
  /** The handle is the server's, which closes it. */
  #isGiven = false;

  constructor(handle: BindingHandle, address: ListenAddress, events: ArrivalEvents) {
    this.#handle = handle;
    this.#address = address;
    this.#events = events;
  }

  listen(): Promise<Server> {
    const server = createServer({ pauseOnConnect: true, noDelay: false, keepAlive: false });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#source(), () => {
        server.off('error', reject);
        receiveArrivals(server, this.#events);
        resolve(server);
      });
    });
  }

  close(): void {
    if (!this.#isGiven) this.#handle.close();
  }

  /** A server takes the handle of a TCP socket; of a unix socket it takes a descriptor, which it opens by itself. */
  #source(): ListenOptions {
    if (this.#address.family === 'unix') return { fd: duplicateDescriptor(this.#handle.fd) } as ListenOptions;
    this.#isGiven = true;
    return this.#handle as unknown as ListenOptions;
  }
}

/** Node's handle of a listening socket. The calls return 0, or the system's error. */
interface BindingHandle {
  readonly fd: number;
  bind(addressOrPath: string, port?: number): number;
  /** Not on a unix socket. */
  bind6?(address: string, port: number, flags: number): number;
  /** Not on a unix socket. */
  getsockname?(into: object): number;
  close(): void;
}

/** The type of a handle for a listening socket, in both of Node's bindings. */
const HANDLE_SERVER = 1;

/** libuv's UV_TCP_IPV6ONLY: the IPv4 addresses have a socket of their own. */
const IPV6_ONLY = 1;

/** Nobody listens there, and nothing is sent there: a socket makes its handle before it connects. */
const NOWHERE = { tcp: { host: '127.0.0.1', port: 1 }, unix: { path: '/dev/null/none' } };

/** @returns `null` if Node's handles are not as expected, or a descriptor cannot be duplicated */
function createHandle(kind: 'tcp' | 'unix'): BindingHandle | null {
  if (kind === 'unix' && !canPassDescriptors()) return null;
  const socket = new Socket();
  socket.on('error', () => {});
  socket.connect(NOWHERE[kind]);
  const { _handle: own } = socket as unknown as { _handle: object | null };
  const Maker = own?.constructor as (new (type: number) => BindingHandle) | undefined;
  socket.destroy();
  if (Maker === undefined || typeof Maker.prototype.bind !== 'function') return null;
  if (kind === 'tcp' && (!Maker.prototype.bind6 || !Maker.prototype.getsockname)) return null;
  return new Maker(HANDLE_SERVER);
}

/** @throws the system's error */
function bind(handle: BindingHandle, address: ListenAddress): void {
  if (address.family === 'unix') {
    removeOldSocket(address.path);
    check(handle.bind(address.path));
    return;
  }
  const { family, address: host, port } = address;
  check(family === 'ipv6' ? handle.bind6!(host, port, IPV6_ONLY) : handle.bind(host, port));
  check(handle.getsockname!({})); // libuv tells only here that another program has the port
}

function check(result: number): void {
  if (result === 0) return;
  const code = getSystemErrorName(result);
  throw Object.assign(new Error(`bind ${code}`), { code, errno: result, syscall: 'bind' });
}

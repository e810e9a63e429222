/**
 * Opens outgoing connections: a description of the way in, a stream of bytes for MQTT out. TLS, proxies and WebSockets
 * are loaded only if they are asked for, because the command-line clients must start fast.
 */
import { connect, type NetConnectOpts, type Socket, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SocksProxy } from './dial-socks5.js';
import type { TlsTarget } from './dial-tls.js';

export interface DialTarget {
  host: string;
  port: number;
  /** A path; host and port then only name the server. */
  unixSocket?: string | undefined;
  /** The local address to connect from. */
  bindAddress?: string | undefined;
  noDelay?: boolean;
  proxy?: SocksProxy | undefined;
  tls?: TlsTarget | undefined;
  webSocket?: boolean;
  /** Given the socket as soon as it begins to connect, so that it can be set up, or destroyed when it takes too long. */
  onSocket?: (socket: Socket) => void;
}

/** On which part of the way a connection failed. */
export type DialStage = 'lookup' | 'connect' | 'proxy' | 'tls' | 'websocket';

/** A connection that did not come about; `cause` is the system's or the library's own error. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly stage: DialStage;

  constructor(stage: DialStage, cause: Error) {
    super(cause.message, { cause });
    this.stage = stage;
  }

  /** A name with several addresses gives an error for each; the last one counts. */
  get lastCause(): NodeJS.ErrnoException {
    const { cause } = this;
    return (cause instanceof AggregateError ? cause.errors.at(-1) : cause) as NodeJS.ErrnoException;
  }
}

/** @throws DialError */
export async function dial(target: DialTarget): Promise<Duplex> {
  let stream: Duplex = await openSocket(target);
  if (target.proxy !== undefined) {
    const { passProxy } = await import('./dial-socks5.js');
    await step('proxy', stream, passProxy(stream, target.proxy, target));
  }
  if (target.tls !== undefined) {
    const { secure } = await import('./dial-tls.js');
    stream = await step('tls', stream, secure(stream, target.host, target.tls));
  }
  if (target.webSocket === true) {
    const { upgrade } = await import('./dial-websocket.js');
    stream = await step('websocket', stream, upgrade(stream, target));
  }
  return stream;
}

/** A failed step leaves no half-open connection behind. */
async function step<T>(stage: DialStage, stream: Duplex, result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    stream.destroy();
    throw new DialError(stage, error as Error);
  }
}

/** Names of the loopback interface need no lookup [RFC 6761, 6.3], which would take longer than all the rest. */
const LOOPBACK = ['127.0.0.1', '::1'];

async function openSocket(target: DialTarget): Promise<Duplex> {
  const { proxy, unixSocket, bindAddress, noDelay = false, onSocket } = target;
  const openPath = (options: NetConnectOpts): Promise<Duplex> => openStream(options, onSocket);
  if (unixSocket !== undefined) return openPath({ path: unixSocket });
  const { host, port } = proxy ?? target;
  const options: TcpNetConnectOpts = { host, port, noDelay };
  if (bindAddress !== undefined) options.localAddress = bindAddress;
  if (host !== 'localhost' || bindAddress !== undefined) return openPath(options);
  const [first, second] = LOOPBACK;
  return openPath({ ...options, host: first! }).catch(() => openPath({ ...options, host: second! }));
}

function openStream(options: NetConnectOpts, onSocket: DialTarget['onSocket']): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connect(options);
    onSocket?.(socket);
    const refuse = (error: Error) =>
      reject(new DialError(isLookupError(error) ? 'lookup' : 'connect', error));
    socket.once('error', refuse);
    socket.once('connect', () => {
      socket.off('error', refuse);
      resolve(socket);
    });
  });
}

function isLookupError(error: NodeJS.ErrnoException): boolean {
  return error.syscall === 'getaddrinfo';
}

/** The way through a SOCKS5 proxy [RFC 1928] with user name and password [RFC 1929]; the proxy looks names up. */
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { ProxyError, type ProxyErrorKind } from './proxy-error.js';

export interface SocksProxy {
  host: string;
  port: number;
  username: string | undefined;
  password: string | undefined;
}

const VERSION = 5;
const PASSWORD_VERSION = 1;
const CONNECT = 1;

const Method = { none: 0, password: 2 } as const;

const AddressType = { ipv4: 1, name: 3, ipv6: 4 } as const;

const REPLY_SUCCEEDED = 0;

/** Replies to CONNECT that say more than "failed" [RFC 1928, 6]. */
const REPLY_KINDS: ReadonlyMap<number, ProxyErrorKind> = new Map([
  [2, 'not-allowed'],
  [3, 'unreachable'],
  [4, 'unreachable'],
  [5, 'unreachable'],
]);

/** Has the proxy connect `stream` to the server. @throws ProxyError, or the stream's own error */
export async function passProxy(
  stream: Duplex,
  proxy: SocksProxy,
  server: { host: string; port: number },
): Promise<void> {
  const methods = proxy.username === undefined ? [Method.none] : [Method.none, Method.password];
  stream.write(Buffer.from([VERSION, methods.length, ...methods]));
  const [version, method] = await readExactly(stream, 2);
  if (version !== VERSION) throw new ProxyError('failed', 'The proxy does not speak SOCKS5.');
  if (!methods.some((offered) => offered === method)) {
    throw new ProxyError('not-allowed', 'The proxy wants another way of authentication.');
  }
  if (method === Method.password) await authenticate(stream, proxy.username!, proxy.password ?? '');
  stream.write(connectRequest(server.host, server.port));
  await readReply(stream);
}

async function authenticate(stream: Duplex, username: string, password: string): Promise<void> {
  stream.write(Buffer.concat([Buffer.of(PASSWORD_VERSION), counted(username), counted(password)]));
  const [, status] = await readExactly(stream, 2);
  if (status !== 0) throw new ProxyError('failed', 'The proxy refuses the user name or password.');
}

/** A text behind its length in one byte. */
function counted(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new ProxyError('failed', 'A name for the proxy is longer than 255 bytes.');
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

export function connectRequest(host: string, port: number): Buffer {
  return Buffer.concat([Buffer.of(VERSION, CONNECT, 0), address(host), Buffer.of(port >> 8, port & 0xff)]);
}

function address(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return Buffer.from([AddressType.ipv4, ...host.split('.').map(Number)]);
    case 6:
      return Buffer.concat([Buffer.of(AddressType.ipv6), ipv6Bytes(host)]);
    default:
      return Buffer.concat([Buffer.of(AddressType.name), counted(host)]);
  }
}

/** The 16 bytes of an address that is known to be one; `::` stands for as many zeros as are missing. */
function ipv6Bytes(host: string): Buffer {
  const [head = '', tail] = host.split('%')[0]!.split('::');
  const first = ipv6Groups(head);
  const last = tail === undefined ? [] : ipv6Groups(tail);
  const zeros = new Array<number>(16 - first.length - last.length).fill(0);
  return Buffer.from([...first, ...zeros, ...last]);
}

/** Groups may end in an IPv4 address: `ffff:192.0.2.1`. */
function ipv6Groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** The answer carries the address that the proxy uses, which nobody needs. */
async function readReply(stream: Duplex): Promise<void> {
  const [version, reply, , type] = await readExactly(stream, 4);
  if (version !== VERSION) throw new ProxyError('failed', 'The proxy does not speak SOCKS5.');
  if (reply !== REPLY_SUCCEEDED) {
    throw new ProxyError(REPLY_KINDS.get(reply!) ?? 'failed', `The proxy answers with code ${reply}.`);
  }
  const length =
    type === AddressType.ipv4 ? 4 : type === AddressType.ipv6 ? 16 : (await readExactly(stream, 1))[0]!;
  await readExactly(stream, length + 2);
}

/** The next `length` bytes; what comes after them stays in the stream. @throws when the stream ends before */
function readExactly(stream: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const look = () => {
      const bytes: Buffer | null = stream.read(length);
      if (bytes !== null && bytes.length === length) finish(() => resolve(bytes));
      else if (bytes !== null || stream.readableEnded || stream.destroyed) closed();
    };
    const closed = () => finish(() => reject(new ProxyError('failed', 'The proxy closed the connection.')));
    const failed = (error: Error) => finish(() => reject(error));
    const finish = (settle: () => void) => {
      stream.off('readable', look).off('end', closed).off('close', closed).off('error', failed);
      settle();
    };
    stream.on('readable', look).on('end', closed).on('close', closed).on('error', failed);
    look();
  });
}

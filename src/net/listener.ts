/**
 * Opens the listening sockets of one `listener` section. Main accepts on them and hands every connection to a worker;
 * it reads nothing itself.
 */
import { lookup } from 'node:dns/promises';
import { chmodSync, existsSync, lstatSync, rmSync } from 'node:fs';
import { createServer, isIPv6, type Server } from 'node:net';
import { constants, networkInterfaces } from 'node:os';
import { dirname } from 'node:path';
import { type ArrivalEvents, receiveArrivals } from './arrival.js';

/** Where a listener listens, as its options say. */
export interface ListenerPlace {
  port: number;
  /** An address or a host name; `undefined` = every address. */
  host?: string | undefined;
  /** A unix socket instead of a port. */
  socketPath?: string | undefined;
  socketDomain?: 'ipv4' | 'ipv6' | undefined;
  bindInterface?: string | undefined;
}

/** One socket that is to be opened. */
export type ListenAddress =
  | { family: 'ipv4' | 'ipv6'; address: string; port: number }
  | { family: 'unix'; path: string };

/** What cannot be as its options say. Its message is a line of the log. */
export class ListenerError extends Error {
  override readonly name = 'ListenerError';
}

/** A unix socket is for its owner and group [mosq: listener]. */
export const UNIX_SOCKET_MODE = 0o770;

/** The addresses of a listener; a host name gives all that it resolves to. Throws what the lookup throws. */
export async function listenAddresses(place: ListenerPlace): Promise<ListenAddress[]> {
  const { port, host, socketPath } = place;
  if (socketPath !== undefined) return [{ family: 'unix', path: socketPath }];
  let addresses: string[];
  if (place.bindInterface !== undefined) addresses = interfaceAddresses(place.bindInterface, host);
  else if (host === undefined) addresses = ['0.0.0.0', '::'];
  else addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  const usable = [...new Set(addresses)]
    .map((address) => ({ family: isIPv6(address) ? ('ipv6' as const) : ('ipv4' as const), address, port }))
    .filter(({ family }) => place.socketDomain === undefined || family === place.socketDomain);
  if (usable.length > 0) return usable;
  throw new ListenerError('Error creating listener: Address family for hostname not supported.');
}

/** Whether one of the two is in the other's way. */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  if (a.family === 'unix' || b.family === 'unix') {
    return a.family === 'unix' && b.family === 'unix' && a.path === b.path;
  }
  if (a.family !== b.family || a.port !== b.port || a.port === 0) return false;
  return a.address === b.address || isWildcard(a.address) || isWildcard(b.address);
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** [mosq: bind_interface]: the name counts without regard to case. */
function interfaceAddresses(name: string, host: string | undefined): string[] {
  const found = Object.entries(networkInterfaces()).find(
    ([known]) => known.toLowerCase() === name.toLowerCase(),
  );
  if (found === undefined) throw new ListenerError(`Error: Interface ${name} does not exist.`);
  const addresses = (found[1] ?? []).map(({ address, scopeid }) =>
    scopeid ? `${address}%${found[0]}` : address,
  );
  if (host !== undefined && !addresses.includes(host)) {
    throw new ListenerError(
      `Error: Interface address for ${name} does not match specified listener address (${host}).`,
    );
  }
  return host === undefined ? addresses : [host];
}

/** Opens one listening socket; rejects with the system's error. */
export function listen(address: ListenAddress, events: ArrivalEvents): Promise<Server> {
  const server = createServer({ pauseOnConnect: true, noDelay: false, keepAlive: false });
  return new Promise((resolve, reject) => {
    const refused = (error: Error): void => reject(withTrueReason(error, address));
    server.once('error', refused);
    const opened = (): void => {
      server.off('error', refused);
      receiveArrivals(server, events);
      if (address.family === 'unix') chmodSync(address.path, UNIX_SOCKET_MODE);
      resolve(server);
    };
    if (address.family === 'unix') {
      removeOldSocket(address.path);
      server.listen({ path: address.path }, opened);
    } else {
      server.listen(
        { host: address.address, port: address.port, ipv6Only: address.family === 'ipv6' },
        opened,
      );
    }
  });
}

/** One that was left behind by a broker that was killed. What cannot be removed is in the way of the new one. */
export function removeOldSocket(path: string): void {
  try {
    if (!lstatSync(path).isDirectory()) rmSync(path, { force: true });
  } catch {}
}

/** Node says that a socket's folder is closed to us even if there is no such folder, or part of its path is a file. */
export function withTrueReason(error: NodeJS.ErrnoException, address: ListenAddress): Error {
  if (address.family !== 'unix' || error.code !== 'EACCES' || existsSync(dirname(address.path))) return error;
  return Object.assign(error, { code: 'ENOENT', errno: -constants.errno.ENOENT });
}

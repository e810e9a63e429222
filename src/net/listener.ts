/**
 * Opens the listening sockets of one `listener` section. Main accepts on them and hands every connection to a worker;
 * it reads nothing itself.
 */
import { lookup } from 'node:dns/promises';
import { chmodSync, rmSync } from 'node:fs';
import { createServer, isIPv6, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';
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

/** A unix socket is for its owner and group [mosq: listener]. */
const UNIX_SOCKET_MODE = 0o770;

/** The addresses of a listener; a host name gives all that it resolves to. Throws what the lookup throws. */
export async function listenAddresses(place: ListenerPlace): Promise<ListenAddress[]> {
  const { port, host, socketPath } = place;
  if (socketPath !== undefined) return [{ family: 'unix', path: socketPath }];
  let addresses: string[];
  if (place.bindInterface !== undefined) addresses = interfaceAddresses(place.bindInterface, host);
  else if (host === undefined) addresses = ['0.0.0.0', '::'];
  else addresses = (await lookup(host, { all: true })).map(({ address }) => address);
  return [...new Set(addresses)]
    .map((address) => ({ family: isIPv6(address) ? ('ipv6' as const) : ('ipv4' as const), address, port }))
    .filter(({ family }) => place.socketDomain === undefined || family === place.socketDomain);
}

/** [mosq: bind_interface]: the name counts without regard to case. */
function interfaceAddresses(name: string, host: string | undefined): string[] {
  const found = Object.entries(networkInterfaces()).find(
    ([known]) => known.toLowerCase() === name.toLowerCase(),
  );
  if (found === undefined) throw new Error(`Interface ${name} does not exist.`);
  const addresses = (found[1] ?? []).map(({ address, scopeid }) =>
    scopeid ? `${address}%${found[0]}` : address,
  );
  if (host !== undefined && !addresses.includes(host)) {
    throw new Error(`Interface address for ${name} does not match specified listener address (${host}).`);
  }
  return host === undefined ? addresses : [host];
}

/** Opens one listening socket; rejects with the system's error. */
export function listen(address: ListenAddress, events: ArrivalEvents): Promise<Server> {
  const server = createServer({ pauseOnConnect: true, noDelay: false, keepAlive: false });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const opened = (): void => {
      server.off('error', reject);
      receiveArrivals(server, events);
      if (address.family === 'unix') chmodSync(address.path, UNIX_SOCKET_MODE);
      resolve(server);
    };
    if (address.family === 'unix') {
      rmSync(address.path, { force: true }); // left behind by a broker that was killed
      server.listen({ path: address.path }, opened);
    } else {
      server.listen(
        { host: address.address, port: address.port, ipv6Only: address.family === 'ipv6' },
        opened,
      );
    }
  });
}

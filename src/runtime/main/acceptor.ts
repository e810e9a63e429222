/**
 * Main's listening sockets: accepts, checks the limits on connections, and passes each socket's descriptor on to
 * the workers.
 */
import { rmSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { FaultyInput, InputGuard } from '../../broker/input-guard.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import * as lines from '../../log/mosquitto-lines.js';
import { type Arrival, setNoDelayOfArrivals } from '../../net/arrival.js';
import { type BoundSocket, bindSocket } from '../../net/bound-socket.js';
import { type ListenAddress, ListenerError, listenAddresses, overlap } from '../../net/listener.js';
import { pumpSocket } from '../../net/relay.js';
import type { PassedConnection } from '../../routing/messages.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { abandon } from './abandon.js';
import { ArrivalQueue } from './arrival-queue.js';

type RemotePlace = Pick<PassedConnection, 'remoteAddress' | 'remotePort'>;

export class Acceptor {
  #settings: Settings;
  readonly #log: Log;
  readonly #guard: InputGuard;
  #pass: ((connection: PassedConnection) => void) | null = null;
  /** Accepted while nobody could serve them. */
  #waiting: PassedConnection[] = [];
  /** Those that have their addresses, and those of them that listen. */
  readonly #sockets: { socket: BoundSocket; address: ListenAddress; index: number }[] = [];
  readonly #servers: Server[] = [];
  /** Those that came when all places were taken. */
  readonly #queue = new ArrivalQueue((arrival) => this.#refuse(arrival));
  /** Open connections by listener. */
  readonly #open: number[];
  #accepted = 0;
  #isOpen = false;

  constructor(settings: Settings, log: Log, guard: InputGuard) {
    this.#settings = settings;
    this.#log = log;
    this.#guard = guard;
    this.#open = settings.listeners.map(() => 0);
  }

  /** Connections accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Whether the broker can run: all listeners have their addresses, or in local-only mode at least one. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Connections are accepted: not before the workers run, nor while the store is opened anew. */
  get isServing(): boolean {
    return this.#pass !== null;
  }

  /** Gives every listener its addresses. Clients are refused until `serve`, as before the start. */
  async open(): Promise<void> {
    const { listeners, localOnly } = this.#settings;
    let failed = 0;
    for (const [index, listener] of listeners.entries()) {
      if (await this.#openListener(index, listener)) continue;
      failed += 1;
      if (!localOnly) return;
    }
    this.#isOpen = failed < listeners.length;
  }

  /**
   * Begins to accept connections, on all listeners at once, and to pass them on, those that wait already first.
   * @returns false if a socket cannot listen: another program has taken its port meanwhile
   */
  async serve(pass: (connection: PassedConnection) => void): Promise<boolean> {
    this.#pass = pass;
    if (this.#servers.length === 0 && !(await this.#listen())) return false;
    for (const connection of this.#waiting.splice(0)) this.#passOn(connection, pass);
    return true;
  }

  async #listen(): Promise<boolean> {
    const { localOnly, setTcpNodelay } = this.#settings;
    const listening = await Promise.allSettled(this.#sockets.map(({ socket }) => socket.listen()));
    for (const [i, result] of listening.entries()) {
      if (result.status === 'fulfilled') {
        setNoDelayOfArrivals(result.value, setTcpNodelay);
        this.#servers.push(result.value);
        continue;
      }
      const { address } = this.#sockets[i]!;
      this.#reportFailure(result.reason as NodeJS.ErrnoException, address);
      if (!localOnly) return false;
    }
    return this.#servers.length > 0;
  }

  /** Connections wait from now on until `serve`. */
  hold(): void {
    this.#pass = null;
  }

  /** The paths of its unix sockets. */
  get unixSockets(): string[] {
    return this.#sockets.flatMap(({ address }) => (address.family === 'unix' ? [address.path] : []));
  }

  reload(settings: Settings): void {
    this.#settings = settings;
    for (const server of this.#servers) setNoDelayOfArrivals(server, settings.setTcpNodelay);
  }

  /** A connection of this listener is gone. */
  closed(listener: number): void {
    this.#open[listener]! -= 1;
    const next = this.#queue.takeFirst((index) => this.#hasRoom(index));
    if (next !== undefined) this.#admit(next.listener, next.arrival);
  }

  /** Stops accepting, and removes unix sockets. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const { socket, address } of this.#sockets) {
      socket.close();
      if (address.family === 'unix') removeSocket(address.path);
    }
    this.#servers.length = 0;
    this.#sockets.length = 0;
    this.#queue.close();
  }

  async #openListener(index: number, listener: ListenerSettings): Promise<boolean> {
    let addresses: ListenAddress[];
    try {
      addresses = await listenAddresses(listener);
    } catch (error) {
      const isSaid = error instanceof ListenerError;
      this.#log.write(
        'error',
        isSaid ? error.message : lines.errorCreatingListener(cLibraryErrorText(error)),
      );
      return false;
    }
    let opened = 0;
    let said = '';
    for (const address of addresses) {
      const line = openingLine(address, listener.protocol);
      if (line !== said) this.#log.write('information', line);
      said = line;
      if (this.#reportOwn(address, listener)) return false;
      try {
        const socket = await bindSocket(address, {
          arrived: (arrival) => this.#accept(index, arrival),
          failed: () => this.#log.write('warning', lines.systemSocketCountExceeded()),
        });
        this.#sockets.push({ socket, address, index });
        opened += 1;
      } catch (error) {
        if (isMissingFamily(error, listener)) continue;
        this.#reportFailure(error as NodeJS.ErrnoException, address);
        return false;
      }
    }
    return opened > 0;
  }

  #reportFailure(error: NodeJS.ErrnoException, address: ListenAddress): void {
    const text = cLibraryErrorText(error);
    this.#log.write(
      'error',
      address.family === 'unix' ? lines.errorBindingUnixSocket(text) : lines.error(text),
    );
    if (error.code === 'EADDRINUSE' && address.family !== 'unix') {
      const { port } = address;
      this.#log.write(
        'error',
        `Another program is using port ${port}, to listen on or for a connection: \`ss -tanp 'sport = :${port}'\` shows which.`,
      );
    } else if (error.code === 'EACCES' && address.family !== 'unix') {
      this.#log.write(
        'error',
        `Ports below 1024 need the right to bind them: start as root with the "user" option,`,
      );
      this.#log.write('error', `or give it to node: setcap 'CAP_NET_BIND_SERVICE=+ep ${process.execPath}'`);
    }
  }

  /**
   * Says that another listener of this broker has the address already.
   * @returns whether it has
   */
  #reportOwn(address: ListenAddress, listener: ListenerSettings): boolean {
    const own = this.#sockets.find((open) => overlap(open.address, address));
    if (own === undefined) return false;
    this.#log.write('error', lines.error('Address already in use'));
    const what = address.family === 'unix' ? `The socket ${address.path}` : `Port ${address.port}`;
    const first = this.#settings.listeners[own.index]!.foundAt;
    const { foundAt } = listener;
    this.#log.write(
      'error',
      first === undefined || foundAt === undefined
        ? `${what} is to be opened twice by this broker itself: with -p on its command line.`
        : `${what} is to be opened twice by this broker itself: at ${first} and at ${foundAt}. Remove one of them, or give it another port or address.`,
    );
    return true;
  }

  #accept(index: number, arrival: Arrival): void {
    try {
      if (this.#hasRoom(index)) this.#admit(index, arrival);
      else this.#queue.add(index, arrival);
    } catch (error) {
      this.#failed(error, arrival);
    }
  }

  /** It costs this connection only: nobody but main accepts others. */
  #failed(error: unknown, arrival: Arrival): void {
    this.#guard.caught(error, faultyConnection(arrival));
    arrival.drop();
  }

  /** [mosq: max_connections, global_max_connections] */
  #hasRoom(index: number): boolean {
    const { listeners, globalMaxConnections } = this.#settings;
    const { maxConnections } = listeners[index]!;
    if (maxConnections > 0 && this.#open[index]! >= maxConnections) return false;
    return (
      globalMaxConnections <= 0 || this.#open.reduce((sum, open) => sum + open, 0) < globalMaxConnections
    );
  }

  #refuse(arrival: Arrival): void {
    try {
      if (this.#settings.connectionMessages) {
        this.#log.write('notice', lines.maxConnectionsExceeded(arrival.remoteAddress));
      }
      arrival.drop();
    } catch (error) {
      this.#failed(error, arrival);
    }
  }

  #admit(index: number, arrival: Arrival): void {
    try {
      this.#takeUp(index, arrival);
    } catch (error) {
      this.#failed(error, arrival);
    }
  }

  #takeUp(index: number, arrival: Arrival): void {
    const { remoteAddress, remotePort } = arrival;
    const taken = arrival.take();
    const handover = typeof taken === 'number' ? taken : relay(taken);
    if (handover === -1) {
      this.#log.write('warning', lines.systemSocketCountExceeded());
      return;
    }
    this.#accepted += 1;
    this.#open[index]! += 1;
    this.#passOn(
      { handover, listener: index, remoteAddress, remotePort, received: null, tls: null },
      (connection) => {
        this.#logNew(connection);
        if (this.#pass === null) this.#waiting.push(connection);
        else this.#pass(connection);
      },
    );
  }

  #logNew({ listener, remoteAddress, remotePort }: PassedConnection): void {
    const { connectionMessages, listeners } = this.#settings;
    const { port, enableProxyProtocol } = listeners[listener]!;
    // Of a proxy's connection the client is not known yet, and nothing is said [mosq: enable_proxy_protocol].
    if (!connectionMessages || enableProxyProtocol !== undefined) return;
    this.#log.write('notice', lines.newConnection(remoteAddress, remotePort, port));
  }

  /** From here on the connection counts, until `closed`. */
  #passOn(connection: PassedConnection, pass: (connection: PassedConnection) => void): void {
    try {
      pass(connection);
    } catch (error) {
      this.#guard.caught(error, faultyConnection(connection));
      abandon(connection.handover);
      this.closed(connection.listener);
    }
  }
}

function faultyConnection({ remoteAddress, remotePort }: RemotePlace): FaultyInput {
  return { from: `${remoteAddress}:${remotePort}`, what: 'a new connection' };
}

/** In a folder of root's the socket's file has to stay; the next start replaces it. */
function removeSocket(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
}

/** Keeps the socket here and gives out a port to it. */
function relay(socket: Socket): MessagePort {
  const { port1, port2 } = new MessageChannel();
  pumpSocket(socket, port1);
  return port2;
}

/** A machine without IPv6 (or IPv4) can serve the other family, if no address was asked for. */
function isMissingFamily(error: unknown, listener: ListenerSettings): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return listener.host === undefined && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL');
}

function openingLine(address: ListenAddress, protocol: ListenerSettings['protocol']): string {
  if (address.family === 'unix') return lines.openingUnixListenSocket(address.path);
  if (protocol === 'websockets') return lines.openingWebSocketsListenSocket(address.port);
  if (protocol === 'http_api') return lines.openingHttpApiListenSocket(address.port);
  return lines.openingListenSocket(address.family, address.port);
}

/**
 * Connections that main has passed to this worker, taken up: a socket or a relay; TLS first where the listener has it,
 * then the handshake of WebSockets where it speaks those.
 */
import { closeSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { TlsSession } from '../auth/authenticator.js';
import type { Broker } from '../broker/broker.js';
import { Connection } from '../broker/connection.js';
import type { Handover, Transport, TransportUser } from '../broker/ports.js';
import type { Settings } from '../config/settings.js';
import { clientDisconnected } from '../log/mosquitto-lines.js';
import { Counter } from '../metrics/counters.js';
import { socketOf } from '../net/descriptor.js';
import { RelayStream, RelayTransport } from '../net/relay.js';
import { type SocketOrigin, SocketTransport } from '../net/socket-transport.js';
import { TlsTransport } from '../net/tls-transport.js';
import type { WebSocketAcceptor } from '../net/websocket-acceptor.js';
import type { FileTexts, PassedConnection, WorkerStart } from '../routing/messages.js';
import { writeTlsKeylog } from './tls-keylog.js';
import { TlsListeners } from './tls-listeners.js';

interface ServableTransport extends Transport {
  serve(user: TransportUser): void;
}

export class WorkerIntake {
  readonly #broker: Broker;
  readonly #tls: TlsListeners;
  /** `null` until the first connection of that kind: brokers without them need not hold what serves them. */
  #webSockets: Promise<WebSocketAcceptor> | null = null;

  constructor(broker: Broker, { settings, files, tlsKeylog }: WorkerStart) {
    this.#broker = broker;
    this.#tls = new TlsListeners(settings, files, {
      secured: (socket, origin, session) => this.#secured(socket, origin, session),
      failed: (origin, reason) => this.#refused(origin, reason),
      keylog: keylogTo(tlsKeylog),
    });
  }

  /** SIGHUP. */
  reload(settings: Settings, files: FileTexts): void {
    this.#tls.replace(settings, files);
  }

  /** Takes a connection up. */
  serve({ handover, received, tls, ...origin }: PassedConnection): void {
    this.#broker.counters[Counter.connectionsTaken]! += 1; // if this thread dies now, the descriptor dies with it
    if (tls === null && this.#tls.isFor(origin.listener)) {
      const stream = this.#openStream(handover, origin);
      if (stream !== null) this.#tls.accept(stream, origin);
      return;
    }
    // One that another worker passes on has its handshake behind it, and comes with what it had sent.
    if (received === null && this.#speaksWebSockets(origin)) {
      const stream = this.#openStream(handover, origin);
      if (stream !== null) this.#upgrade(stream, origin, null);
      return;
    }
    const transport =
      typeof handover === 'number'
        ? this.#openSocket(handover, origin)
        : new RelayTransport(handover, origin, tls);
    if (transport === null) this.#broker.directory.closed(origin.listener);
    else this.#connect(transport, received);
  }

  #connect(transport: ServableTransport, received: Uint8Array | null): void {
    const connection = new Connection(this.#broker, transport);
    transport.serve(connection);
    if (received !== null) connection.receive(received, received.length);
  }

  /** @returns `null` where the peer is gone already */
  #openSocket(fd: number, origin: SocketOrigin): SocketTransport | null {
    try {
      return new SocketTransport(fd, this.#kindOf(origin), origin);
    } catch {
      closeSync(fd);
      return null;
    }
  }

  #kindOf({ listener }: SocketOrigin): 'tcp' | 'unix' {
    return this.#broker.settings.listeners[listener]?.socketPath === undefined ? 'tcp' : 'unix';
  }

  #speaksWebSockets({ listener }: SocketOrigin): boolean {
    return this.#broker.settings.listeners[listener]?.protocol === 'websockets';
  }

  /** For a handshake, which comes first. @returns `null` where the peer is gone already */
  #openStream(handover: Handover, origin: SocketOrigin): Duplex | null {
    if (typeof handover !== 'number') return new RelayStream(new RelayTransport(handover, origin));
    try {
      return socketOf(handover, this.#kindOf(origin));
    } catch {
      closeSync(handover);
      this.#broker.directory.closed(origin.listener);
      return null;
    }
  }

  #secured(socket: TLSSocket, origin: SocketOrigin, session: TlsSession): void {
    if (this.#speaksWebSockets(origin)) this.#upgrade(socket, origin, session);
    else this.#connect(new TlsTransport(socket, origin, session), null);
  }

  #upgrade(stream: Duplex, origin: SocketOrigin, tls: TlsSession | null): void {
    stream.on('error', ignoreError); // until the acceptor is there; it sees that the stream has ended
    this.#webSockets ??= this.#loadWebSockets();
    void this.#webSockets.then((acceptor) => acceptor.accept(stream, origin, tls));
  }

  async #loadWebSockets(): Promise<WebSocketAcceptor> {
    const { WebSocketAcceptor } = await import('../net/websocket-acceptor.js');
    const broker = this.#broker;
    return new WebSocketAcceptor({
      headerSizeMax: broker.settings.packetBufferSize,
      packetSizeMax: () => broker.settings.maxPacketSize,
      originsOf: (listener) => broker.settings.listeners[listener]!.websocketsOrigin,
      accepted: (transport) => this.#connect(transport, null),
      failed: (origin, reason) => this.#refused(origin, reason),
    });
  }

  #refused({ listener, remoteAddress, remotePort }: SocketOrigin, reason: string): void {
    this.#broker.directory.closed(listener);
    if (!this.#broker.settings.connectionMessages) return;
    const client = { clientId: null, address: remoteAddress, port: remotePort, reason };
    this.#broker.log.write('notice', clientDisconnected(client));
  }
}

function keylogTo(fd: number | null): ((line: Buffer) => void) | null {
  return fd === null ? null : (line) => writeTlsKeylog(fd, line);
}

function ignoreError(): void {}

/**
 * Accepts the connections that main passes to this worker, as a socket or a relay: first the header of a proxy if
 * clients come through one, then TLS if the listener has it, then the handshake if it speaks WebSockets.
 */

import { closeSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { TlsSession } from '../../auth/authenticator.js';
import { NO_BYTES } from '../../base/no-bytes.js';
import type { Broker } from '../../broker/broker.js';
import { openConnection } from '../../broker/packet-path.js';
import type { Detached, Handover, Transport, TransportUser } from '../../broker/ports.js';
import type { Settings } from '../../config/settings.js';
import { clientDisconnected, DisconnectReason, negotiatedTlsWithProxy } from '../../log/mosquitto-lines.js';
import { socketOf } from '../../net/descriptor.js';
import { type ProxyDemands, ProxyHandshake } from '../../net/proxy-handshake.js';
import { RelayStream, RelayTransport } from '../../net/relay.js';
import { type SocketOrigin, SocketTransport } from '../../net/socket-transport.js';
import { TlsTransport } from '../../net/tls-transport.js';
import type { WebSocketAcceptor } from '../../net/websocket-acceptor.js';
import type { FileTexts, PassedConnection, WorkerStart } from '../../routing/messages.js';
import { Counter } from '../../sys/counters.js';
import { writeTlsKeylog } from '../shared/tls-keylog.js';
import { TlsListeners } from '../shared/tls-listeners.js';

interface ServableTransport extends Transport {
  serve(user: TransportUser): void;
}

export class WorkerIntake {
  readonly #broker: Broker;
  readonly #tls: TlsListeners;
  /** `null` until the first connection of that kind: their code is loaded with it. */
  #webSockets: Promise<WebSocketAcceptor> | null = null;

  constructor(broker: Broker, { settings, files, tlsKeylog }: WorkerStart) {
    this.#broker = broker;
    this.#tls = new TlsListeners(settings, files, {
      secured: (socket, origin, session) => this.#secured(socket, origin, session),
      failed: (origin, reason) => this.#refused(origin, reason),
      faulted: (origin, error) => this.#faulted(origin, 'a TLS handshake', error),
      keylog: keylogTo(tlsKeylog),
    });
  }

  /** SIGHUP. */
  reload(settings: Settings, files: FileTexts): void {
    this.#tls.replace(settings, files);
  }

  /** Takes a connection up. */
  serve(connection: PassedConnection): void {
    try {
      this.#serve(connection);
    } catch (error) {
      this.#faulted(connection, 'a connection', error);
      this.#refused(connection, DisconnectReason.implementationSpecific);
    }
  }

  #serve({ handover, received, tls, ...origin }: PassedConnection): void {
    this.#broker.counters[Counter.connectionsTaken]! += 1; // if this thread dies now, the descriptor dies with it
    const listener = this.#broker.settings.listeners[origin.listener]!;
    // One that another worker passes on has all that comes before MQTT behind it, and comes with what it had sent.
    if (received !== null) this.#connectPlain({ handover, unread: received }, origin, tls);
    else if (listener.enableProxyProtocol !== undefined) this.#readProxyHeader(handover, origin, listener);
    else this.#begin({ handover, unread: NO_BYTES }, origin, null);
  }

  /** A client's first bytes. @param tls what a proxy has settled with the client */
  #begin(arrived: Detached, origin: SocketOrigin, tls: TlsSession | null): void {
    if (this.#tls.isFor(origin.listener)) {
      const stream = this.#openStream(arrived, origin);
      if (stream !== null) this.#tls.accept(stream, origin);
    } else if (this.#speaksWebSockets(origin)) {
      const stream = this.#openStream(arrived, origin);
      if (stream !== null) this.#upgrade(stream, origin, tls);
    } else {
      this.#connectPlain(arrived, origin, tls);
    }
  }

  /** @param tls of a handshake that is done, elsewhere */
  #connectPlain({ handover, unread }: Detached, origin: SocketOrigin, tls: TlsSession | null): void {
    const transport = this.#openTransport(handover, origin, tls);
    if (transport !== null) this.#connect(transport, unread);
  }

  #connect(transport: ServableTransport, received: Uint8Array): void {
    const connection = openConnection(this.#broker, transport);
    transport.serve(connection);
    if (received.length > 0) connection.receive(received, received.length);
  }

  /** @returns `null` if the peer is gone already */
  #openTransport(handover: Handover, origin: SocketOrigin, tls: TlsSession | null): ServableTransport | null {
    if (typeof handover !== 'number') return new RelayTransport(handover, origin, tls);
    try {
      return new SocketTransport(handover, this.#kindOf(origin), origin, tls);
    } catch {
      closeSync(handover);
      this.#broker.directory.closed(origin.listener);
      return null;
    }
  }

  /** Only here is a header believed: without the option, to a client that sends one it is a bad packet. */
  #readProxyHeader(handover: Handover, origin: SocketOrigin, demands: ProxyDemands): void {
    const transport = this.#openTransport(handover, origin, null);
    transport?.serve(
      new ProxyHandshake(transport, demands, {
        passed: (behind, client, tls) => this.#passedByProxy(behind, client, tls),
        ended: (listener, lines) => this.#ended(listener, lines),
        faulted: (from, error) => this.#faulted(from, 'a PROXY header', error),
      }),
    );
  }

  #passedByProxy(behind: Detached, client: SocketOrigin, tls: TlsSession | null): void {
    if (tls !== null && tls.protocol !== '' && tls.cipher !== '') {
      const { remoteAddress, remotePort } = client;
      this.#say(negotiatedTlsWithProxy(remoteAddress, remotePort, tls.protocol, tls.cipher));
    }
    this.#begin(behind, client, tls);
  }

  #kindOf({ listener }: SocketOrigin): 'tcp' | 'unix' {
    return this.#broker.settings.listeners[listener]?.socketPath === undefined ? 'tcp' : 'unix';
  }

  #speaksWebSockets({ listener }: SocketOrigin): boolean {
    return this.#broker.settings.listeners[listener]?.protocol === 'websockets';
  }

  /** For a handshake, which comes first. @returns `null` if the peer is gone already */
  #openStream({ handover, unread }: Detached, origin: SocketOrigin): Duplex | null {
    let stream: Duplex;
    try {
      stream =
        typeof handover === 'number'
          ? socketOf(handover, this.#kindOf(origin))
          : new RelayStream(new RelayTransport(handover, origin));
    } catch {
      closeSync(handover as number);
      this.#broker.directory.closed(origin.listener);
      return null;
    }
    if (unread.length > 0) stream.unshift(unread);
    return stream;
  }

  #secured(socket: TLSSocket, origin: SocketOrigin, session: TlsSession): void {
    if (this.#speaksWebSockets(origin)) this.#upgrade(socket, origin, session);
    else this.#connect(new TlsTransport(socket, origin, session), NO_BYTES);
  }

  #upgrade(stream: Duplex, origin: SocketOrigin, tls: TlsSession | null): void {
    stream.on('error', ignoreError); // until the acceptor is there; it sees that the stream has ended
    this.#webSockets ??= this.#loadWebSockets();
    this.#webSockets
      .then((acceptor) => acceptor.accept(stream, origin, tls))
      .catch((error) => {
        this.#faulted(origin, 'a WebSocket handshake', error);
        stream.destroy();
        this.#refused(origin, DisconnectReason.implementationSpecific);
      });
  }

  async #loadWebSockets(): Promise<WebSocketAcceptor> {
    const { WebSocketAcceptor } = await import('../../net/websocket-acceptor.js');
    const broker = this.#broker;
    return new WebSocketAcceptor({
      headerSizeMax: broker.settings.packetBufferSize,
      packetSizeMax: () => broker.settings.maxPacketSize,
      originsOf: (listener) => broker.settings.listeners[listener]!.websocketsOrigin,
      accepted: (transport) => this.#connect(transport, NO_BYTES),
      failed: (origin, reason) => this.#refused(origin, reason),
      faulted: (origin, error) => this.#faulted(origin, 'a WebSocket handshake', error),
    });
  }

  /** @throws the error, if the thread has to fall over it */
  #faulted({ remoteAddress, remotePort }: SocketOrigin, what: string, error: unknown): void {
    this.#broker.guard.caught(error, { from: `${remoteAddress}:${remotePort}`, what });
  }

  #refused({ listener, remoteAddress, remotePort }: SocketOrigin, reason: string): void {
    const client = { clientId: null, address: remoteAddress, port: remotePort, reason };
    this.#ended(listener, [clientDisconnected(client)]);
  }

  /** A connection ended before MQTT began. */
  #ended(listener: number, lines: readonly string[]): void {
    this.#broker.directory.closed(listener);
    for (const line of lines) this.#say(line);
  }

  #say(line: string): void {
    if (this.#broker.settings.connectionMessages) this.#broker.log.write('notice', line);
  }
}

function keylogTo(fd: number | null): ((line: Buffer) => void) | null {
  return fd === null ? null : (line) => writeTlsKeylog(fd, line);
}

function ignoreError(): void {}

/** Connections that main has passed to this worker, taken up: a socket or a relay, TLS first where the listener has it. */
import { closeSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Broker } from '../broker/broker.js';
import { Connection } from '../broker/connection.js';
import type { Handover } from '../broker/ports.js';
import type { Settings } from '../config/settings.js';
import { clientDisconnected } from '../log/mosquitto-lines.js';
import { Counter } from '../metrics/counters.js';
import { socketOf } from '../net/descriptor.js';
import { RelayStream, RelayTransport } from '../net/relay.js';
import { type SocketOrigin, SocketTransport } from '../net/socket-transport.js';
import type { TlsTransport } from '../net/tls-transport.js';
import type { FileTexts, PassedConnection, WorkerStart } from '../routing/messages.js';
import { writeTlsKeylog } from './tls-keylog.js';
import { TlsListeners } from './tls-listeners.js';

export class WorkerIntake {
  readonly #broker: Broker;
  readonly #tls: TlsListeners;

  constructor(broker: Broker, { settings, files, tlsKeylog }: WorkerStart) {
    this.#broker = broker;
    this.#tls = new TlsListeners(settings, files, {
      secured: (transport) => this.#connect(transport, null),
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
      this.#secure(handover, origin);
      return;
    }
    const transport =
      typeof handover === 'number'
        ? this.#openSocket(handover, origin)
        : new RelayTransport(handover, origin, tls);
    if (transport === null) this.#broker.directory.closed(origin.listener);
    else this.#connect(transport, received);
  }

  #connect(transport: SocketTransport | TlsTransport | RelayTransport, received: Uint8Array | null): void {
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

  /** The handshake comes first. */
  #secure(handover: Handover, origin: SocketOrigin): void {
    if (typeof handover !== 'number') {
      this.#tls.accept(new RelayStream(new RelayTransport(handover, origin)), origin);
      return;
    }
    let socket: Socket;
    try {
      socket = socketOf(handover, this.#kindOf(origin));
    } catch {
      closeSync(handover);
      this.#broker.directory.closed(origin.listener);
      return;
    }
    this.#tls.accept(socket, origin);
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

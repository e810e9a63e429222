/**
 * Reads the header of a connection that comes through a proxy. Then it hands the descriptor on for a new connection, as
 * if the client had connected itself, so that the bytes behind the header do not pass through here.
 */
import type { TlsSession } from '../auth/authenticator.js';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import type { ListenerSettings } from '../config/settings.js';
import * as lines from '../log/mosquitto-lines.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import {
  type CorruptProxyHeader,
  type ProxyHeader,
  type ProxyTls,
  type ProxyVersion,
  parseProxyHeader,
} from './proxy-header.js';
import type { SocketOrigin } from './socket-transport.js';
import { HANDSHAKE_MS } from './time-limits.js';

/** What the listener asks of the header. */
export type ProxyDemands = Pick<
  ListenerSettings,
  'enableProxyProtocol' | 'proxyProtocolV2RequireTls' | 'requireCertificate'
>;

export interface ProxyEvents {
  /**
   * The header is read.
   * @param behind the connection, and what has come of the client's bytes
   * @param origin with the client's address, if the header has it
   * @param tls what the proxy has settled; `null` = the client did not come to it over TLS, or it does not say
   */
  passed: (behind: Detached, origin: SocketOrigin, tls: TlsSession | null) => void;
  /** An exception that nobody expected came of the header; `ended` follows. @throws if the thread has to fall */
  faulted: (origin: SocketOrigin, error: unknown) => void;
  /** The connection is over. @param lines about its end */
  ended: (listener: number, lines: readonly string[]) => void;
}

export class ProxyHandshake implements TransportUser {
  readonly #transport: Transport;
  readonly #version: ProxyVersion;
  readonly #demands: ProxyDemands;
  readonly #events: ProxyEvents;
  readonly #timer: NodeJS.Timeout;
  /** What has come, less than a header. */
  #bytes = Buffer.alloc(0);

  /** @param transport that is to be served by this */
  constructor(transport: Transport, demands: ProxyDemands, events: ProxyEvents) {
    this.#transport = transport;
    this.#version = demands.enableProxyProtocol as ProxyVersion;
    this.#demands = demands;
    this.#events = events;
    this.#timer = setTimeout(() => this.#end([this.#endLine(DisconnectReason.timeout)]), HANDSHAKE_MS);
  }

  receive(buffer: Uint8Array, length: number): void {
    try {
      this.#receive(buffer, length);
    } catch (error) {
      this.#events.faulted(this.#transport, error);
      this.#end([this.#endLine(DisconnectReason.implementationSpecific)]);
    }
  }

  #receive(buffer: Uint8Array, length: number): void {
    const bytes = Buffer.concat([this.#bytes, buffer.subarray(0, length)]);
    const header = parseProxyHeader(this.#version, bytes);
    if (header === 'incomplete') this.#bytes = bytes;
    else if ('fault' in header) this.#refuse(header);
    else if (header.command === 'LOCAL') this.#end([]);
    else this.#pass(header, bytes.subarray(header.length));
  }

  /** Nothing is written. */
  drained(): void {}

  transportEnded(reason: string): void {
    this.#end([this.#endLine(reason === '' ? DisconnectReason.closedByClient : reason)]);
  }

  #pass({ source, tls }: ProxyHeader, rest: Uint8Array): void {
    const { listener } = this.#transport;
    const { address, port } = source ?? this.#peer;
    const refusal = this.#refusalOf(tls);
    if (refusal !== null) {
      this.#end([refusal(address, port)]);
      return;
    }
    clearTimeout(this.#timer);
    const detached = this.#transport.detach();
    if (detached === null) {
      this.#events.ended(listener, []);
      return;
    }
    const behind = { handover: detached.handover, unread: Buffer.concat([rest, detached.unread]) };
    const origin = { listener, remoteAddress: address, remotePort: port };
    this.#events.passed(behind, origin, tls === null ? null : sessionOf(tls));
  }

  /** The line for a client that the listener does not want, `null` for one that it takes. */
  #refusalOf(tls: ProxyTls | null): ((address: string, port: number) => string) | null {
    const { proxyProtocolV2RequireTls, requireCertificate } = this.#demands;
    if (this.#version === 1) return null; // it does not know of TLS
    if (proxyProtocolV2RequireTls && tls === null) return lines.proxyClientWithoutTls;
    if (requireCertificate && !tls?.hasCertificate) return lines.proxyClientWithoutCertificate;
    return null;
  }

  #refuse({ fault, source }: CorruptProxyHeader): void {
    const line =
      source === null ? lines.corruptProxyHeader() : lines.corruptProxyHeaderOf(source.address, source.port);
    this.#end([line, this.#endLine(`PROXY header: ${fault}`, source ?? this.#peer)]);
  }

  /** @param said lines about it */
  #end(said: readonly string[]): void {
    clearTimeout(this.#timer);
    this.#transport.end();
    this.#events.ended(this.#transport.listener, said);
  }

  get #peer(): { address: string; port: number } {
    return { address: this.#transport.remoteAddress, port: this.#transport.remotePort };
  }

  #endLine(reason: string, { address, port } = this.#peer): string {
    return lines.clientDisconnected({ clientId: null, address, port, reason });
  }
}

function sessionOf({ version = '', cipher = '', commonName }: ProxyTls): TlsSession {
  return { protocol: version, cipher, identity: { kind: 'proxy', commonName } };
}

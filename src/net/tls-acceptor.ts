/**
 * Does the TLS handshakes of one listener in one worker. Node's TLS server does not listen: it gets sockets. A failed
 * handshake is one line of the log, with the reason.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls';
import type { TlsIdentity, TlsSession } from '../auth/authenticator.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import type { SocketOrigin } from './socket-transport.js';
import { HANDSHAKE_MS } from './time-limits.js';
import { opensslReason } from './tls-context.js';
import { certificateFault, certificateIdentity, type Trust } from './tls-identity.js';

export interface TlsAcceptorOptions {
  /** From `tlsOptions`. */
  options: TlsOptions;
  /** Pre-shared keys by identity; `null` for certificates. */
  keys: ReadonlyMap<string, Buffer> | null;
  trust: Trust;
  /** The handshake is done, and the client has shown the certificate or key that the listener asks for. */
  secured: (socket: TLSSocket, origin: SocketOrigin, session: TlsSession) => void;
  /** @param reason for the line about its end */
  failed: (origin: SocketOrigin, reason: string) => void;
  /** An exception that nobody expected came of a handshake; `failed` follows. @throws if the thread has to fall */
  faulted: (origin: SocketOrigin, error: unknown) => void;
  /** Given each line for a key log; `null` = there is none. */
  keylog: ((line: Buffer) => void) | null;
}

export class TlsAcceptor {
  readonly #options: TlsAcceptorOptions;
  readonly #server: Server;
  /** Of sockets whose handshake goes on; weak, because a `Map` would hold on to the others (`number-map.ts`). */
  readonly #origins = new WeakMap<Socket, SocketOrigin>();
  /** What clients called themselves, whether or not they have the key. */
  readonly #identities = new WeakMap<TLSSocket, string>();

  constructor(options: TlsAcceptorOptions) {
    this.#options = options;
    this.#server = this.#createServer((socket) => this.#take(socket));
  }

  #createServer(originOf: (socket: TLSSocket) => SocketOrigin | undefined): Server {
    const { keys, options, keylog } = this.#options;
    const server = createServer({
      ...options,
      handshakeTimeout: HANDSHAKE_MS,
      ...(keys !== null && {
        pskCallback: (socket: TLSSocket, identity: string) => this.#keyOf(socket, identity, keys),
      }),
    });
    server.on('secureConnection', (socket) => {
      const origin = originOf(socket);
      if (origin === undefined) return;
      try {
        this.#secured(socket, origin);
      } catch (error) {
        this.#faulted(socket, origin, error);
      }
    });
    server.on('tlsClientError', (error, socket) => {
      const origin = originOf(socket);
      if (origin === undefined) return;
      try {
        this.#options.failed(origin, this.#reasonOf(error, socket));
      } catch (fault) {
        this.#faulted(socket, origin, fault);
      }
    });
    if (keylog !== null) server.on('keylog', keylog);
    return server;
  }

  /** @param stream the encrypted side; this acceptor's from now on */
  accept(stream: Duplex, origin: SocketOrigin): void {
    if (stream instanceof Socket) {
      this.#origins.set(stream, origin);
      this.#server.emit('connection', stream);
    } else {
      // There is no way back from the encrypted socket to a stream, so it gets a server of its own.
      this.#createServer(() => origin).emit('connection', stream);
    }
  }

  #keyOf(socket: TLSSocket, identity: string, keys: ReadonlyMap<string, Buffer>): Buffer | null {
    this.#identities.set(socket, identity);
    return keys.get(identity) ?? null;
  }

  #faulted(socket: TLSSocket, origin: SocketOrigin, error: unknown): void {
    this.#options.faulted(origin, error);
    socket.on('error', () => {});
    socket.destroy();
    this.#options.failed(origin, DisconnectReason.implementationSpecific);
  }

  #secured(socket: TLSSocket, origin: SocketOrigin): void {
    const fault = this.#options.options.requestCert ? certificateFault(socket, this.#options.trust) : null;
    if (fault !== null) {
      socket.on('error', () => {});
      socket.destroy();
      this.#options.failed(origin, `TLS: ${fault}`);
      return;
    }
    const session = {
      protocol: socket.getProtocol() ?? '',
      cipher: (socket.getCipher() as { name?: string } | null | undefined)?.name ?? '',
      identity: this.#identityOf(socket),
    };
    this.#options.secured(socket, origin, session);
  }

  #identityOf(socket: TLSSocket): TlsIdentity | undefined {
    const identity = this.#identities.get(socket);
    return identity === undefined ? certificateIdentity(socket) : { kind: 'psk', identity };
  }

  #reasonOf(error: NodeJS.ErrnoException, socket: TLSSocket): string {
    const identity = this.#identities.get(socket);
    const { keys } = this.#options;
    if (keys !== null && identity !== undefined) {
      if (!keys.has(identity)) return `TLS: the identity "${identity}" is not in psk_file`;
      if (WRONG_KEY.has(error.code ?? '')) return `TLS: the key of the identity "${identity}" is wrong`;
    }
    return handshakeFault(error);
  }

  /** The socket that was given comes back inside of the encrypted one. */
  #take(socket: TLSSocket): SocketOrigin | undefined {
    // No documented way leads from one to the other; tests watch over this one.
    const { _parent: parent } = socket as unknown as { _parent: Socket };
    const origin = this.#origins.get(parent);
    this.#origins.delete(parent);
    return origin;
  }
}

/** What a wrong key looks like: the first encrypted record does not decrypt. */
const WRONG_KEY: ReadonlySet<string> = new Set([
  'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
  'ERR_SSL_DIGEST_CHECK_FAILED',
  'ERR_SSL_BAD_DECRYPT',
  'ERR_SSL_BLOCK_CIPHER_PAD_IS_WRONG',
]);

const NOT_TLS = 'it does not speak TLS';
const NO_TRUST = 'it does not trust our certificate';

const HANDSHAKE_FAULTS: ReadonlyMap<string, string> = new Map([
  ['ERR_SSL_WRONG_VERSION_NUMBER', NOT_TLS],
  ['ERR_SSL_HTTP_REQUEST', NOT_TLS],
  ['ERR_SSL_HTTPS_PROXY_REQUEST', NOT_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NOT_TLS],
  ['ERR_SSL_UNKNOWN_PROTOCOL', NOT_TLS],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'it has no version of TLS in common with us (tls_version)'],
  ['ERR_SSL_NO_SHARED_CIPHER', 'it has no cipher in common with us (ciphers)'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', NO_TRUST],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', NO_TRUST],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', NO_TRUST],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', `${NO_TRUST}: it has expired`],
  ['ERR_TLS_HANDSHAKE_TIMEOUT', 'its handshake took too long'],
]);

/** For the line about the end of a connection. */
function handshakeFault(error: NodeJS.ErrnoException): string {
  const { code = '' } = error;
  if (code === 'ECONNRESET' || code === 'EPIPE') return DisconnectReason.closedByClient;
  const known = HANDSHAKE_FAULTS.get(code);
  const detail = opensslReason(error).replace(/\.$/, '');
  return known === undefined ? `TLS: ${detail}` : `TLS: ${known} (${detail})`;
}

/**
 * Serves HTTP/1.1 on streams that were accepted elsewhere. Node's HTTP server does not listen: it gets streams. The
 * time limits are ours, because Node's own only work for a server that listens, and not for every kind of stream.
 */
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Duplex } from 'node:stream';
import type { TlsSession } from '../auth/authenticator.js';
import type { SocketOrigin } from '../net/socket-transport.js';

/** Bytes of the largest request without its body, which nobody reads. */
const HEADER_BYTES_MAX = 8 * 1024;

/** Milliseconds from the accept, or from an answer, to the last byte of the next request's header. */
const REQUEST_MS = 10_000;

/** Milliseconds after which an answer has to have moved on: who does not read is not waited for. */
const ANSWER_MS = 10_000;

export const NOT_FOUND_BODY = 'Not found.\n';

/** Answers to what Node's parser refuses, by its code; others get a plain 400. */
const REFUSALS: ReadonlyMap<string, { status: number; body: string }> = new Map([
  ['HPE_HEADER_OVERFLOW', { status: 431, body: '' }],
  // A path that does not begin with a slash.
  ['HPE_INVALID_URL', { status: 404, body: NOT_FOUND_BODY }],
]);

export interface HttpServerOptions {
  /** Ends the response. */
  answer: (request: IncomingMessage, response: ServerResponse, connection: HttpConnection) => Promise<void>;
  /** An exception that nobody expected came of a request; its connection ends. @throws if main has to fall */
  faulted: (origin: SocketOrigin, error: unknown) => void;
  /** The stream is closed. */
  closed: (origin: SocketOrigin) => void;
}

/** One connection, on which one request after the other is answered. */
export class HttpConnection {
  readonly origin: SocketOrigin;
  /** `null` = it is not encrypted. */
  readonly tls: TlsSession | null;
  isAnswering = false;
  /** Begins with a request that came while the last one is being answered. */
  next: (() => void) | null = null;
  readonly #stream: Duplex;
  #timer: NodeJS.Timeout | undefined;

  constructor(stream: Duplex, origin: SocketOrigin, tls: TlsSession | null) {
    this.#stream = stream;
    this.origin = origin;
    this.tls = tls;
  }

  get isGone(): boolean {
    return this.#stream.destroyed;
  }

  /** It ends unless its limit is set again before. */
  setLimit(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#stream.destroy(), milliseconds);
  }

  /** An answer has moved on. */
  progress(): void {
    if (this.isAnswering) this.setLimit(ANSWER_MS);
  }

  ended(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #http: Server;
  readonly #connections = new Map<Duplex, HttpConnection>();

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#http = createServer({ maxHeaderSize: HEADER_BYTES_MAX, keepAliveTimeout: 0 });
    this.#http.on('request', (request, response) => this.#take(request, response));
    this.#http.on('clientError', (error, stream) => this.#garbled(error, stream));
  }

  /** @param stream this server's from now on @param tls of a handshake that is done, `null` = it is not encrypted */
  accept(stream: Duplex, origin: SocketOrigin, tls: TlsSession | null): void {
    const connection = new HttpConnection(stream, origin, tls);
    this.#connections.set(stream, connection);
    connection.setLimit(REQUEST_MS);
    stream.on('close', () => this.#ended(stream));
    if (stream.destroyed) this.#ended(stream);
    else this.#http.emit('connection', stream);
  }

  /** Ends all connections. */
  close(): void {
    for (const stream of this.#connections.keys()) stream.destroy();
  }

  #ended(stream: Duplex): void {
    const connection = this.#connections.get(stream);
    if (connection === undefined) return;
    this.#connections.delete(stream);
    connection.ended();
    this.#options.closed(connection.origin);
  }

  /**
   * One request after the other. The next one may be there before the last one is quite done with: its answer was
   * whole for the client already. Who sends more than that would have one connection do many's work.
   */
  #take(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket);
    const begin = (): void => {
      this.#begin(request, response, connection!).catch((error) => {
        this.#options.faulted(connection!.origin, error);
        request.socket.destroy();
      });
    };
    if (connection === undefined || connection.next !== null) request.socket.destroy();
    else if (connection.isAnswering) connection.next = begin;
    else begin();
  }

  async #begin(
    request: IncomingMessage,
    response: ServerResponse,
    connection: HttpConnection,
  ): Promise<void> {
    connection.isAnswering = true;
    connection.setLimit(ANSWER_MS);
    response.once('close', () => {
      connection.isAnswering = false;
      if (!this.#connections.has(request.socket)) return;
      connection.setLimit(REQUEST_MS);
      const { next } = connection;
      connection.next = null;
      next?.();
    });
    // A client that wants to go on says so, as with Mosquitto.
    response.shouldKeepAlive = asksToKeepAlive(request);
    await this.#options.answer(request, response, connection);
  }

  /** What came is no HTTP, or too much of it; or the stream failed. */
  #garbled(error: NodeJS.ErrnoException, stream: Duplex): void {
    const isHttpFault = error.code?.startsWith('HPE_') && error.code !== 'HPE_INVALID_EOF_STATE';
    const connection = this.#connections.get(stream);
    if (!isHttpFault || connection === undefined || connection.isAnswering || !stream.writable) {
      stream.destroy();
      return;
    }
    const { status, body } = REFUSALS.get(error.code!) ?? { status: 400, body: '' };
    // What it still sends is not looked at, until its time is up: an answer is lost if the stream ends at once.
    stream.on('error', () => {});
    stream.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    stream.resume();
  }
}

function asksToKeepAlive({ headers }: IncomingMessage): boolean {
  return /(^|,)\s*keep-alive\s*(,|$)/i.test(headers.connection ?? '');
}

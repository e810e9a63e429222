/**
 * Does the opening handshakes of WebSockets in one worker [MQTT 5.0, 6]. Node's HTTP server does not listen: it gets
 * streams. A client that is refused gets an HTTP answer if it speaks HTTP, and the log gets one line.
 */
import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { TlsSession } from '../auth/authenticator.js';
import { CONNECT_SIZE_MAX } from '../broker/connection.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import type { SocketOrigin } from './socket-transport.js';
import { HANDSHAKE_MS, LINGER_MS } from './time-limits.js';
import { WebSocketTransport } from './websocket-transport.js';

/** The first is MQTT's own [MQTT-6.0.0-3]; clients of MQTT 3.1 offer the other, which Mosquitto accepts. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];

/** The only version that there is [RFC 6455, 4.1]. */
const VERSION = '13';

/** A frame may hold several packets [MQTT-6.0.0-2], of which each may be as large as `max_packet_size`. */
const PACKETS_A_FRAME = 4;

/** Bytes of the largest packet of MQTT. */
const MQTT_PACKET_MAX = 268_435_460;

/** Characters of a request that a log line shows. */
const SHOWN_REQUEST = 80;

const CONNECT_PACKET = 0x10;
const TLS_HANDSHAKE = 0x16;

const ANSWER =
  'MQTT over WebSockets is spoken here: connect with an MQTT client that offers the sub-protocol "mqtt".\n';

export interface WebSocketAcceptorOptions {
  /** Bytes of the largest HTTP header [mosq: packet_buffer_size]; 0 = Node's 16 KiB. */
  headerSizeMax: number;
  /** Bytes of the largest packet now [mosq: max_packet_size]; 0 = as large as MQTT allows. */
  packetSizeMax: () => number;
  /** The pages that may connect to a listener now [mosq: websockets_origin]; none = all. */
  originsOf: (listener: number) => readonly string[];
  /** The handshake is done. */
  accepted: (transport: WebSocketTransport) => void;
  /** @param reason for the line about its end */
  failed: (origin: SocketOrigin, reason: string) => void;
  /** An exception that nobody expected came of a handshake; `failed` follows. @throws if the thread has to fall */
  faulted: (origin: SocketOrigin, error: unknown) => void;
}

interface Handshake {
  origin: SocketOrigin;
  tls: TlsSession | null;
  timer: NodeJS.Timeout;
  /** Hears of the end of the stream. */
  closed: () => void;
}

export class WebSocketAcceptor {
  readonly #options: WebSocketAcceptorOptions;
  readonly #http: Server;
  readonly #webSockets: WebSocketServer;
  /** Those that go on; weak, because a `Map` would hold on to the others (`number-map.ts`). */
  readonly #handshakes = new WeakMap<Duplex, Handshake>();

  constructor(options: WebSocketAcceptorOptions) {
    this.#options = options;
    this.#http = createServer({ maxHeaderSize: options.headerSizeMax });
    this.#http.on('upgrade', (request, stream, head) =>
      this.#guard(stream, () => this.#upgrade(request, stream, head)),
    );
    for (const event of ['request', 'checkExpectation', 'connect']) {
      this.#http.on(event, (request: IncomingMessage) =>
        this.#guard(request.socket, () => this.#refuseOrdinary(request)),
      );
    }
    this.#http.on('clientError', (error, stream) => this.#garbled(error, stream));
    this.#webSockets = this.#createWebSocketServer();
  }

  #guard(stream: Duplex, work: () => void): void {
    try {
      work();
    } catch (error) {
      const handshake = this.#handshakes.get(stream);
      if (handshake === undefined) throw error; // it is over, and what was thrown is about what came of it
      this.#options.faulted(handshake.origin, error);
      this.#fail(stream, DisconnectReason.implementationSpecific);
      stream.on('error', () => {});
      stream.destroy();
    }
  }

  #createWebSocketServer(): WebSocketServer {
    const closing = { closeTimeout: LINGER_MS }; // the package has it, its types do not yet
    const server = new WebSocketServer({
      ...closing,
      noServer: true,
      clientTracking: false,
      // Compression would hold windows of hundreds of kilobytes for each connection, spend the processor's time on
      // messages that are mostly small, and let a few bytes grow to megabytes before anybody has logged in. No
      // client needs it: the server chooses [RFC 7692]. Mosquitto has none either.
      perMessageDeflate: false,
      maxPayload: CONNECT_SIZE_MAX, // at first; the transport allows more behind a CONNECT
      skipUTF8Validation: true, // text is refused, valid or not
      handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false, // [MQTT-6.0.0-4]
    });
    server.on('headers', (headers) => {
      const at = headers.indexOf('Upgrade: websocket');
      if (at >= 0) headers[at] = 'Upgrade: WebSocket'; // as Mosquitto writes it, and clients that compare it expect
    });
    server.on('wsClientError', (error, stream) => this.#refuse(stream, 400, handshakeFault(error)));
    return server;
  }

  /** @param stream this acceptor's from now on @param tls of a handshake that is done, `null` = it is not encrypted */
  accept(stream: Duplex, origin: SocketOrigin, tls: TlsSession | null): void {
    const timer = setTimeout(() => {
      this.#fail(stream, DisconnectReason.timeout);
      stream.destroy();
    }, HANDSHAKE_MS);
    const closed = (): void => this.#fail(stream, DisconnectReason.closedByClient);
    this.#handshakes.set(stream, { origin, tls, timer, closed });
    stream.on('close', closed);
    if (stream.destroyed) closed();
    else this.#http.emit('connection', stream);
  }

  /** @returns `null` if it is over already */
  #take(stream: Duplex): Handshake | null {
    const handshake = this.#handshakes.get(stream);
    if (handshake === undefined) return null;
    clearTimeout(handshake.timer);
    this.#handshakes.delete(stream);
    stream.off('close', handshake.closed);
    return handshake;
  }

  #fail(stream: Duplex, reason: string): void {
    const handshake = this.#take(stream);
    if (handshake !== null) this.#options.failed(handshake.origin, reason);
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const handshake = this.#handshakes.get(stream);
    if (handshake === undefined) return;
    const { headers } = request;
    const { origin } = headers;
    const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    const origins = this.#options.originsOf(handshake.origin.listener);
    if (headers.upgrade?.toLowerCase() !== 'websocket') {
      this.#refuseOrdinary(request);
    } else if (headers['sec-websocket-version'] !== VERSION) {
      const fault = `WebSockets: it does not speak version ${VERSION}`;
      this.#refuse(stream, 426, fault, [`Sec-WebSocket-Version: ${VERSION}`]);
    } else if (!SUBPROTOCOLS.some((name) => offered.includes(name))) {
      this.#refuse(stream, 400, 'WebSockets: it does not offer the sub-protocol "mqtt"');
    } else if (origins.length > 0 && origin !== undefined && !origins.includes(origin)) {
      this.#refuse(
        stream,
        403,
        DisconnectReason.originNotMatching,
        [],
        'Pages of this origin are not let in.\n',
      );
    } else {
      this.#webSockets.handleUpgrade(request, stream, head, (webSocket) => this.#opened(webSocket, stream));
    }
  }

  #opened(webSocket: WebSocket, stream: Duplex): void {
    const { origin, tls } = this.#take(stream)!;
    const packetSizeMax = this.#options.packetSizeMax() || MQTT_PACKET_MAX;
    const frameSizeMax = Math.max(CONNECT_SIZE_MAX, PACKETS_A_FRAME * packetSizeMax);
    this.#options.accepted(new WebSocketTransport({ webSocket, stream, origin, tls, frameSizeMax }));
  }

  /** A request that is no handshake: a browser, a health check, a scanner. */
  #refuseOrdinary(request: IncomingMessage): void {
    const { method, url = '', socket } = request;
    request.resume();
    const asked = `${method} ${url}`.slice(0, SHOWN_REQUEST);
    this.#refuse(socket, 426, `WebSockets: it sent an ordinary HTTP request ("${asked}")`);
  }

  /** @param reason for the log @param headers further ones @param body ASCII */
  #refuse(
    stream: Duplex,
    status: number,
    reason: string,
    headers: readonly string[] = [],
    body: string = ANSWER,
  ): void {
    this.#fail(stream, reason);
    const answer = [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      ...(status === 426 ? ['Upgrade: websocket'] : []),
      ...headers,
      `Connection: ${status === 426 ? 'Upgrade, close' : 'close'}`,
      'Content-Type: text/plain; charset=utf-8',
      `Content-Length: ${body.length}`,
    ];
    this.#endWith(stream, `${answer.join('\r\n')}\r\n\r\n${body}`);
  }

  #endWith(stream: Duplex, answer: string): void {
    stream.on('error', () => {});
    if (stream.writable) stream.end(answer);
    stream.resume();
    setTimeout(() => stream.destroy(), LINGER_MS).unref();
  }

  /** What came is no HTTP, or too much of it; or the stream failed. */
  #garbled(error: NodeJS.ErrnoException & { rawPacket?: Buffer; reason?: string }, stream: Duplex): void {
    if (!this.#handshakes.has(stream)) return; // behind a request that was answered
    if (error.code === 'HPE_HEADER_OVERFLOW') {
      this.#refuse(stream, 431, 'WebSockets: its HTTP header is larger than packet_buffer_size');
      return;
    }
    this.#fail(stream, garbledFault(error));
    stream.on('error', () => {});
    stream.destroy();
  }
}

function garbledFault({
  code = '',
  message,
  reason = message,
  rawPacket,
}: NodeJS.ErrnoException & { rawPacket?: Buffer; reason?: string }): string {
  if (!code.startsWith('HPE_') || code === 'HPE_INVALID_EOF_STATE') return DisconnectReason.closedByClient;
  if (rawPacket?.[0] === CONNECT_PACKET) return 'WebSockets: it speaks MQTT without WebSockets';
  if (rawPacket?.[0] === TLS_HANDSHAKE) return 'WebSockets: it speaks TLS, and the listener does not';
  return `WebSockets: it does not speak HTTP (${reason})`;
}

/** Of a request to upgrade that the library refuses. */
function handshakeFault({ message }: Error): string {
  return `WebSockets: ${message}`;
}

/**
 * A connection over WebSockets: the bytes in its binary frames, between the stream below and the broker core. Frames
 * and packets need not begin together [MQTT-6.0.0-2]: to the core it is one stream of bytes.
 */

import type { Duplex } from 'node:stream';
import { MessageChannel } from 'node:worker_threads';
import WebSocket from 'ws';
import type { TlsSession } from '../auth/authenticator.js';
import { NO_BYTES } from '../base/no-bytes.js';
import type { Detached, Transport, TransportUser } from '../broker/ports.js';
import { badSocket, DisconnectReason } from '../log/mosquitto-lines.js';
import { cLibraryErrorText } from '../system/system-error.js';
import { RelayPump } from './relay.js';
import type { SocketOrigin } from './socket-transport.js';

const SEND = { binary: true, compress: false, fin: true };

/** Codes of close frames [RFC 6455, 7.4.1]. */
const NORMAL_CLOSURE = 1000;
const UNSUPPORTED_DATA = 1003;

/** Its listeners are the same functions for all connections: each closure would take memory once a connection. */
interface Served {
  transport: WebSocketTransport;
}

export interface WebSocketTransportOptions {
  webSocket: WebSocket;
  /** What the WebSocket runs over. */
  stream: Duplex;
  origin: SocketOrigin;
  tls: TlsSession | null;
  /** Bytes of the largest frame, or frames of one message, behind a CONNECT. */
  frameSizeMax: number;
}

export class WebSocketTransport implements Transport {
  readonly listener: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly tls: TlsSession | null;
  readonly #webSocket: WebSocket;
  readonly #frameSizeMax: number;
  #user: TransportUser | null = null;
  /** A CONNECT has come. */
  #hasConnected = false;
  /** Writes that the stream below has not taken. */
  #unsent = 0;
  #busy = false;
  #paused = false;
  /** Payloads of frames that were read in one piece with others, while reading is paused. */
  #held: Buffer[] | null = null;
  /** Why the stream below ended; '' if it ended in order. */
  #fault = '';

  constructor({ webSocket, stream, origin, tls, frameSizeMax }: WebSocketTransportOptions) {
    this.listener = origin.listener;
    this.remoteAddress = origin.remoteAddress;
    this.remotePort = origin.remotePort;
    this.tls = tls;
    this.#webSocket = webSocket;
    this.#frameSizeMax = frameSizeMax;
    Object.assign(stream, { transport: this });
    stream.on('error', onStreamError);
    stream.on('finish', onEnd); // after an exchange of close frames: the peer's end of the stream may take its time
    Object.assign(webSocket, { transport: this });
    webSocket.on('message', onMessage);
    webSocket.on('error', onWebSocketError);
    webSocket.on('close', onEnd);
  }

  serve(user: TransportUser): void {
    this.#user = user;
  }

  write(chunk: Buffer, length: number): boolean {
    const webSocket = this.#webSocket;
    this.#unsent += 1;
    webSocket.send(chunk.subarray(0, length), SEND, this.#sent);
    if (webSocket.bufferedAmount === 0) return true;
    this.#busy = true;
    return false;
  }

  /** Pongs are written, too, so an empty stream is not what is waited for. */
  readonly #sent = (error?: Error): void => {
    this.#unsent -= 1;
    if (!this.#busy || this.#unsent > 0 || error != null) return;
    this.#busy = false;
    this.#user?.drained();
  };

  /** The first time it is because a CONNECT is complete. */
  pause(): void {
    if (!this.#hasConnected) {
      this.#hasConnected = true;
      allowFrames(this.#webSocket, this.#frameSizeMax);
    }
    this.#paused = true;
    this.#webSocket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#webSocket.resume();
    const held = this.#held;
    this.#held = null;
    for (const bytes of held ?? []) this.#take(bytes);
  }

  /** The close frame follows the bytes that were written. The peer is given a while to answer it (`LINGER_MS`). */
  end(): void {
    this.#user = null;
    this.#held = null;
    this.#webSocket.resume(); // what still comes is dropped, up to the peer's close frame
    this.#webSocket.close(NORMAL_CLOSURE);
  }

  destroy(): void {
    this.#user = null;
    this.#held = null;
    this.#webSocket.terminate();
  }

  /** The WebSocket stays here, for the state of its frames is here; the bytes inside go over a port. */
  detach(): Detached | null {
    this.#user = null;
    if (this.#webSocket.readyState !== WebSocket.OPEN) {
      this.destroy();
      return null;
    }
    const { port1, port2 } = new MessageChannel();
    const unread = this.#held === null ? NO_BYTES : Buffer.concat(this.#held);
    this.#held = null;
    const pump = new RelayPump(port1, {
      write: (bytes) => this.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), bytes.length),
      pause: () => this.pause(),
      resume: () => this.resume(),
      end: () => this.end(),
    });
    this.#user = {
      receive: (buffer, length) => pump.received(buffer.subarray(0, length)),
      drained: () => pump.drained(),
      transportEnded: (reason) => pump.ended(reason),
    };
    this.resume();
    return { handover: port2, unread };
  }

  /** One of the events below. */
  received(bytes: Buffer, isBinary: boolean): void {
    if (isBinary) {
      this.#take(bytes);
      return;
    }
    // [MQTT-6.0.0-1]
    this.#webSocket.close(UNSUPPORTED_DATA);
    this.#endWith('WebSockets: it sent text, and MQTT takes binary frames only');
  }

  /** One of the events below: frames that are none. The library answers with a close frame that says why. */
  framesFailed(error: Error & { code?: string }): void {
    this.#endWith(frameFault(error));
  }

  /** One of the events below. The end of the stream follows. */
  streamFailed(error: Error): void {
    this.#fault = badSocket(cLibraryErrorText(error));
  }

  /** One of the events below. */
  ended(): void {
    this.#endWith(this.#fault);
  }

  #take(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (this.#paused) {
      this.#held ??= [];
      this.#held.push(bytes);
    } else {
      this.#user?.receive(bytes, bytes.length);
    }
  }

  #endWith(reason: string): void {
    const user = this.#user;
    this.#user = null;
    this.#held = null;
    user?.transportEnded(reason);
  }
}

function frameFault({ code, message }: Error & { code?: string }): string {
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return DisconnectReason.oversizePacket;
  return `WebSockets: ${message.replace(/^Invalid WebSocket frame/, 'invalid frame')}`;
}

/**
 * Until a CONNECT is there a client may send no more than one: the library gathers whole messages, and nobody is to
 * fill the memory who is not let in. What follows a CONNECT is not read until that is answered.
 */
function allowFrames(webSocket: WebSocket, bytes: number): void {
  // No documented way leads to the limit of an open WebSocket; tests watch over this one.
  const { _receiver: receiver } = webSocket as unknown as { _receiver: { _maxPayload: number } | undefined };
  if (receiver !== undefined) receiver._maxPayload = bytes;
}

function onMessage(this: WebSocket, data: WebSocket.RawData, isBinary: boolean): void {
  (this as unknown as Served).transport.received(data as Buffer, isBinary);
}

function onWebSocketError(this: WebSocket, error: Error): void {
  (this as unknown as Served).transport.framesFailed(error);
}

function onStreamError(this: Duplex, error: Error): void {
  (this as unknown as Served).transport.streamFailed(error);
}

function onEnd(this: unknown): void {
  (this as Served).transport.ended();
}

/**
 * A way to a WebSocket listener for clients that speak plain MQTT: a port each connection of which becomes a
 * WebSocket connection of the `ws` package. Frames begin and end where packets do not.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import WebSocket, { type ClientOptions } from 'ws';
import { onPort } from '../brokers/access-files.js';
import type { Broker } from '../brokers/broker.js';
import { afterTest } from '../cleanup.js';

export interface WayOptions extends ClientOptions {
  /** Default: the broker's port, without TLS. */
  url?: string;
  /** Bytes of a frame. Default: whatever was read. */
  frameSize?: number;
}

/** @returns the broker as plain clients reach it through the way */
export async function overWebSockets(
  t: TestContext,
  broker: Broker,
  {
    url = `ws://127.0.0.1:${broker.port}/mqtt`,
    frameSize = Number.POSITIVE_INFINITY,
    ...options
  }: WayOptions = {},
): Promise<Broker> {
  const server = createServer((socket) => {
    afterTest(t, () => socket.destroy());
    join(socket, new WebSocket(url, 'mqtt', options), frameSize);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterTest(t, () => void server.close());
  return onPort(broker, (server.address() as AddressInfo).port);
}

/** Neither side reads faster than the other one takes. */
function join(socket: Socket, webSocket: WebSocket, frameSize: number): void {
  socket.pause();
  socket.on('error', () => {});
  webSocket.on('error', () => {});
  webSocket.on('open', () => socket.resume());
  socket.on('data', (bytes) => {
    socket.pause();
    for (let at = 0; at < bytes.length; at += frameSize) {
      const isLast = at + frameSize >= bytes.length;
      const sent = isLast ? () => void socket.resume() : undefined;
      webSocket.send(bytes.subarray(at, Math.min(at + frameSize, bytes.length)), sent);
    }
  });
  webSocket.on('message', (bytes: Buffer) => {
    if (!socket.write(bytes)) webSocket.pause();
  });
  socket.on('drain', () => webSocket.resume());
  // A client that goes without a word: no close frame either.
  socket.on('close', () => webSocket.terminate());
  socket.on('end', () => webSocket.close());
  webSocket.on('close', () => socket.end());
}

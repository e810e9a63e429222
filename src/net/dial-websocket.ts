/** The client's side of MQTT over WebSockets [MQTT 5.0, 6]. */
import type { Duplex } from 'node:stream';
import WebSocket, { createWebSocketStream } from 'ws';

/** What brokers that look at the path at all serve MQTT on; Mosquitto takes any. */
const PATH = '/mqtt';
const SUBPROTOCOL = 'mqtt';

/** @param stream connected to the server already, with or without TLS */
export function upgrade(stream: Duplex, server: { host: string; port: number }): Promise<Duplex> {
  const host = server.host.includes(':') ? `[${server.host}]` : server.host;
  return new Promise((resolve, reject) => {
    const webSocket = new WebSocket(`ws://${host}:${server.port}${PATH}`, SUBPROTOCOL, {
      createConnection: () => stream as ReturnType<NonNullable<WebSocket.ClientOptions['createConnection']>>,
      perMessageDeflate: false,
    });
    webSocket.once('error', reject);
    webSocket.once('open', () => {
      webSocket.off('error', reject);
      resolve(createWebSocketStream(webSocket));
    });
  });
}

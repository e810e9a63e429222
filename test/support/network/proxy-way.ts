/** A way to a listener with `enable_proxy_protocol`: a proxy that puts a header before the first bytes of each client. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { onPort } from '../brokers/access-files.js';
import type { Broker } from '../brokers/broker.js';
import { afterTest } from '../cleanup.js';

/**
 * @param headerOf for the connection of this number, from 0
 * @param to where the broker listens, if not on its port
 * @returns the broker as clients reach it through the proxy
 */
export async function behindProxy(
  t: TestContext,
  broker: Broker,
  headerOf: (connection: number) => Uint8Array,
  to: NetConnectOpts = { port: broker.port, host: '127.0.0.1' },
): Promise<Broker> {
  let connections = 0;
  const server = createServer((socket) => {
    const header = headerOf(connections);
    connections += 1;
    const upstream = connect(to);
    for (const [end, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      afterTest(t, () => end.destroy());
      end.on('error', () => {});
      end.on('close', () => other.destroy());
    }
    join(socket, upstream, header);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  afterTest(t, () => void server.close());
  return onPort(broker, (server.address() as AddressInfo).port);
}

/** The header leaves together with what the client sends first. */
function join(socket: Socket, upstream: Socket, header: Uint8Array): void {
  socket.once('data', (bytes) => {
    upstream.write(Buffer.concat([header, bytes]));
    socket.pipe(upstream);
  });
  upstream.pipe(socket);
}

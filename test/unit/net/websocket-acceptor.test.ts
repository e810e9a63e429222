/** The time that a handshake may take, in a clock of the test's own. The rest is shown by whole brokers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { SocketOrigin } from '../../../src/net/socket-transport.js';
import { WebSocketAcceptor } from '../../../src/net/websocket-acceptor.js';
import type { WebSocketTransport } from '../../../src/net/websocket-transport.js';
import { upgradeRequest } from '../../support/clients/frame-socket.js';

const origin: SocketOrigin = { listener: 0, remoteAddress: '192.0.2.1', remotePort: 40_000 };
const HANDSHAKE_MS = 30_000;

interface Scene {
  acceptor: WebSocketAcceptor;
  client: Socket;
  /** The broker's end of the same connection. */
  stream: Socket;
  failures: string[];
  opened: Promise<WebSocketTransport>;
}

async function open(t: TestContext): Promise<Scene> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [stream] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    stream.destroy();
    server.close();
  });
  const failures: string[] = [];
  let accepted: (transport: WebSocketTransport) => void = () => {};
  const opened = new Promise<WebSocketTransport>((resolve) => {
    accepted = resolve;
  });
  const acceptor = new WebSocketAcceptor({
    headerSizeMax: 4096,
    packetSizeMax: () => 0,
    originsOf: () => [],
    accepted,
    faulted: (_, error) => {
      throw error;
    },
    failed: (_, reason) => failures.push(reason),
  });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  acceptor.accept(stream, origin, null);
  return { acceptor, client, stream, failures, opened };
}

test('a handshake that takes too long is ended', async (t) => {
  const { client, stream, failures } = await open(t);
  client.write(upgradeRequest().slice(0, 50));
  t.mock.timers.tick(HANDSHAKE_MS - 1);
  assert.deepEqual(failures, []);
  assert.equal(stream.destroyed, false);
  client.resume();
  const ended = once(client, 'close');
  t.mock.timers.tick(1);
  assert.deepEqual(failures, ['exceeded timeout']);
  await ended;
  assert.deepEqual(failures, ['exceeded timeout'], 'told once');
});

test('one that is done has all the time', async (t) => {
  const { client, stream, failures, opened } = await open(t);
  client.write(upgradeRequest());
  await opened;
  t.mock.timers.tick(2 * HANDSHAKE_MS);
  assert.deepEqual(failures, []);
  assert.equal(stream.destroyed, false);
});

test('a peer that is gone already is told of, too', async (t) => {
  const { acceptor, stream, failures } = await open(t);
  stream.destroy();
  await once(stream, 'close');
  assert.deepEqual(failures, ['connection closed by client']);
  acceptor.accept(stream, origin, null);
  assert.deepEqual(failures, ['connection closed by client', 'connection closed by client']);
});

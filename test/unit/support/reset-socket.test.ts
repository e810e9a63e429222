import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { afterTest } from '../../support/cleanup.js';
import { resetSocket } from '../../support/network/reset-socket.js';

async function openPair(t: TestContext): Promise<{ socket: Socket; peer: Socket }> {
  const server = createServer();
  afterTest(t, () => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [[peer]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')]);
  afterTest(t, () => peer.destroy());
  return { socket, peer };
}

test('the other side gets a reset', async (t) => {
  const { socket, peer } = await openPair(t);
  const failed = once(peer.resume(), 'error');
  resetSocket(socket);
  const [{ code }] = await failed;
  assert.equal(code, 'ECONNRESET');
});

test('a socket whose end is on its way closes', async (t) => {
  const { socket } = await openPair(t);
  const closed = once(socket, 'close');
  const handle = (socket as unknown as { _handle: { shutdown(request: unknown): number } })._handle;
  const shutdown = handle.shutdown.bind(handle);
  // Node hands the end to the system, and learns of its success in the next round of the event loop.
  handle.shutdown = (request) => {
    process.nextTick(resetSocket, socket);
    return shutdown(request);
  };
  socket.end();
  await closed;
});

/** What setsockopt(2) was told, read back with getsockopt(2). */
import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import koffi from 'koffi';
import { setTcpOptions } from '../../../src/net/socket-options.js';
import { afterTest } from '../../support/cleanup.js';
import { freePort } from '../../support/network/free-port.js';

const skip = process.platform !== 'linux' && 'the numbers of the options are those of Linux';

/** <netinet/tcp.h> and <sys/socket.h>. */
const IPPROTO_TCP = 6;
const options = { idle: 4, interval: 5, probes: 6, userTimeout: 18 };
const SOL_SOCKET = 1;
const SO_KEEPALIVE = 9;

async function connectedSocket(t: TestContext): Promise<Socket> {
  const server = createServer((socket) => socket.resume());
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const socket = connect(port, '127.0.0.1');
  afterTest(t, () => server.close());
  afterTest(t, () => socket.destroy());
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return socket;
}

function read(socket: Socket, level: number, option: number): number {
  const getsockopt = koffi
    .load(null)
    .func('int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ unsigned int *length)');
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle;
  const value = [0];
  assert.equal(getsockopt(fd, level, option, value, [4]), 0);
  return value[0]!;
}

test('keepalive: idle time, interval, number of probes', { skip }, async (t) => {
  const socket = await connectedSocket(t);
  assert.equal(read(socket, SOL_SOCKET, SO_KEEPALIVE), 0);
  setTcpOptions(socket, { idleSeconds: 70, intervalSeconds: 8, probes: 4 }, undefined);
  assert.equal(read(socket, SOL_SOCKET, SO_KEEPALIVE), 1);
  assert.equal(read(socket, IPPROTO_TCP, options.idle), 70);
  assert.equal(read(socket, IPPROTO_TCP, options.interval), 8);
  assert.equal(read(socket, IPPROTO_TCP, options.probes), 4);
  assert.equal(read(socket, IPPROTO_TCP, options.userTimeout), 0);
});

test('user timeout alone', { skip }, async (t) => {
  const socket = await connectedSocket(t);
  setTcpOptions(socket, undefined, 4500);
  assert.equal(read(socket, IPPROTO_TCP, options.userTimeout), 4500);
  assert.equal(read(socket, SOL_SOCKET, SO_KEEPALIVE), 0);
});

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Arrival, setNoDelayOfArrivals } from '../../../src/net/arrival.js';
import { socketOf } from '../../../src/net/descriptor.js';
import { type ListenAddress, listen } from '../../../src/net/listener.js';
import { afterTest, makeFolder } from '../../support/cleanup.js';

const tcp: ListenAddress = { family: 'ipv4', address: '127.0.0.1', port: 0 };

/** <netinet/tcp.h> */
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;

async function server(t: TestContext, address: ListenAddress) {
  let arrived: (arrival: Arrival) => void = () => {};
  const server = await listen(address, {
    arrived: (arrival) => arrived(arrival),
    failed: () => assert.fail('nothing runs short'),
  });
  afterTest(t, () => void server.close());
  /** A new connection, seen from both sides. */
  const accept = async () => {
    const arrival = new Promise<Arrival>((resolve) => {
      arrived = resolve;
    });
    const client =
      address.family === 'unix'
        ? connect(address.path)
        : connect((server.address() as AddressInfo).port, address.address);
    afterTest(t, () => void client.destroy());
    return { client, arrival: await arrival };
  };
  return { server, accept };
}

test('an accepted connection can be served from its descriptor, the first and the next ones', async (t) => {
  const path = join(makeFolder(t), 'socket');
  for (const address of [tcp, { family: 'unix', path }] as const) {
    const kind = address.family === 'unix' ? 'unix' : 'tcp';
    const { accept } = await server(t, address);
    for (let round = 0; round < 3; round += 1) {
      const { client, arrival } = await accept();
      if (kind === 'tcp') {
        assert.deepEqual([arrival.remoteAddress, arrival.remotePort], ['127.0.0.1', client.localPort]);
      } else {
        assert.deepEqual([arrival.remoteAddress, arrival.remotePort], ['', 0]);
      }
      const fd = arrival.take();
      assert.ok(typeof fd === 'number' && fd > 2);
      const socket = socketOf(fd, kind);
      client.write('ping');
      assert.equal(String((await once(socket, 'data'))[0]), 'ping');
      socket.end('pong');
      assert.equal(String((await once(client, 'data'))[0]), 'pong');
      await once(client, 'end');
    }
  }
});

test('a connection that is dropped is closed', async (t) => {
  const { accept } = await server(t, tcp);
  const { client, arrival } = await accept();
  arrival.drop();
  client.resume();
  await once(client, 'end');
});

test('accepted connections have TCP_NODELAY as their listener has it', async (t) => {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const getsockopt = koffi
    .load(null)
    .func('int getsockopt(int fd, int level, int name, _Out_ int *value, _Inout_ unsigned int *length)');
  const one = await server(t, tcp);
  for (const on of [true, false]) {
    setNoDelayOfArrivals(one.server, on);
    const fd = (await one.accept()).arrival.take();
    assert.ok(typeof fd === 'number');
    const value = [0];
    assert.equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, value, [4]), 0);
    assert.equal(value[0], on ? 1 : 0);
    closeSync(fd);
  }
});

test('a descriptor that is no connection is not wrapped', async (t) => {
  const { accept } = await server(t, tcp);
  socketOf((await accept()).arrival.take() as number, 'tcp').destroy(); // its kind is known from here on
  assert.throws(() => socketOf(1_000_000, 'tcp'), /cannot be used/);
});

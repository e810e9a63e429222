/** Main's listeners from their addresses to their first connections. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { connect, createServer, type NetConnectOpts } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { InputGuard } from '../../../../src/broker/input-guard.js';
import { defaultListener, defaultSettings, type ListenerSettings } from '../../../../src/config/settings.js';
import { logMaskAll } from '../../../../src/log/log-types.js';
import type { PassedConnection } from '../../../../src/routing/messages.js';
import { Acceptor } from '../../../../src/runtime/main/acceptor.js';
import { afterTest, makeFolder } from '../../../support/cleanup.js';
import { freePort } from '../../../support/network/free-port.js';

/** @returns 'connected', or the error's code */
function tryConnect(t: TestContext, target: NetConnectOpts): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(target, () => resolve('connected'));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
    afterTest(t, () => void socket.destroy());
  });
}

function acceptorOf(t: TestContext, listeners: Partial<ListenerSettings>[]) {
  const settings = {
    ...defaultSettings(),
    listeners: listeners.map((listener) => ({ ...defaultListener(0), ...listener })),
  };
  const log: string[] = [];
  const write = (_type: string, text: string): void => void log.push(text);
  const sink = { mask: logMaskAll, write };
  const guard = new InputGuard({ log: sink, isWhole: () => true, count: () => {}, clock: () => 0 });
  const acceptor = new Acceptor(settings, sink, guard);
  afterTest(t, () => acceptor.close());
  return { acceptor, log };
}

test('clients are refused between the binding and the serving, and accepted on all listeners then', async (t) => {
  const ports = [await freePort(), await freePort()];
  const socketPath = join(makeFolder(t), 'socket');
  const { acceptor } = acceptorOf(t, [
    { port: ports[0]!, host: '127.0.0.1' },
    { port: ports[1]!, host: '::1' },
    { socketPath },
  ]);
  await acceptor.open();
  assert.ok(acceptor.isOpen);
  const targets: NetConnectOpts[] = [
    { host: '127.0.0.1', port: ports[0]! },
    { host: '::1', port: ports[1]! },
    { path: socketPath },
  ];
  const all = () => Promise.all(targets.map((target) => tryConnect(t, target)));
  assert.deepEqual(
    await all(),
    targets.map(() => 'ECONNREFUSED'),
  );
  const passed: PassedConnection[] = [];
  let whenAll = (): void => {};
  const arrived = new Promise<void>((resolve) => {
    whenAll = resolve;
  });
  const pass = (connection: PassedConnection): void => {
    if (typeof connection.handover === 'number') closeSync(connection.handover);
    if (passed.push(connection) === targets.length) whenAll();
  };
  assert.equal(await acceptor.serve(pass), true);
  assert.deepEqual(
    await all(),
    targets.map(() => 'connected'),
  );
  await arrived;
  assert.deepEqual(passed.map(({ listener }) => listener).sort(), [0, 1, 2]);
  acceptor.close();
  assert.equal(await tryConnect(t, targets[0]!), 'ECONNREFUSED');
  assert.equal(await tryConnect(t, targets[2]!), 'ENOENT');
});

test('a port that another program listens on is refused at once', async (t) => {
  const port = await freePort();
  const other = createServer().listen(port, '127.0.0.1');
  afterTest(t, () => void other.close());
  await new Promise((resolve) => other.once('listening', resolve));
  const { acceptor, log } = acceptorOf(t, [{ port, host: '127.0.0.1' }]);
  await acceptor.open();
  assert.equal(acceptor.isOpen, false);
  assert.ok(log.includes('Error: Address already in use'));
});

test('a port that another program takes between the two is told', async (t) => {
  const port = await freePort();
  const listener = { port, host: '127.0.0.1' };
  const { acceptor: late, log } = acceptorOf(t, [listener]);
  const { acceptor: early } = acceptorOf(t, [listener]);
  await late.open();
  await early.open();
  assert.equal(await early.serve(() => {}), true);
  assert.equal(await late.serve(() => {}), false);
  assert.ok(log.includes('Error: Address already in use'));
});

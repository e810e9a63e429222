/** A fault of ours while a connection is accepted, or on its way to a worker, costs that connection and nothing else. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { InputGuard } from '../../../../src/broker/input-guard.js';
import { defaultListener, defaultSettings } from '../../../../src/config/settings.js';
import { logMaskAll } from '../../../../src/log/log-types.js';
import type { MainToWorker, PassedConnection } from '../../../../src/routing/messages.js';
import { Acceptor } from '../../../../src/runtime/main/acceptor.js';
import { WorkerHandle } from '../../../../src/runtime/main/worker-handle.js';
import { WorkerMail } from '../../../../src/runtime/main/worker-mail.js';
import { createCounters } from '../../../../src/sys/counters.js';
import { WorkingRecord } from '../../../../src/sys/working-record.js';
import { freePort } from '../../../support/network/free-port.js';

class TestLog {
  mask = logMaskAll;
  readonly lines: string[] = [];
  /** Called with each line. */
  onLine: (line: string) => void = () => {};

  write(_type: string, line: string): void {
    this.onLine(line);
    this.lines.push(line);
  }

  get faults(): string[] {
    return this.lines.filter((line) => line.includes('Midge failed over'));
  }
}

function guardOf(log: TestLog): InputGuard {
  return new InputGuard({ log, isWhole: () => true, count: () => {}, clock: () => 0 });
}

function fail(): never {
  throw new TypeError('a fault that a test wants');
}

/** An acceptor with room for one connection. */
async function begin(t: TestContext, log: TestLog) {
  const port = await freePort();
  const listener = { ...defaultListener(port, '127.0.0.1'), maxConnections: 1 };
  const settings = { ...defaultSettings(), listeners: [listener] };
  const acceptor = new Acceptor(settings, log, guardOf(log));
  await acceptor.open();
  t.after(() => acceptor.close());
  const client = (): { socket: Socket; closed: Promise<void> } => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    return { socket, closed: new Promise((resolve) => socket.on('close', () => resolve())) };
  };
  return { acceptor, client };
}

/** Closes what it is given, as a worker would do at the end. */
function take(connection: PassedConnection): void {
  if (typeof connection.handover === 'number') closeSync(connection.handover);
  else connection.handover.close();
}

test('while a connection is accepted', async (t) => {
  const log = new TestLog();
  const { acceptor, client } = await begin(t, log);
  await acceptor.serve(take);
  log.onLine = (line) => {
    if (line.startsWith('New connection')) fail();
  };
  await client().closed;
  assert.match(log.faults[0]!, /over a new connection of 127\.0\.0\.1:\d+.*: TypeError: a fault that a test/);
  log.onLine = () => {};
  const passed = new Promise<PassedConnection>((resolve) => acceptor.serve(resolve));
  const { closed } = client();
  take(await passed); // its place is free again
  await closed;
  assert.equal(log.faults.length, 1);
});

test('while one is given to a worker, at once or after it has waited', async (t) => {
  const log = new TestLog();
  const { acceptor, client } = await begin(t, log);
  const arrived = new Promise<void>((resolve) => {
    log.onLine = (line) => line.startsWith('New connection') && resolve();
  });
  await acceptor.serve(fail);
  acceptor.hold();
  const waiting = client();
  await arrived;
  await acceptor.serve(fail);
  await waiting.closed;
  await client().closed;
  assert.equal(log.faults.length, 2);
  const passed = new Promise<PassedConnection>((resolve) => acceptor.serve(resolve));
  const { closed } = client();
  take(await passed);
  await closed;
  assert.equal(log.faults.length, 2);
});

test('while one is refused for lack of room', async (t) => {
  const log = new TestLog();
  const { acceptor, client } = await begin(t, log);
  const passed = new Promise<PassedConnection>((resolve) => acceptor.serve(resolve));
  const first = client();
  const connection = await passed;
  log.onLine = (line) => {
    if (/max_connections|exceeded/.test(line)) fail();
  };
  await client().closed;
  assert.equal(log.faults.length, 1);
  take(connection);
  await first.closed;
});

test('at the end of the turn, when connections go to a worker', async (t) => {
  const log = new TestLog();
  const port = await freePort();
  const listener = { ...defaultListener(port, '127.0.0.1') };
  const acceptor = new Acceptor({ ...defaultSettings(), listeners: [listener] }, log, guardOf(log));
  await acceptor.open();
  t.after(() => acceptor.close());
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const handles = [0, 1].map(
    (worker) =>
      new WorkerHandle(worker, port1, new Float64Array(createCounters()), WorkingRecord.create(), []),
  );
  for (const handle of handles) handle.ready = true;
  handles[0]!.tell = fail;
  const gone: number[] = [];
  const mail = new WorkerMail(
    () => handles,
    guardOf(log),
    ({ worker }) => gone.push(worker),
  );
  let next = 0;
  acceptor.serve((connection) => mail.connection(next++, connection));
  const served = new Promise<MainToWorker>((resolve) => port2.once('message', resolve));
  const sockets = [connect(port, '127.0.0.1')];
  sockets[0]!.on('error', () => {});
  await new Promise((resolve) => sockets[0]!.on('close', resolve));
  assert.deepEqual([gone, log.faults.length], [[0], 1]);
  assert.deepEqual(handles[0]!.notTaken(), []);
  const second = connect(port, '127.0.0.1');
  t.after(() => second.destroy());
  const message = await served;
  assert.ok(message.kind === 'connections');
  for (const connection of message.connections) take(connection);
});

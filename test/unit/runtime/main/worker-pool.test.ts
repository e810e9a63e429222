/** Workers that die while others begin: ends of ports that are closed already cannot be given away. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { MainToWorker, PassedConnection } from '../../../../src/routing/messages.js';
import { WorkerHandle } from '../../../../src/runtime/main/worker-handle.js';
import { WorkerPool, type WorkerTask } from '../../../../src/runtime/main/worker-pool.js';
import { createCounters } from '../../../../src/sys/counters.js';
import { WorkingRecord } from '../../../../src/sys/working-record.js';

test('a worker begins whose link leads to one that has just died', async (t) => {
  const pool = new WorkerPool();
  pool.open();
  t.after(() => pool.close());
  // Workers that fall at once. Main has not heard yet that the first has.
  const task = {} as WorkerTask;
  await assert.rejects(pool.start(0, task).ended, TypeError);
  // The second has the first one's thread; the third waits for one of its own.
  const [second, third] = [pool.start(1, task), pool.start(2, task)];
  await assert.rejects(second.ended, TypeError);
  await assert.rejects(third.ended, TypeError);
});

async function closedPort(): Promise<MessagePort> {
  const { port1, port2 } = new MessageChannel();
  const closed = once(port2, 'close');
  port2.ref(); // or the process could end before the port has closed
  port2.start();
  port1.close();
  await closed;
  return port2;
}

function connectionBehind(handover: number | MessagePort): PassedConnection {
  return { handover, listener: 0, remoteAddress: '::1', remotePort: 1, tls: null, received: null };
}

test('connections are handed over but for those whose relay has ended', async () => {
  const { port1, port2 } = new MessageChannel();
  const counters = new Float64Array(createCounters());
  const entry = new WorkerHandle(0, port1, counters, WorkingRecord.create(), []);
  const relay = new MessageChannel();
  const gone = connectionBehind(await closedPort());
  assert.deepEqual(
    entry.handOver([connectionBehind(7), gone, connectionBehind(relay.port1), connectionBehind(8)]),
    [gone],
  );
  const handovers: unknown[] = [];
  for (let next = receiveMessageOnPort(port2); next !== undefined; next = receiveMessageOnPort(port2)) {
    const { connections } = next.message as Extract<MainToWorker, { kind: 'connections' }>;
    for (const { handover } of connections) handovers.push(typeof handover === 'number' ? handover : 'port');
  }
  assert.deepEqual(handovers, [7, 8, 'port']);
  // Nobody has taken them up yet. A port dies with its worker.
  assert.deepEqual(
    entry.notTaken().map(({ handover }) => handover),
    [7, 8],
  );
  for (const port of [port1, relay.port2]) port.close();
});

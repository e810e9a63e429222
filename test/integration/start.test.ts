/** What clients meet while the broker starts: they are refused, as before it, until all listeners can serve them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { brokerCommand, isReference } from '../support/brokers/broker.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';

const CONNECT = Buffer.from('101000044d5154540402003c000470726f62', 'hex');

/** @returns `undefined` if nobody listens there */
function tryConnect(target: NetConnectOpts): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(target, () => resolve(socket));
    socket.on('error', () => resolve(undefined));
  });
}

for (const workers of [1, 3]) {
  test(`all listeners open together, and answer [workers: ${workers}]`, { skip: isReference }, async (t) => {
    const folder = makeFolder(t);
    const ports = [await freePort(), await freePort()];
    const config = ports.map((port) => `listener ${port} 127.0.0.1`);
    config.push(
      `listener 0 ${folder}/socket`,
      'allow_anonymous true',
      'user root',
      `worker_threads ${workers}`,
    );
    const file = join(folder, 'broker.conf');
    writeFileSync(file, config.join('\n'));
    const broker = new Program(t, 'broker', [...brokerCommand(), '-c', file]);
    const targets = [{ path: `${folder}/socket` }, ...ports.map((port) => ({ host: '127.0.0.1', port }))];
    let first: Socket | undefined;
    for (let i = 0; first === undefined; i += 1) {
      assert.equal(broker.end, undefined);
      first = await tryConnect(targets[i % targets.length]!);
      if (first === undefined) await sleep(1);
    }
    const sockets = [first, ...(await Promise.all(targets.map(tryConnect)))];
    for (const socket of sockets) {
      assert.ok(socket !== undefined, 'one listener was open and another one was not');
      afterTest(t, () => void socket.destroy());
      socket.write(CONNECT);
      const [answer] = await new Promise<Buffer[]>((resolve) =>
        socket.once('data', (data) => resolve([data])),
      );
      assert.equal(answer![0], 0x20);
    }
    broker.signal('SIGTERM');
    assert.deepEqual(await broker.waitForEnd(), { code: 0, signal: null });
  });
}

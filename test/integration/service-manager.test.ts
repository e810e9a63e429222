/** What systemd is told by sd_notify(3), and the unit of `deploy`. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { python, skipWithout } from '../support/brokers/debian.js';
import { startFallible } from '../support/brokers/fallible-broker.js';
import { ServiceManager } from '../support/brokers/service-manager.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { projectFolder } from '../support/project.js';

const skip = skipWithout(python);
const systemdAnalyze = '/usr/bin/systemd-analyze';

describe('systemd', { concurrency: 4 }, () => {
  test('it hears of the start when clients are served, of reloads, and of the end', { skip }, async (t) => {
    const manager = await ServiceManager.start(t);
    const broker = await startBroker(t, { env: { NOTIFY_SOCKET: manager.socket } });
    const ready = await manager.waitFor(/READY=1"/);
    assert.equal(ready.pid, broker.pid);
    assert.match(ready.state[1]!, /^STATUS=midge version \S+ is running$/);
    const client = await RawClient.connect(t, broker, 4);
    await client.disconnect();

    const before = process.hrtime.bigint() / 1000n;
    broker.program.signal('SIGHUP');
    const { state } = await manager.waitFor(/RELOADING=1"/);
    const at = BigInt(/^MONOTONIC_USEC=(\d+)$/.exec(state[1]!)![1]!);
    assert.ok(at >= before && at <= process.hrtime.bigint() / 1000n);
    const again = manager.told.findIndex((one) => one.state.includes('RELOADING=1'));
    assert.deepEqual((await manager.waitFor(/READY=1"/, again)).state, ready.state);

    await broker.stop();
    assert.equal(manager.told.at(-1)!.state[0], 'STOPPING=1');
    assert.equal(manager.told.length, 4);
  });

  test('a reload that changes nothing, because the configuration has errors, shows in the status', {
    skip,
  }, async (t) => {
    const manager = await ServiceManager.start(t, { isAbstract: true });
    const broker = await startBroker(t, { env: { NOTIFY_SOCKET: manager.socket } });
    await manager.waitFor(/READY=1"/);
    const file = join(broker.folder, 'broker.conf');
    const right = readFileSync(file, 'utf8');
    appendFileSync(file, 'max_packet_size large\n');
    broker.program.signal('SIGHUP');
    await manager.waitFor(/STATUS=Running as before: the new configuration is not in force"/);
    writeFileSync(file, right);
    const { length } = manager.told;
    broker.program.signal('SIGHUP');
    await manager.waitFor(/STATUS=midge version/, length);
  });

  test('it is told nothing where nobody listens; that is said once, and the broker serves', async (t) => {
    const nobody = join(makeFolder(t), 'nobody');
    const broker = await startBroker(t, { env: { NOTIFY_SOCKET: nobody, WATCHDOG_USEC: '100000' } });
    await broker.waitForLog(
      /Warning: The service manager cannot be told anything: sendto ENOENT\. With Type=notify/,
    );
    await RawClient.connect(t, broker, 4);
  });

  for (const [socket, why] of [
    ['vsock:2:1234', 'vsock:2:1234 is neither an absolute path nor a name after "@"'],
    [`/${'x'.repeat(200)}`, `/${'x'.repeat(200)} is longer than 107 bytes`],
  ] as const) {
    test(`a socket that cannot be is named: ${socket.slice(0, 20)}`, async (t) => {
      const broker = await startBroker(t, { env: { NOTIFY_SOCKET: socket } });
      await broker.waitForLog(new RegExp(`cannot be told anything: ${why}\\. `));
    });
  }

  test('its watchdog is fed as long as the workers run', { skip }, async (t) => {
    const manager = await ServiceManager.start(t);
    const env = { NOTIFY_SOCKET: manager.socket, WATCHDOG_USEC: '100000', FALL_IN: 'arrivals' };
    const { broker, standStill, fallNow } = await startFallible(t, 2, { env });
    await manager.waitFor(/WATCHDOG=1"/);
    await RawClient.connect(t, broker, 4);
    await standStill();
    await broker.waitForLog(/Error: Worker \d has stood still for 1\d s\.$/);

    /** @returns how many messages had come when the broker answered */
    const roundTrip = async () => {
      const { length } = manager.told;
      broker.program.signal('SIGHUP');
      await manager.waitFor(/READY=1"/, length);
      return manager.told.length;
    };
    const from = await roundTrip();
    for (let i = 0; i < 3; i += 1) await roundTrip();
    const meanwhile = manager.told.slice(from).flatMap(({ state }) => state);
    assert.ok(!meanwhile.includes('WATCHDOG=1'), meanwhile.join(' '));

    const { length } = manager.told;
    fallNow();
    await manager.waitFor(/WATCHDOG=1"/, length);
  });

  test('a watchdog that is for another process is not fed', { skip }, async (t) => {
    const manager = await ServiceManager.start(t);
    const env = { NOTIFY_SOCKET: manager.socket, WATCHDOG_USEC: '20000', WATCHDOG_PID: '1' };
    const broker = await startBroker(t, { env });
    await manager.waitFor(/READY=1"/);
    await (await RawClient.connect(t, broker, 4)).disconnect();
    await broker.stop();
    const told = manager.told.flatMap(({ state }) => state);
    assert.ok(!told.includes('WATCHDOG=1'), told.join(' '));
  });

  test('systemd takes the unit of deploy', { skip: skipWithout(systemdAnalyze) }, (t) => {
    const unit = readFileSync(join(projectFolder, 'deploy', 'midge.service'), 'utf8');
    // It looks for the program, which is not installed here.
    const file = join(makeFolder(t), 'midge.service');
    writeFileSync(file, unit.replace(/^ExecStart=\S+/m, `ExecStart=${process.execPath}`));
    const { stdout, stderr, status } = spawnSync(systemdAnalyze, ['verify', '--man=no', file], {
      encoding: 'utf8',
    });
    assert.deepEqual([stdout, stderr, status], ['', '', 0]);
  });
});

/** The file system in memory is full: new work is refused, what is there is saved all the same, and can be taken. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { until } from '../support/within.js';

const canMount = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']).status === 0;
const skip = canMount ? false : 'needs the right to mount';

const config = `log_type all
persistence true
persistence_location {folder}/store/
max_queued_messages 0
max_inflight_messages 0
sys_interval 1`;

test('12 MB, filled by queued messages', { skip }, async (t) => {
  const memory = join(makeFolder(t), 'memory');
  mkdirSync(memory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', memory]);
  afterTest(t, () => spawnSync('umount', ['-l', memory]));
  const broker = await startBroker(t, { workers: 1, config, env: { RUNTIME_DIRECTORY: memory } });
  let received = 0;
  const away = new DurableClient('away', () => {
    received += 1;
  });
  await away.connect(t, broker);
  await away.subscribe('stored', 1);
  await away.disconnect();

  const publisher = await RawClient.connect(t, broker, 5);
  let stored = 0;
  for (let packetId = 1; ; packetId += 1) {
    publisher.sendPublish('stored', 'x'.repeat(10_000), { qos: 1, packetId });
    if (packetId % 20 !== 0) continue; // there are some that wait when the first one fails
    if (broker.log.some((line) => line.includes('cannot be written'))) break;
    while (stored < packetId) {
      const { reasonCode } = await Promise.race([
        publisher.expectPacket('puback'),
        broker.waitForLog(/cannot be written/).then(() => ({ reasonCode: -1 })),
      ]);
      if (reasonCode === -1) break;
      stored += 1;
    }
  }
  const line = broker.log.find((text) => text.includes('cannot be written'))!;
  assert.ok(line.includes(`no space left on ${memory}/midge-`), line);
  const other = await RawClient.connect(t, broker, 5);
  other.sendPublish('stored', 'refused', { qos: 1, packetId: 1 });
  await other.expectPacket('puback', { packetId: 1, reasonCode: 0x97 });
  assert.equal(await other.publish('passing', 'through'), 0x10, 'what nobody stores is taken');

  broker.program.signal('SIGUSR1');
  const store = join(broker.folder, 'store', 'mosquitto.db');
  await until(() => spawnSync('test', ['-s', store]).status === 0, 'a save');
  await other.subscribe('$SYS/broker/store/save/failing', 0);
  const { payload } = await other.expectPacket('publish');
  assert.equal(Buffer.from(payload).toString(), '0', 'a save needs no room in memory');

  await away.connect(t, broker);
  await broker.waitForLog(/The store can be written again/);
  await until(() => received >= stored, 'all that was acknowledged');
  await away.disconnect();
  assert.equal(await broker.stop(), 0);
  assert.ok(!broker.log.some((text) => / {4}at /.test(text)), 'no stack traces');
  const next = await broker.startAgain(t);
  assert.ok(await away.connect(t, next));
});

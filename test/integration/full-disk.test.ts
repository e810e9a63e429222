/**
 * The store cannot be written for a while: it is said, clients are served, nothing is acknowledged that is not
 * stored, and all goes on by itself when the cause is gone.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';

const persistence = 'log_type all\npersistence true\npersistence_location {folder}/store/';
const skip = existsSync('/usr/bin/prlimit') ? false : 'needs prlimit';

/** To this process every disk is full, or has room again. */
function setRoom(broker: Broker, room: 'none' | 'unlimited'): void {
  const bytes = room === 'none' ? '1:' : 'unlimited:';
  execFileSync('prlimit', ['--pid', String(broker.pid), `--fsize=${bytes}`]);
}

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: a full disk holds back what has to be stored, and nothing else`, { skip }, async (t) => {
    const config = `${persistence}\npersistence_mode ${mode}`;
    const broker = await startBroker(t, { workers: 2, config });
    const away = new DurableClient('away');
    await away.connect(t, broker);
    await away.subscribe('stored', 1);
    await away.disconnect();
    const subscriber = await RawClient.connect(t, broker, 4);
    await subscriber.subscribe('passing', 1);
    const publisher = await RawClient.connect(t, broker, 4);

    setRoom(broker, 'none');
    publisher.sendPublish('stored', 'waits', { qos: 1, packetId: 7 });
    await broker.waitForLog(/^.*Error: The store cannot be written \(.+\)\. What has to be stored/);
    await publisher.expectSilence();
    const other = await RawClient.connect(t, broker, 4);
    assert.equal(await other.publish('passing', 'through'), 0);
    const { packetId } = await subscriber.expectPublish('passing', 'through');
    subscriber.sendAck('puback', packetId);

    setRoom(broker, 'unlimited');
    await publisher.expectPacket('puback', { packetId: 7 });
    await broker.waitForLog(/The store can be written again\./);
    const received: string[] = [];
    const back = new DurableClient('away', ({ payload }) => received.push(Buffer.from(payload).toString()));
    assert.ok(await back.connect(t, broker));
    await back.publish('stored', 'end');
    assert.deepEqual(received, ['waits', 'end']);
  });
}

test('a full disk does not hold up subscriptions, on whichever worker', { skip }, async (t) => {
  const workers = 3;
  const broker = await startBroker(t, { workers, config: `${persistence}\npersistence_mode durable` });
  const publisher = await RawClient.connect(t, broker, 4);
  setRoom(broker, 'none');
  publisher.sendPublish('kept', 'waits', { qos: 1, packetId: 7, retain: true });
  const waiting = await RawClient.connect(t, broker, 4); // while the first commit is tried
  await waiting.subscribe('early', 1);
  await broker.waitForLog(/Error: The store cannot be written/);
  for (let i = 0; i < workers; i += 1) {
    const subscriber = await RawClient.connect(t, broker, 4);
    await subscriber.subscribe(`new/${i}`, 1);
    assert.equal(await waiting.publish(`new/${i}`, 'through'), 0);
    const { packetId } = await subscriber.expectPublish(`new/${i}`, 'through');
    subscriber.sendAck('puback', packetId);
  }
  await publisher.expectSilence();
  setRoom(broker, 'unlimited');
  await publisher.expectPacket('puback', { packetId: 7 });
  const late = await RawClient.connect(t, broker, 4);
  await late.subscribe('kept', 0);
  await late.expectPublish('kept', 'waits');
});

test('a folder that cannot be written is said when it is to be saved, and saved to when it can', async (t) => {
  const broker = await startBroker(t, { config: persistence });
  const folder = join(broker.folder, 'store');
  const client = await RawClient.connect(t, broker, 4);
  await client.publish('kept', 'x', { retain: true });
  broker.program.signal('SIGUSR1');
  await broker.waitForLog(/Saved \d+ bytes/);
  renameSync(folder, `${folder}.away`);
  writeFileSync(folder, 'in the way');
  await client.publish('kept', 'y', { retain: true });
  broker.program.signal('SIGUSR1');
  await broker.waitForLog(/Error saving in-memory database/);
  await client.publish('kept', 'z', { retain: true });
  rmSync(folder);
  renameSync(`${folder}.away`, folder);
  broker.program.signal('SIGUSR1');
  await broker.waitForLog(/The database can be saved again\./);
});

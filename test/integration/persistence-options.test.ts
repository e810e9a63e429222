/** Each option of persistence does what its line in the reference says. What is damaged or full has tests of its own. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { RawClient } from '../support/clients/raw-client.js';

const persistent = 'log_type all\npersistence true\npersistence_location {folder}/store';

async function keep(t: TestContext, broker: Broker, topic = 'kept'): Promise<void> {
  const client = await RawClient.connect(t, broker, 4);
  await client.publish(topic, 'x', { retain: true });
  await client.disconnect();
}

/** Whether the retained message of {@link keep} is there. */
async function isKept(t: TestContext, broker: Broker): Promise<boolean> {
  const client = await RawClient.connect(t, broker, 4);
  await client.subscribe('kept');
  client.sendPublish('kept', 'end');
  const { payload } = await client.expectPacket('publish');
  return Buffer.from(payload).toString() === 'x';
}

async function sysValue(t: TestContext, broker: Broker, topic: string): Promise<string> {
  const client = await RawClient.connect(t, broker, 4);
  await client.subscribe(topic);
  return Buffer.from((await client.expectPacket('publish')).payload).toString();
}

/** The configuration file with other lines, read again. */
async function reload(broker: Broker, edit: (text: string) => string): Promise<void> {
  const file = join(broker.folder, 'broker.conf');
  const from = broker.log.length;
  writeFileSync(file, edit(readFileSync(file, 'utf8')));
  broker.program.signal('SIGHUP');
  await broker.waitForLog(/Changed/, { from });
}

describe('options of persistence', { concurrency: 3 }, () => {
  test('persistence false: nothing is written, at SIGUSR1 neither, and nothing is there again', async (t) => {
    const config = 'persistence false\npersistence_location {folder}/store\nlog_type all';
    const first = await startBroker(t, { config });
    await keep(t, first);
    first.program.signal('SIGUSR1');
    await first.stop();
    assert.ok(!existsSync(join(first.folder, 'store')));
    assert.equal(await isKept(t, await first.startAgain(t)), false);
  });

  test('persistence true: saved at an orderly end, as persistence_file at persistence_location', async (t) => {
    const first = await startBroker(t, { config: `${persistent}\npersistence_file other.db` });
    await keep(t, first);
    await first.stop();
    assert.deepEqual(readdirSync(join(first.folder, 'store')), ['other.db', 'other.db.state']);
    assert.equal(await isKept(t, await first.startAgain(t)), true);
  });

  test('retained_persistence is the same, and the file is called mosquitto.db', async (t) => {
    const broker = await startBroker(t, {
      config: persistent.replace('persistence t', 'retained_persistence t'),
    });
    await keep(t, broker);
    await broker.stop();
    assert.ok(existsSync(join(broker.folder, 'store', 'mosquitto.db')));
  });

  test('where it is to be saved is for the next start: a reload says so', async (t) => {
    const broker = await startBroker(t, { config: persistent });
    await reload(broker, (text) => `${text}\npersistence_file other.db`);
    assert.match(
      broker.log.findLast((line) => /Changed/.test(line))!,
      /in force only after a restart: persistence_file\.$/,
    );
    await keep(t, broker);
    await broker.stop();
    assert.ok(existsSync(join(broker.folder, 'store', 'mosquitto.db')));
  });

  test('SIGUSR1 saves', async (t) => {
    const broker = await startBroker(t, { config: persistent });
    await keep(t, broker);
    broker.program.signal('SIGUSR1');
    await broker.waitForLog(/Saving in-memory database to \/\S+\/mosquitto\.db\.$/);
    await broker.waitForLog(/Saved \d+ bytes to \/\S+\/mosquitto\.db/);
    assert.ok(existsSync(join(broker.folder, 'store', 'mosquitto.db')));
  });

  test('autosave_interval: saved after so many seconds, also with a new value', async (t) => {
    const broker = await startBroker(t, { config: `${persistent}\nautosave_interval 0` });
    await keep(t, broker);
    await reload(broker, (text) => text.replace('autosave_interval 0', 'autosave_interval 1'));
    await broker.waitForLog(/Saved \d+ bytes/);
  });

  test('autosave_on_changes: saved after so many changes on all workers', async (t) => {
    const config = `${persistent}\nautosave_on_changes true\nautosave_interval 4`;
    const broker = await startBroker(t, { workers: 2, config });
    for (const topic of ['1', '2', '3']) await keep(t, broker, topic);
    await wait(1500); // it is looked for once a second
    assert.ok(!broker.log.some((line) => /Saved/.test(line)));
    await keep(t, broker, '4');
    await broker.waitForLog(/Saved \d+ bytes/);
  });

  test('autosave_on_changes counts from a reload on', async (t) => {
    const broker = await startBroker(t, { config: `${persistent}\nautosave_interval 2` });
    await reload(broker, (text) => `${text}\nautosave_on_changes true`);
    const from = broker.log.length;
    for (const topic of ['1', '2']) await keep(t, broker, topic);
    await broker.waitForLog(/Saved \d+ bytes/, { from });
  });

  for (const [lines, mode] of [
    ['', 'autosave'],
    ['persistence_mode durable', 'durable'],
    ['autosave_on_changes true\nautosave_interval 1', 'durable'],
    ['autosave_interval 1', 'autosave'],
  ] as const) {
    test(`${lines.replace('\n', ', ') || 'no persistence_mode'}: ${mode}`, async (t) => {
      const broker = await startBroker(t, { config: `${persistent}\nsys_interval 1\n${lines}` });
      assert.equal(await sysValue(t, broker, '$SYS/broker/store/mode'), mode);
    });
  }

  test('durable: it is not said that something is saved, because nothing is copied', async (t) => {
    const broker = await startBroker(t, { config: `${persistent}\npersistence_mode durable` });
    await keep(t, broker);
    await broker.stop();
    assert.equal(broker.log.filter((line) => /Saving|Saved/.test(line)).length, 0);
  });

  for (const [mode, waits] of [
    ['durable', true],
    ['autosave', false],
  ] as const) {
    test(`group_commit_interval, ${mode}: ${waits ? 'so far apart are commits' : 'no effect'}`, async (t) => {
      const groupMs = 3000;
      const config = `${persistent}\npersistence_mode ${mode}\ngroup_commit_interval ${groupMs}`;
      const broker = await startBroker(t, { workers: 1, config });
      const client = await RawClient.connect(t, broker, 4);
      const started = performance.now();
      await client.publish('kept', 'first', { retain: true });
      await client.publish('kept', 'second', { retain: true });
      const tookMs = performance.now() - started;
      assert.equal(tookMs > groupMs * 0.95, waits, `acknowledged after ${tookMs} ms`);
    });
  }

  test('persistent_client_expiration counts while the broker is down, too', async (t) => {
    const config = `${persistent}\npersistent_client_expiration 2s`;
    const first = await startBroker(t, { config });
    const client = await RawClient.connect(t, first, 4, { clientId: 'old', cleanStart: false });
    await client.disconnect();
    await first.stop();
    await wait(2500);
    const second = await first.startAgain(t);
    await second.waitForLog(/Expiring client old due to timeout\.$/);
    const again = await RawClient.connect(t, second, 4, { clientId: 'old', cleanStart: false });
    assert.equal(again.connack!.sessionPresent, false);
  });
});

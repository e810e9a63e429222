/**
 * The machine goes down with the broker: what was in memory is gone. Then the state is exactly that of the last save,
 * or in durable mode everything that was acknowledged.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findLiveFolder, memoryFolders } from '../../src/store/file/live-folder.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';
import { patienceMs, within } from '../support/within.js';

const config = 'log_type all\npersistence true\npersistence_location {folder}/';

/** What clients find. */
interface State {
  retained: string[];
  queued: string[];
}

/** A session that is away, for which messages wait. */
async function leaveSession(t: TestContext, broker: Broker, clientId: string): Promise<void> {
  const subscriber = new DurableClient(clientId);
  await subscriber.connect(t, broker);
  await subscriber.subscribe('queue/+', 2);
  await subscriber.disconnect();
}

/** Everything in here is acknowledged when it returns. */
async function change(t: TestContext, broker: Broker, name: string): Promise<void> {
  const publisher = await RawClient.connect(t, broker, 4);
  await publisher.publish('kept/always', name, { qos: 1, retain: true });
  await publisher.publish(`kept/${name}`, name, { qos: 2, retain: true });
  for (const qos of [1, 2] as const) await publisher.publish(`queue/${name}`, `${name} ${qos}`, { qos });
  await publisher.disconnect();
}

async function stateOf(t: TestContext, broker: Broker): Promise<State> {
  return { queued: await takeQueued(t, broker), retained: await readRetained(t, broker) };
}

/** The last message comes behind all others, for QoS 2 takes longer than QoS 1. */
async function takeQueued(t: TestContext, broker: Broker): Promise<string[]> {
  const queued: string[] = [];
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const subscriber = new DurableClient('subscriber', ({ topic, payload }) => {
    if (topic === 'queue/end') end();
    else queued.push(Buffer.from(payload).toString());
  });
  assert.ok(await subscriber.connect(t, broker), 'the session is lost');
  await subscriber.publish('queue/end', '', { qos: 2 });
  await within(patienceMs, ended, () => `of the queue came ${queued}`);
  await subscriber.disconnect();
  return queued.sort();
}

async function readRetained(t: TestContext, broker: Broker): Promise<string[]> {
  const reader = await RawClient.connect(t, broker, 4);
  await reader.subscribe('kept/+', 0);
  reader.sendPublish('kept/end', '');
  const retained: string[] = [];
  for (;;) {
    const { topic, payload } = await reader.expectPacket('publish');
    if (topic === 'kept/end') break;
    retained.push(`${topic} ${Buffer.from(payload).toString()}`);
  }
  await reader.disconnect();
  return retained.sort();
}

/** Where the broker has its live store; made where it is not there. */
async function liveFolderOf(folder: string): Promise<string | undefined> {
  const savedPath = join(folder, 'mosquitto.db');
  const found = await findLiveFolder({ candidates: memoryFolders(process.env), savedPath, bytes: 0 });
  found?.release();
  return found?.path;
}

/** Ends the broker and empties the machine's memory. @returns the broker after the start of the machine */
async function reboot(t: TestContext, broker: Broker): Promise<Broker> {
  await broker.kill();
  const live = await liveFolderOf(broker.folder);
  if (live !== undefined) rmSync(live, { recursive: true });
  rmSync(join(broker.folder, 'mosquitto.db-lock'), { force: true });
  return broker.startAgain(t);
}

const probe = await liveFolderOf(tmpdir());
if (probe !== undefined) rmSync(probe, { recursive: true });
const skip = probe === undefined ? 'needs a file system in memory' : false;

test('autosave: exactly the last save is there', { skip }, async (t) => {
  let broker = await startBroker(t, { workers: 3, config });
  await leaveSession(t, broker, 'subscriber');
  await change(t, broker, 'saved');
  broker.program.signal('SIGUSR1');
  await broker.waitForLog(/Saved \d+ bytes/);
  await change(t, broker, 'unsaved');
  await leaveSession(t, broker, 'latecomer');
  broker = await reboot(t, broker);
  assert.deepEqual(await stateOf(t, broker), {
    retained: ['kept/always saved', 'kept/saved saved'],
    queued: ['saved 1', 'saved 2'],
  });
  assert.equal(await new DurableClient('latecomer').connect(t, broker), false);
});

test('autosave: nothing is there before the first save', { skip }, async (t) => {
  const broker = await startBroker(t, { config });
  await leaveSession(t, broker, 'subscriber');
  await change(t, broker, 'unsaved');
  const after = await reboot(t, broker);
  assert.equal(await new DurableClient('subscriber').connect(t, after), false);
  assert.deepEqual(await readRetained(t, after), []);
});

test('durable: everything acknowledged is there', async (t) => {
  let broker = await startBroker(t, { workers: 3, config: `${config}\npersistence_mode durable` });
  await leaveSession(t, broker, 'subscriber');
  await change(t, broker, 'first');
  broker = await reboot(t, broker);
  await change(t, broker, 'second');
  await leaveSession(t, broker, 'latecomer');
  broker = await reboot(t, broker);
  assert.deepEqual(await stateOf(t, broker), {
    retained: ['kept/always second', 'kept/first first', 'kept/second second'],
    queued: ['first 1', 'first 2', 'second 1', 'second 2'],
  });
  assert.equal(await new DurableClient('latecomer').connect(t, broker), true);
});

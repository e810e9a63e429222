/**
 * Durable mode, and the file of the store cannot be used when the broker starts: that is said, clients are served,
 * nothing is acknowledged that has to be stored, and all is as it was when the cause is gone.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { patienceMs } from '../support/within.js';

const isRoot = process.getuid?.() === 0;
const nobody = 65534;

interface Cause {
  name: string;
  skip: string | false;
  /** Prepares the folder of the store, before the first start. */
  prepare: (t: TestContext, folder: string) => void;
  begin: (folder: string) => void;
  end: (folder: string) => void;
  /** Whether what is in the file can be read meanwhile. */
  reads: boolean;
  user?: string;
}

const onlyForRoot = isRoot ? false : 'only for root';

/** A small disk of its own; what cannot be mounted cannot be tested. */
function mountSmall(t: TestContext, folder: string): void {
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder]);
  afterTest(t, () => spawnSync('umount', ['-l', folder]));
}

const canMount = (() => {
  if (!isRoot) return false;
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return probe.status === 0;
})();
const onlyWithMounts = canMount ? false : 'needs the right to mount';

function forNobody(_t: TestContext, folder: string): void {
  mkdirSync(folder);
  chownSync(folder, nobody, nobody);
}

const causes: Cause[] = [
  {
    name: 'a folder that is missing and cannot be made',
    skip: false,
    prepare: (_t, folder) => mkdirSync(folder),
    begin: (folder) => {
      renameSync(folder, `${folder}.away`);
      writeFileSync(folder, 'in the way');
    },
    end: (folder) => {
      rmSync(folder);
      renameSync(`${folder}.away`, folder);
    },
    reads: false,
  },
  {
    name: 'a read-only disk',
    skip: onlyWithMounts,
    prepare: mountSmall,
    begin: (folder) => void execFileSync('mount', ['-o', 'remount,ro', folder]),
    end: (folder) => void execFileSync('mount', ['-o', 'remount,rw', folder]),
    reads: true,
  },
  {
    name: 'a disk that is not mounted yet',
    skip: onlyWithMounts,
    prepare: (t, folder) => {
      mkdirSync(`${folder}.disk`);
      mountSmall(t, folder);
    },
    begin: (folder) => {
      execFileSync('mount', ['--move', folder, `${folder}.disk`]);
      rmSync(folder, { recursive: true });
      writeFileSync(folder, 'in the way');
    },
    end: (folder) => {
      rmSync(folder);
      mkdirSync(folder);
      execFileSync('mount', ['--move', `${folder}.disk`, folder]);
    },
    reads: false,
  },
  {
    name: 'a read-only folder',
    skip: onlyForRoot,
    user: 'nobody',
    prepare: forNobody,
    begin: (folder) => {
      chownSync(folder, 0, 0);
      chmodSync(folder, 0o755);
    },
    end: (folder) => chownSync(folder, nobody, nobody),
    reads: true,
  },
  {
    name: 'a folder of another user',
    skip: onlyForRoot,
    user: 'nobody',
    prepare: forNobody,
    begin: (folder) => {
      chownSync(folder, 0, 0);
      chmodSync(folder, 0o700);
    },
    end: (folder) => chownSync(folder, nobody, nobody),
    reads: false,
  },
  {
    name: 'a file of another user',
    skip: onlyForRoot,
    user: 'nobody',
    prepare: forNobody,
    begin: (folder) => chownSync(join(folder, 'mosquitto.db'), 0, 0),
    end: (folder) => chownSync(join(folder, 'mosquitto.db'), nobody, nobody),
    reads: false,
  },
];

// Most of their time is waiting.
describe('durable mode', { concurrency: 4 }, () => {
  for (const { name, skip, prepare, begin, end, reads, user = 'root' } of causes) {
    test(`${name}: clients are served, and nothing is lost or hidden`, { skip }, async (t) => {
      const outer = makeFolder(t);
      chmodSync(outer, 0o755);
      const folder = join(outer, 'store');
      prepare(t, folder);
      const first = await startBroker(t, { workers: 2, config: configFor(folder, user) });
      const away = new DurableClient('away', ({ payload }) => received.push(Buffer.from(payload).toString()));
      const received: string[] = [];
      await storeSomething(t, first, away);
      await first.stop();

      begin(folder);
      const broker = await first.startAgain(t);
      await broker.waitForLog(/Error: the store \S+ cannot be used: /);
      const publisher = await expectServed(t, broker);
      if (reads) await expectCopyServed(t, broker, away, received);
      else await expectSessionsRefused(t, broker);

      const from = broker.log.length;
      end(folder);
      await broker.waitForLog(/The store can be used now/, { from, timeoutMs: patienceMs });
      await publisher.expectClosed();
      await expectAsBefore(t, broker, away, received, reads ? ['queued', 'meanwhile'] : ['queued']);
      assert.deepEqual(
        readdirSync(folder).filter((file) => /damaged|unsaved/.test(file)),
        [],
      );
    });
  }

  test('a full disk: what is stored is served', { skip: onlyWithMounts }, async (t) => {
    const folder = join(makeFolder(t), 'store');
    mountSmall(t, folder);
    const first = await startBroker(t, { workers: 2, config: configFor(folder, 'root') });
    const received: string[] = [];
    const away = new DurableClient('away', ({ payload }) => received.push(Buffer.from(payload).toString()));
    await storeSomething(t, first, away);
    await first.stop();
    fill(join(folder, 'filler'));
    const broker = await first.startAgain(t);
    await broker.waitForLog(/Error: the store \S+ cannot be used: /);
    await expectServed(t, broker);
    await expectCopyServed(t, broker, away, received);
    const from = broker.log.length;
    rmSync(join(folder, 'filler'));
    await broker.waitForLog(/The store can be used now/, { from, timeoutMs: patienceMs });
    await expectAsBefore(t, broker, away, received, ['queued', 'meanwhile']);
  });

  test('a full disk: a store that cannot be made is made when there is room', {
    skip: onlyWithMounts,
  }, async (t) => {
    const folder = join(makeFolder(t), 'store');
    mountSmall(t, folder);
    const filler = join(folder, 'filler');
    fill(filler);
    const broker = await startBroker(t, { workers: 2, config: configFor(folder, 'root') });
    await broker.waitForLog(/Error: the store \S+ cannot be used: /);
    await expectServed(t, broker);
    await expectSessionsRefused(t, broker);
    const from = broker.log.length;
    rmSync(filler);
    await broker.waitForLog(/The store can be used now/, { from, timeoutMs: patienceMs });
    const away = new DurableClient('away');
    await away.connect(t, broker);
    await away.subscribe('stored', 1);
  });
});

function configFor(folder: string, user: string): string {
  return `user ${user}
log_type all
persistence true
persistence_mode durable
persistence_location ${folder}/
sys_interval 1`;
}

/** A session with a queued message, and a retained message. */
async function storeSomething(t: TestContext, broker: Broker, away: DurableClient): Promise<void> {
  await away.connect(t, broker);
  await away.subscribe('stored', 1);
  await away.disconnect();
  const client = await RawClient.connect(t, broker, 4);
  await client.publish('stored', 'queued');
  await client.publish('kept', 'retained', { retain: true });
  await client.disconnect();
}

/** @returns a client that is connected */
async function expectServed(t: TestContext, broker: Broker): Promise<RawClient> {
  const subscriber = await RawClient.connect(t, broker, 4);
  await subscriber.subscribe('passing', 0);
  const publisher = await RawClient.connect(t, broker, 4);
  publisher.sendPublish('passing', 'through');
  await subscriber.expectPublish('passing', 'through');
  await subscriber.subscribe('$SYS/broker/store/alarm', 0);
  const { payload } = await subscriber.expectPacket('publish');
  assert.match(Buffer.from(payload).toString(), /cannot be used/);
  return publisher;
}

/** What is in the file is there; of what is new, only what need not be stored is acknowledged. */
async function expectCopyServed(
  t: TestContext,
  broker: Broker,
  away: DurableClient,
  received: string[],
): Promise<void> {
  const subscriber = await RawClient.connect(t, broker, 4);
  await subscriber.subscribe('kept', 0);
  await subscriber.expectPublish('kept', 'retained');
  await subscriber.subscribe('passing', 1);
  assert.ok(await away.connect(t, broker));
  await away.publish('passing', 'x');
  assert.deepEqual(received, ['queued']);
  const publisher = await RawClient.connect(t, broker, 4);
  publisher.sendPublish('stored', 'meanwhile', { qos: 1, packetId: 1 });
  await publisher.expectSilence();
}

async function expectSessionsRefused(t: TestContext, broker: Broker): Promise<void> {
  const stays = await RawClient.open(t, broker, 4);
  stays.send(connectPacket(4, { clientId: 'away', cleanStart: false }));
  await stays.expectPacket('connack', { reasonCode: 3 });
  const subscriber = await RawClient.connect(t, broker, 4);
  await subscriber.subscribe('seen', 1);
  const publisher = await RawClient.connect(t, broker, 4);
  publisher.sendPublish('seen', 'x', { qos: 1, packetId: 1 });
  await subscriber.expectPublish('seen', 'x');
  await publisher.expectSilence();
}

async function expectAsBefore(
  t: TestContext,
  broker: Broker,
  away: DurableClient,
  received: string[],
  expected: string[],
): Promise<void> {
  const subscriber = await RawClient.connect(t, broker, 4);
  await subscriber.subscribe('kept', 0);
  await subscriber.expectPublish('kept', 'retained');
  assert.ok(await away.connect(t, broker), 'the session is there');
  await away.publish('stored', 'after');
  assert.deepEqual([...new Set(received)], [...expected, 'after']);
}

/** Writes until there is no room left. */
function fill(path: string): void {
  spawnSync('dd', ['if=/dev/zero', `of=${path}`, 'bs=4k']);
  assert.ok(existsSync(path));
}

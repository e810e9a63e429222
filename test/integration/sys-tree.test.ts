/** The `$SYS` tree beside Debian's Mosquitto: the same topics, and the same values for the same traffic. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { inspect } from 'node:util';
import type { Packet } from '../../src/mqtt/packets.js';
import { type Broker, startBroker, startMosquitto, withBrokers } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { patienceMs, within } from '../support/within.js';

const skip = skipWithout('/usr/sbin/mosquitto');
const prefix = '$SYS/broker/';
const config = 'sys_interval 1';

/** What Mosquitto has since 2.1, whose tree ours is, or does not show in the traffic of this test. */
const newerTopics = ['connections/socket/count', 'packet/out/bytes', 'packet/out/count'];
/** Ours in addition. */
const ownTopics =
  /^(connections\/faults|clients\/taken_over|memory\/(?:used|limit)|publish\/messages\/dropped\/[a-z_]+|store\/(?!messages\/)[a-z/_]+)$/;
/** Debian's build measures its heap; what it shows depends on its allocator. */
const buildTopics = /^heap\//;

/** Topics whose values are the same for the same traffic, whenever it is looked at. */
const equalTopics = [
  'clients/total',
  'clients/connected',
  'clients/disconnected',
  'clients/active',
  'clients/inactive',
  'clients/maximum',
  'clients/expired',
  'messages/received',
  'bytes/received',
  'publish/bytes/received',
  'publish/messages/dropped',
  'subscriptions/count',
  'shared_subscriptions/count',
];

/** Follows the whole tree. */
class TreeWatcher {
  readonly values = new Map<string, string>();
  readonly #client: RawClient;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  static async start(t: TestContext, broker: Broker): Promise<TreeWatcher> {
    const client = await RawClient.connect(t, broker, 4, { clientId: 'watcher' });
    const watcher = new TreeWatcher(client);
    client.sendSubscribe('$SYS/#', 0);
    // What is published at that moment may come before the SUBACK [MQTT 5.0, 3.8.4].
    for (;;) {
      const packet = await client.next('SUBACK');
      if (packet.type === 'suback') return watcher;
      watcher.#take(packet);
    }
  }

  #take(packet: Packet): void {
    assert.ok(packet.type === 'publish' && packet.topic.startsWith('$SYS/'), inspect(packet));
    this.values.set(packet.topic.replace(prefix, ''), Buffer.from(packet.payload).toString());
  }

  /** Reads on until the tree is as asked for. */
  async until(done: (values: ReadonlyMap<string, string>) => boolean): Promise<void> {
    const reading = (async () => {
      while (!done(this.values)) this.#take(await this.#client.next('PUBLISH'));
    })();
    const state = () => `the tree is ${JSON.stringify(Object.fromEntries(this.values))}`;
    await within(patienceMs, reading, state);
  }
}

/** Traffic of every kind, until nothing of it is on its way. */
async function makeTraffic(t: TestContext, broker: Broker): Promise<void> {
  const away = await RawClient.connect(t, broker, 4, { clientId: 'away', cleanStart: false });
  await away.subscribe('traffic/#', 1);
  await away.disconnect();
  const first = await RawClient.connect(t, broker, 5, { clientId: 'first' });
  await first.subscribe('traffic/+', 2);
  await first.subscribe('traffic/a', 0);
  await first.subscribe('$share/group/traffic/a', 1);
  const second = await RawClient.connect(t, broker, 3, { clientId: 'second' });
  await second.subscribe('elsewhere', 1);
  await second.subscribe('nowhere', 1);
  await second.unsubscribe('nowhere');
  second.sendPublish('elsewhere', 'x'.repeat(1000));
  await second.expectPublish('elsewhere', 'x'.repeat(1000));
  await second.publish('nobody', 'kept', { retain: true });
  await second.publish('nobody/else', 'kept, too', { qos: 2, retain: true });
  await second.publish('nobody/else', '', { retain: true });
  await second.expectSilence();
}

/** The tree after the traffic, once it shows all of it. */
async function treeAfterTraffic(t: TestContext, broker: Broker): Promise<Map<string, string>> {
  const watcher = await TreeWatcher.start(t, broker);
  await makeTraffic(t, broker);
  // The traffic's last figures, and every average that there is.
  await watcher.until(
    (values) =>
      values.get('publish/bytes/received') === '1013' &&
      values.get('clients/total') === '4' &&
      values.get('clients/connected') === '3' &&
      values.get('subscriptions/count') !== '0' &&
      values.has('load/connections/15min'),
  );
  // One more round, so that no value is of the round before.
  const uptime = watcher.values.get('uptime');
  await watcher.until((values) => values.get('uptime') !== uptime);
  const later = watcher.values.get('uptime');
  await watcher.until((values) => values.get('uptime') !== later);
  return watcher.values;
}

describe('$SYS', { concurrency: 4 }, () => {
  for (const workers of [1, 3]) {
    test(`the tree beside Mosquitto's [${workers} ${workers === 1 ? 'worker' : 'workers'}]`, {
      skip,
    }, async (t) => {
      const [ours, theirs] = await Promise.all([
        startBroker(t, { config, workers }).then((broker) => treeAfterTraffic(t, broker)),
        startMosquitto(t, { config }).then((broker) => treeAfterTraffic(t, broker)),
      ]);
      const missing = [...theirs.keys()].filter((topic) => !ours.has(topic) && !buildTopics.test(topic));
      assert.deepEqual(missing, [], 'topics of Mosquitto that we do not have');
      const more = [...ours.keys()].filter((topic) => !theirs.has(topic) && !buildTopics.test(topic));
      assert.deepEqual(more.filter((topic) => !ownTopics.test(topic)).sort(), newerTopics);
      for (const topic of equalTopics) assert.equal(ours.get(topic), theirs.get(topic), topic);
      // Version 2.0.11 counts those of QoS 0 only.
      assert.equal(ours.get('publish/messages/received'), '4');
      // Besides the tree itself there is one; it is counted before figures that are new in the same round are.
      const retained = Number(ours.get('retained messages/count')) - ours.size;
      assert.equal(retained, Number(theirs.get('retained messages/count')) - theirs.size);
      assert.match(ours.get('version')!, /^midge version \d/);
      assert.match(ours.get('uptime')!, /^\d+ seconds$/);
      for (const [topic, value] of ours) {
        if (topic.startsWith('load/')) assert.match(value, /^\d+\.\d\d$/, topic);
        else if (topic !== 'version' && topic !== 'uptime' && !ownTopics.test(topic))
          assert.match(value, /^\d+$/, topic);
      }
    });
  }

  withBrokers(
    'figures of the tree are retained messages of QoS 2, written when they change',
    async (t, broker) => {
      const client = await RawClient.connect(t, broker, 5);
      await client.subscribe(`${prefix}uptime`, 2, { retainAsPublished: true });
      // What is retained, then what is new.
      const values: string[] = [];
      for (let i = 0; i < 2; i += 1) {
        const message = { topic: `${prefix}uptime`, qos: 2, retain: true, properties: {} } as const;
        const { payload, packetId } = await client.expectPacket('publish', message);
        values.push(Buffer.from(payload).toString());
        client.sendAck('pubrec', packetId);
        await client.expectPacket('pubrel', { packetId });
        client.sendAck('pubcomp', packetId);
      }
      assert.notEqual(values[0], values[1]);
    },
    { config },
  );

  withBrokers(
    'sys_interval 0: there is no tree',
    async (t, broker) => {
      const client = await RawClient.connect(t, broker, 4);
      await client.subscribe('$SYS/#');
      await client.expectSilence();
    },
    { config: 'sys_interval 0' },
  );

  for (const workers of [1, 3]) {
    test(`clients see of the tree what the rules allow [${workers} ${workers === 1 ? 'worker' : 'workers'}]`, async (t) => {
      const aclFile = join(makeFolder(t), 'acl');
      writeFileSync(aclFile, `topic read ${prefix}uptime\nuser admin\ntopic read $SYS/#\n`);
      const broker = await startBroker(t, { config: `${config}\nacl_file ${aclFile}`, workers });
      const guest = await RawClient.connect(t, broker, 5);
      const admin = await RawClient.connect(t, broker, 5, { username: 'admin' });
      const topicsUntil = async (client: RawClient, isEnough: (seen: string[]) => boolean) => {
        const seen: string[] = [];
        while (!isEnough(seen)) seen.push((await client.expectPacket('publish')).topic);
        return seen;
      };
      for (const client of [guest, admin]) await client.subscribe('$SYS/#');
      // What is retained, and what comes later.
      const uptimes = Array(3).fill(`${prefix}uptime`);
      assert.deepEqual(await topicsUntil(guest, (seen) => seen.length === 3), uptimes);
      await topicsUntil(admin, (seen) => new Set(seen).size > 40);
    });
  }

  withBrokers(
    'nobody else may write to the tree',
    async (t, broker) => {
      const watcher = await RawClient.connect(t, broker, 4);
      await watcher.subscribe('$SYS/test/#');
      const client = await RawClient.connect(t, broker, 4);
      await client.publish('$SYS/test/a', 'x', { retain: true });
      await client.publish('$SYS/broker/connection/bridge/state', '1', { retain: true });
      await watcher.expectSilence();
      await watcher.subscribe('$SYS/broker/connection/+/state');
      await watcher.expectPublish('$SYS/broker/connection/bridge/state', '1', { retain: true });
    },
    { config: 'sys_interval 0' },
  );
});

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: what there is to know of the store is seen`, async (t) => {
    const store = `persistence true\npersistence_location {folder}/\npersistence_mode ${mode}`;
    const broker = await startBroker(t, { workers: 2, config: `${config}\n${store}` });
    const watcher = await TreeWatcher.start(t, broker);
    const stays = await RawClient.connect(t, broker, 4, { clientId: 'stays', cleanStart: false });
    await stays.subscribe('a', 1);
    for (const topic of ['r/1', 'r/2', 'r/3']) await stays.publish(topic, 'x', { retain: true });
    const value = (name: string) => Number(watcher.values.get(`store/${name}`) ?? 0);
    await watcher.until(
      () =>
        value('retained') === 3 && value('sessions') === 1 && value('records') >= 5 && value('commits') >= 3,
    );
    assert.equal(watcher.values.get('store/mode'), mode);
    assert.equal(watcher.values.get('store/alarm') ?? '', '');
    assert.ok(value('bytes') > 0);
    if (mode === 'autosave') {
      broker.program.signal('SIGUSR1');
      await broker.waitForLog(/Saved \d+ bytes to \/\S+\/mosquitto\.db in \d+ ms\./);
      await watcher.until(() => value('save/bytes') > 0);
      assert.ok(Math.abs(value('save/time') - Date.now() / 1000) < 60);
      assert.ok(watcher.values.has('store/save/duration_ms'));
      assert.equal(value('save/failing'), 0);
    }
    await watcher.until(() => value('bytes_per_day') > 0);
  });
}

/** Shared subscriptions, on one worker and over several. */
import assert from 'node:assert/strict';
import type { Packet } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

/** Members of one group, more than there are workers. */
async function members(scene: Scene, count: number, qos: 0 | 1 | 2 = 1): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (let i = 0; i < count; i += 1) {
    const client = await scene.connectLasting(`${scene.id}m${i}`);
    await client.subscribe(`$share/group/${scene.id}`, qos);
    clients.push(client);
  }
  return clients;
}

/** The payloads that have come to a client so far. A round trip to the broker is the end of them. */
async function received(client: RawClient): Promise<string[]> {
  client.send({ type: 'pingreq' });
  const payloads: string[] = [];
  for (;;) {
    const packet: Packet = await client.next();
    if (packet.type === 'pingresp') return payloads;
    if (packet.type !== 'publish') continue;
    payloads.push(Buffer.from(packet.payload).toString());
    if (packet.qos === 1) client.sendAck('puback', packet.packetId);
  }
}

/** Publishes, and waits until all members' workers have had the messages: a plain subscriber on each has got the last. */
async function publishAll(scene: Scene, payloads: readonly string[]): Promise<void> {
  const watchers = await Promise.all([1, 2, 3, 4].map(() => scene.connect()));
  for (const watcher of watchers) await watcher.subscribe(scene.id, 0);
  const publisher = await scene.connect();
  for (const payload of payloads) await publisher.publish(scene.id, payload);
  for (const watcher of watchers) {
    for (const payload of payloads) await watcher.expectPublish(scene.id, payload);
    watcher.destroy();
  }
}

statement(
  { v4: '', v5: '4.8.2-1' },
  'a group without a name is refused, the other filters are not',
  async (scene) => {
    const client = await scene.connect();
    const request = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscriptions = [`$share//${scene.id}`, scene.id].map((filter) => ({ filter, ...request }));
    client.send({ type: 'subscribe', packetId: 1, subscriptions, properties: {} });
    const refused = scene.isV5 ? ReasonCode.topicFilterInvalid : 0x80;
    await client.expectPacket('suback', { packetId: 1, reasonCodes: [refused, 1] });
  },
);

statement(
  { v3: '', v4: '4.5.0-1', v5: '4.8.2-1' },
  'each message goes to one member, and fairly',
  async (scene) => {
    const group = await members(scene, 4);
    const payloads = [...Array(40).keys()].map(String);
    await publishAll(scene, payloads);
    const got = await Promise.all(group.map((client) => received(client)));
    assert.deepEqual(
      got.flat().sort((a, b) => Number(a) - Number(b)),
      payloads,
    );
    for (const one of got) assert.equal(one.length, payloads.length / group.length);
  },
);

statement(
  { v3: '', v4: '4.5.0-1', v5: '4.8.2-2 4.5.0-1' },
  'every group, and every plain subscription, gets its own copy',
  async (scene) => {
    const filters = [`$share/a/${scene.id}`, `$share/b/${scene.id}`, `$share/b/${scene.id}/#`, scene.id];
    const clients: RawClient[] = [];
    for (const filter of filters) {
      const client = await scene.connect();
      await client.subscribe(filter, 1);
      clients.push(client);
    }
    const both = await scene.connect();
    await both.subscribe(`$share/c/${scene.id}`, 1);
    await both.subscribe(scene.id, 1);
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'x');
    for (const client of clients) await client.expectPublish(scene.id, 'x');
    for (let i = 0; i < 2; i += 1) await both.expectPublish(scene.id, 'x');
    await both.expectSilence();
  },
);

statement({ v5: '4.8.2-3' }, 'each member gets messages with the QoS granted to it', async (scene) => {
  const clients: [0 | 1 | 2, RawClient][] = [];
  for (const qos of [0, 1, 2] as const) {
    const client = await scene.connect();
    await client.subscribe(`$share/g/${scene.id}`, qos);
    clients.push([qos, client]);
  }
  const publisher = await scene.connect();
  for (let i = 0; i < 6; i += 1) await publisher.publish(scene.id, 'x', { qos: 2 });
  for (const [qos, client] of clients) {
    for (let i = 0; i < 2; i += 1) await client.expectPublish(scene.id, 'x', { qos });
  }
});

statement(
  { v3: '', v4: '3.3.1-6', v5: '3.3.1-9' },
  'shared subscriptions get no retained messages',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'kept', { retain: true });
    const client = await scene.connect();
    await client.subscribe(`$share/g/${scene.id}`, 1);
    await client.expectSilence();
  },
);

/** Filters that are none, and the reason code. */
const wrong: readonly [filter: string, reasonCode: number][] = [
  ['$share', ReasonCode.protocolError],
  ['$share/g', ReasonCode.protocolError],
  ['$share/g/', ReasonCode.protocolError],
  ['$share/+/x', ReasonCode.protocolError],
  ['$share/#', ReasonCode.protocolError],
  ['$share/a+/x', ReasonCode.malformedPacket],
  ['$share/g/a#', ReasonCode.malformedPacket],
];
statement(
  { v3: '', v4: '4.8.0-1', v5: '4.8.2-1 4.8.2-2' },
  'what is no shared subscription ends the connection',
  async (scene) => {
    for (const [filter, reasonCode] of wrong) {
      const client = await scene.connect();
      client.send(packetBytes(0x82, `0001 ${scene.isV5 ? '00' : ''} "${filter}" 00`));
      await scene.expectFault(client, reasonCode);
    }
  },
);

statement(
  { v3: '', v4: '3.10.4-2', v5: '3.10.4-2 4.8.2-2' },
  'who unsubscribes leaves the group',
  async (scene) => {
    const [first, second] = await members(scene, 2);
    await first!.unsubscribe(`$share/group/${scene.id}`);
    const payloads = ['a', 'b', 'c', 'd'];
    await publishAll(scene, payloads);
    assert.deepEqual(await received(second!), payloads);
    assert.deepEqual(await received(first!), []);
  },
);

statement(
  { v3: '', v4: '4.5.0-1', v5: '4.5.0-1' },
  'a member that is away has its turn, in its queue',
  async (scene) => {
    const [first, second] = await members(scene, 2);
    await first!.disconnect();
    await publishAll(scene, ['a', 'b', 'c', 'd']);
    const here = await received(second!);
    assert.equal(here.length, 2);
    const back = await scene.connectLasting(`${scene.id}m0`);
    assert.deepEqual([...here, ...(await received(back))].sort(), ['a', 'b', 'c', 'd']);
  },
);

/** Publishes until the member has a message that it does not acknowledge; the others do. */
async function giveTo(scene: Scene, member: RawClient, qos: 1 | 2): Promise<string> {
  const publisher = await scene.connect();
  for (let i = 0; ; i += 1) {
    await publisher.publish(scene.id, `${qos}-${i}`, { qos });
    member.send({ type: 'pingreq' });
    const packet = await member.next();
    if (packet.type !== 'publish') continue;
    await member.expectPacket('pingresp');
    return Buffer.from(packet.payload).toString();
  }
}

statement(
  { v5: '4.8.2-4' },
  'QoS 2 on its way to a member is completed when that comes back, and goes to nobody else',
  async (scene) => {
    const [first, second] = await members(scene, 2, 2);
    const payload = await giveTo(scene, first!, 2);
    first!.destroy();
    const back = await scene.connectLasting(`${scene.id}m0`);
    await back.expectPublish(scene.id, payload, { dup: true, qos: 2 });
    assert.ok(!(await received(second!)).includes(payload));
  },
);

for (const [qos, cited, name] of [
  [1, '4.5.0-1', 'QoS 1 that a member had not acknowledged goes to another when its session ends'],
  [2, '4.8.2-5', 'QoS 2 on its way to a member whose session ends goes to nobody else'],
] as const) {
  statement({ v5: cited }, name, async (scene) => {
    const [first, second, third] = await members(scene, 3, 2);
    const payload = await giveTo(scene, first!, qos);
    for (const client of [second!, third!]) await received(client);
    first!.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 0 } });
    await first!.expectClosed();
    // The others know of the end of the session when they get a message that is published afterwards.
    await publishAll(scene, ['end', 'end']);
    const got = [...(await received(second!)), ...(await received(third!))];
    assert.equal(got.includes(payload), qos === 1, got.join());
  });
}

statement({ v5: '4.8.2-6' }, 'a message that a member refuses goes to nobody else', async (scene) => {
  const [first, second] = await members(scene, 2);
  const publisher = await scene.connect();
  for (let i = 0; ; i += 1) {
    await publisher.publish(scene.id, `${i}`);
    first!.send({ type: 'pingreq' });
    const packet = await first!.next();
    if (packet.type !== 'publish') continue;
    first!.sendAck('puback', packet.packetId, ReasonCode.unspecifiedError);
    await first!.expectPacket('pingresp');
    await first!.disconnect();
    await publisher.publish(scene.id, 'end');
    assert.ok(!(await received(second!)).includes(`${i}`));
    return;
  }
});

runStatements(import.meta.url);

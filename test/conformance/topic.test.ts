/** Topic names, topic filters and how they meet. */
import assert from 'node:assert/strict';
import type { Packet } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

function subscribePacket(scene: Scene, filter: string): Buffer {
  return packetBytes(0x82, `0001 ${scene.isV5 ? '00' : ''} "${filter}" 00`);
}

const wrongFilters: readonly [v4: string, v5: string, filter: string][] = [
  ['4.7.1-2', '4.7.1-1', 'a/#/b'],
  ['4.7.1-2', '4.7.1-1', 'a#'],
  ['4.7.1-2', '4.7.1-1', '##'],
  ['4.7.1-3', '4.7.1-2', 'a+'],
  ['4.7.1-3', '4.7.1-2', '+a/b'],
  ['4.7.1-3', '4.7.1-2', 'a/++/b'],
  ['4.7.3-1', '4.7.3-1', ''],
];

for (const [v4, v5, filter] of wrongFilters) {
  statement({ v3: '', v4, v5 }, `the filter "${filter}" ends the connection`, async (scene) => {
    const subscriber = await scene.connect();
    subscriber.send(subscribePacket(scene, filter));
    await scene.expectFault(subscriber, ReasonCode.malformedPacket);
    const unsubscriber = await scene.connect();
    unsubscriber.send(packetBytes(0xa2, `0001 ${scene.isV5 ? '00' : ''} "${filter}"`));
    await scene.expectFault(unsubscriber, ReasonCode.malformedPacket);
  });
}

for (const topic of ['#', 'a/#', '+', 'a/+/b', 'a+', 'a#b']) {
  statement(
    { v3: '', v4: '4.7.1-1 3.3.2-2', v5: '4.7.0-1 3.3.2-2' },
    `the topic name "${topic}" ends the connection`,
    async (scene) => {
      const client = await scene.connect();
      client.send(packetBytes(0x30, `"${topic}" ${scene.isV5 ? '00' : ''}`));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    },
  );
}

statement(
  { v3: '', v4: '4.7.3-1', v5: '4.7.3-1' },
  'an empty topic name ends the connection',
  async (scene) => {
    const client = await scene.connect();
    client.send(packetBytes(0x30, `"" ${scene.isV5 ? '00' : ''} 'x'`));
    await scene.expectFault(client, ReasonCode.protocolError);
  },
);

statement(
  { v5: '4.13.2-1 3.1.4-2' },
  'a topic name with more levels than are taken is refused with 0x90',
  async (scene) => {
    const topic = `${scene.id}${'/'.repeat(201)}`;
    const reasonCode = ReasonCode.topicNameInvalid;
    const client = await scene.connect();
    client.sendPublish(topic, 'x', { qos: 1, packetId: 7 });
    await client.expectPacket('puback', { packetId: 7, reasonCode });
    client.sendPublish(topic, 'x', { qos: 2, packetId: 7 });
    await client.expectPacket('pubrec', { packetId: 7, reasonCode });
    client.sendPublish(topic, 'x');
    await scene.expectFault(client, reasonCode);
    const refused = await scene.openWith({
      will: { topic, payload: Buffer.of(), qos: 0, retain: false, properties: {} },
    });
    await refused.expectPacket('connack', { reasonCode });
    await refused.expectClosed();
  },
);

/** Below the scene's own level: filter, and the names that it matches and does not. */
const matches: readonly [filter: string, yes: readonly string[], no: readonly string[]][] = [
  ['sport/#', ['sport', 'sport/', 'sport/tennis', 'sport/tennis/x'], ['sports', 'Sport']],
  ['sport/+', ['sport/', 'sport/tennis'], ['sport', 'sport/tennis/x']],
  ['+/+', ['/', 'a/b', '/b', 'a/'], ['a', 'a/b/c']],
  ['+/tennis/#', ['sport/tennis', '/tennis/x/y'], ['tennis', 'sport/x']],
  ['a//b', ['a//b'], ['a/b', 'a/x/b', 'a///b']],
  ['+//#', ['a//', 'a//b', '//'], ['a/b']],
];

for (const [filter, yes, no] of matches) {
  statement(
    { v3: '', v4: '4.7.1-2 4.7.1-3', v5: '4.7.1-1 4.7.1-2' },
    `what "${filter}" matches`,
    async (scene) => {
      const client = await scene.connect();
      await client.subscribe(`${scene.id}/${filter}`);
      for (const topic of [...no, ...yes]) client.sendPublish(`${scene.id}/${topic}`, topic);
      for (const topic of yes) await client.expectPublish(`${scene.id}/${topic}`, topic);
      await client.expectSilence();
    },
  );
}

/** No message below `$` may be among what comes. */
async function readUntil(client: RawClient, isLast: (packet: Packet) => boolean): Promise<void> {
  for (let packet = await client.next(); !isLast(packet); packet = await client.next()) {
    if (packet.type === 'publish')
      assert.ok(!packet.topic.startsWith('$'), `a wildcard matched ${packet.topic}`);
  }
}

statement(
  { v3: '', v4: '4.7.2-1', v5: '4.7.2-1' },
  'a wildcard at the beginning matches no topic that begins with $, live or retained',
  async (scene) => {
    const publisher = await scene.connect();
    const dollar = `$${scene.id}/x`;
    await publisher.publish(dollar, 'kept', { retain: true });
    // Everything that others publish comes here, too, even before SUBACK.
    const wild = await scene.connect();
    wild.sendSubscribe('+/x', 1, { packetId: 1 });
    wild.sendSubscribe('#', 0, { packetId: 2 });
    await readUntil(wild, (packet) => packet.type === 'suback' && packet.packetId === 2);
    const exact = await scene.connect();
    await exact.subscribe(`$${scene.id}/+`, 1);
    await exact.expectPublish(dollar, 'kept', { retain: true });
    await publisher.publish(dollar, 'live');
    await exact.expectPublish(dollar, 'live');
    await publisher.publish(`${scene.id}/end`, 'end');
    await readUntil(wild, (packet) => packet.type === 'publish' && packet.topic === `${scene.id}/end`);
  },
);

statement({ v3: '', v4: '4.7.3-3', v5: '4.7.3-3' }, 'topics may have 65535 bytes', async (scene) => {
  const client = await scene.connect();
  const topic = scene.id.padEnd(65_535, 'x');
  await client.subscribe(topic);
  client.sendPublish(topic, 'long');
  await client.expectPublish(topic, 'long');
});

statement(
  { v3: '', v4: '4.7.3-4', v5: '4.7.3-4' },
  'a filter is not taken for another that looks like it',
  async (scene) => {
    const client = await scene.connect();
    await client.subscribe(`/${scene.id}`);
    client.sendPublish(scene.id, 'without');
    client.sendPublish(`/${scene.id}/`, 'behind');
    client.sendPublish(`/${scene.id.toUpperCase()}`, 'upper');
    client.sendPublish(`/${scene.id}`, 'same');
    await client.expectPublish(`/${scene.id}`, 'same');
    await client.expectSilence();
  },
);

runStatements(import.meta.url);

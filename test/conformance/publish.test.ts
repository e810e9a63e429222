/** PUBLISH and the retain flag: what is passed on, what is kept, and to whom it goes. */
import assert from 'node:assert/strict';
import type { Qos } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { bytes, packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

const levels: readonly Qos[] = [0, 1, 2];

statement(
  { v3: '', v4: '3.3.4-1 2.3.1-6 4.3.1-1', v5: '3.3.4-1 2.2.1-5 4.3.1-1 4.3.2-4 4.3.3-8 4.3.3-11' },
  'PUBLISH is answered as its QoS asks, with its packet id',
  async (scene) => {
    const client = await scene.connect();
    client.sendPublish(scene.id, 'zero');
    await client.expectSilence();
    client.sendPublish(scene.id, 'one', { qos: 1, packetId: 0xabcd });
    await client.expectPacket('puback', { packetId: 0xabcd });
    client.sendPublish(scene.id, 'two', { qos: 2, packetId: 0xffff });
    await client.expectPacket('pubrec', { packetId: 0xffff });
    client.sendAck('pubrel', 0xffff);
    await client.expectPacket('pubcomp', { packetId: 0xffff });
    await client.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.8.4-6 2.3.1-4 2.3.1-5 3.3.1-2', v5: '3.8.4-8 2.2.1-4 2.2.1-2 3.3.1-2' },
  'a message comes with the lower of its QoS and the granted one',
  async (scene) => {
    const publisher = await scene.connect();
    for (const granted of levels) {
      const subscriber = await scene.connect();
      await subscriber.subscribe(`${scene.id}/${granted}`, granted);
      for (const published of levels) {
        publisher.sendPublish(`${scene.id}/${granted}`, `${published}`, {
          qos: published,
          packetId: published,
        });
        if (published === 1) await publisher.expectPacket('puback', { packetId: 1 });
        if (published === 2) {
          await publisher.expectPacket('pubrec', { packetId: 2 });
          publisher.sendAck('pubrel', 2);
          await publisher.expectPacket('pubcomp');
        }
        const qos = Math.min(granted, published) as Qos;
        const message = await subscriber.expectPublish(`${scene.id}/${granted}`, `${published}`, {
          qos,
          dup: false,
        });
        assert.equal(message.packetId > 0, qos > 0, 'a packet id where there is QoS');
      }
    }
  },
);

statement(
  { v3: '', v4: '3.3.1-3', v5: '3.3.1-3 4.3.2-2 4.3.3-2' },
  'the DUP flag of a publisher is not passed on',
  async (scene) => {
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'again', { qos: 1, dup: true });
    await subscriber.expectPublish(scene.id, 'again', { dup: false, qos: 1 });
    await publisher.publish(scene.id, 'once more', { qos: 2, dup: true });
    await subscriber.expectPublish(scene.id, 'once more', { dup: false, qos: 2 });
  },
);

statement(
  { v3: '', v4: '3.3.2-3', v5: '3.3.2-3' },
  'the topic of a delivered message matches the filter',
  async (scene) => {
    const subscriber = await scene.connect();
    await subscriber.subscribe(`${scene.id}/+/c`);
    const publisher = await scene.connect();
    for (const topic of ['a', 'a/c/d', 'b', 'a/c', 'c/b', 'b/c'])
      publisher.sendPublish(`${scene.id}/${topic}`, topic);
    await publisher.expectSilence();
    await subscriber.expectPublish(`${scene.id}/a/c`, 'a/c');
    await subscriber.expectPublish(`${scene.id}/b/c`, 'b/c');
    await subscriber.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.3.5-1', v5: '3.3.4-2' },
  'overlapping subscriptions: the highest QoS of them is respected',
  async (scene) => {
    const subscriber = await scene.connect();
    for (const [filter, qos] of [
      ['#', 0],
      ['+', 2],
      ['a', 1],
    ] as const) {
      await subscriber.subscribe(`${scene.id}/${filter}`, qos);
    }
    const publisher = await scene.connect();
    await publisher.publish(`${scene.id}/a`, 'x', { qos: 2 });
    const got: Qos[] = [];
    for (let i = 0; i < 3; i += 1) got.push((await subscriber.expectPublish(`${scene.id}/a`, 'x')).qos);
    assert.deepEqual(got.sort(), [0, 1, 2]);
    await subscriber.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.3.5-1', v5: '3.3.4-2' },
  'overlapping subscriptions: one copy where it is configured so',
  async (scene) => {
    const filters = ['#', 'a', '+', 'a/#', '+/#'];
    const publisher = await scene.connect();
    for (const highest of filters) {
      const subscriber = await scene.connect();
      for (const filter of filters) {
        await subscriber.subscribe(`${scene.id}/${filter}`, filter === highest ? 2 : 0);
      }
      await publisher.publish(`${scene.id}/a`, 'x', { qos: 2 });
      await subscriber.expectPublish(`${scene.id}/a`, 'x', { qos: 2 });
      await subscriber.expectSilence();
    }
  },
  { config: 'allow_duplicate_messages false' },
);

statement(
  { v5: '3.3.4-4' },
  'overlapping subscriptions: the one copy has the identifiers of all, live and from the queue',
  async (scene) => {
    const publisher = await scene.connect();
    const subscriber = await scene.connectLasting(scene.id);
    await subscriber.subscribe(`${scene.id}/#`, 0, { identifier: 7 });
    await subscriber.subscribe(`${scene.id}/+`, 1, { identifier: 268_435_455 });
    await subscriber.subscribe(`${scene.id}/a`, 1);
    const expectCopy = async (client: RawClient, payload: string): Promise<void> => {
      const { packetId, properties } = await client.expectPublish(`${scene.id}/a`, payload, { qos: 1 });
      assert.deepEqual(properties.subscriptionIdentifiers!.toSorted(), [268_435_455, 7]);
      client.sendAck('puback', packetId);
      await client.expectSilence();
    };
    await publisher.publish(`${scene.id}/a`, 'live');
    await expectCopy(subscriber, 'live');
    await subscriber.disconnect();
    await publisher.publish(`${scene.id}/a`, 'queued');
    await expectCopy(await scene.connectLasting(scene.id), 'queued');
  },
  { config: 'allow_duplicate_messages false' },
);

statement(
  { v3: '', v4: '3.3.5-2', v5: '3.4.2-1 3.5.2-1 4.3.3-9' },
  'a PUBLISH that is not allowed is acknowledged all the same, and goes nowhere',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(`$SYS/${scene.id}/#`);
    const client = await scene.connect();
    const refused = scene.isV5 ? ReasonCode.notAuthorized : 0;
    client.sendPublish(`$SYS/${scene.id}/a`, 'x', { qos: 1 });
    await client.expectPacket('puback', { packetId: 1, reasonCode: refused });
    client.sendPublish(`$SYS/${scene.id}/a`, 'x', { qos: 2, packetId: 2 });
    await client.expectPacket('pubrec', { packetId: 2, reasonCode: refused });
    if (!scene.isV5) {
      client.sendAck('pubrel', 2);
      await client.expectPacket('pubcomp', { packetId: 2 });
    }
    await watcher.expectSilence();
  },
);

statement({ v5: '4.3.3-9 4.3.3-8' }, 'after a PUBREC of 0x80 the packet id is free', async (scene) => {
  const subscriber = await scene.connect();
  await subscriber.subscribe(scene.id, 2);
  const client = await scene.connect();
  assert.equal(
    await client.publish(`$SYS/${scene.id}`, 'x', { qos: 2, packetId: 7 }),
    ReasonCode.notAuthorized,
  );
  assert.equal(await client.publish(scene.id, 'y', { qos: 2, packetId: 7 }), 0);
  await subscriber.expectPublish(scene.id, 'y', { qos: 2 });
});

statement({ v5: '3.4.2-1' }, 'PUBACK tells that no subscription matched', async (scene) => {
  const client = await scene.connect();
  assert.equal(await client.publish(scene.id, 'x'), ReasonCode.noMatchingSubscribers);
  await client.subscribe(scene.id);
  client.sendPublish(scene.id, 'x', { qos: 1 });
  const answers = [await client.next(), await client.next()];
  assert.deepEqual(answers.map(({ type }) => type).sort(), ['puback', 'publish']);
  assert.ok(answers.some((packet) => packet.type === 'puback' && packet.reasonCode === 0));
});

// ---- the retain flag

/** The retained message that a new subscription finds, or undefined. */
async function retained(scene: Scene, topic: string): Promise<{ payload: string; qos: Qos } | undefined> {
  const subscriber = await scene.connect();
  await subscriber.subscribe(topic, 2);
  subscriber.send({ type: 'pingreq' });
  const first = await subscriber.next();
  subscriber.destroy();
  if (first.type !== 'publish') return undefined;
  assert.equal(first.retain, true);
  return { payload: Buffer.from(first.payload).toString(), qos: first.qos };
}

statement(
  { v3: '', v4: '3.3.1-5 3.3.1-6 3.3.1-7 3.3.1-8', v5: '3.3.1-5 3.3.1-9' },
  'a retained message replaces the one before, and comes to new subscriptions with its QoS and the retain flag',
  async (scene) => {
    const publisher = await scene.connect();
    for (const qos of [2, 1, 0, 1] as const) {
      publisher.sendPublish(scene.id, `with ${qos}`, { qos, retain: true });
      if (qos === 1) await publisher.expectPacket('puback');
      if (qos === 2) {
        await publisher.expectPacket('pubrec');
        publisher.sendAck('pubrel', 1);
        await publisher.expectPacket('pubcomp');
      }
      if (qos === 0) await publisher.expectSilence();
      assert.deepEqual(await retained(scene, scene.id), { payload: `with ${qos}`, qos });
    }
  },
);

statement(
  { v3: '', v4: '3.3.1-9', v5: '3.3.1-12' },
  'a standing subscription gets retained messages without the flag',
  async (scene) => {
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id, 1);
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'new', { retain: true });
    await subscriber.expectPublish(scene.id, 'new', { retain: false });
  },
);

statement(
  { v3: '', v4: '3.3.1-10 3.3.1-11', v5: '3.3.1-6 3.3.1-7' },
  'an empty retained message is delivered and clears what was retained',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'old', { retain: true });
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id, 1);
    await subscriber.expectPublish(scene.id, 'old', { retain: true });
    await publisher.publish(scene.id, '', { retain: true });
    await subscriber.expectPublish(scene.id, '', { retain: false });
    assert.equal(await retained(scene, scene.id), undefined);
  },
);

statement(
  { v3: '', v4: '3.3.1-12', v5: '3.3.1-8' },
  'without the flag nothing is stored or removed',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(`${scene.id}/none`, 'x');
    assert.equal(await retained(scene, `${scene.id}/none`), undefined);
    await publisher.publish(`${scene.id}/one`, 'kept', { retain: true });
    await publisher.publish(`${scene.id}/one`, 'not kept');
    await publisher.publish(`${scene.id}/one`, '');
    assert.deepEqual(await retained(scene, `${scene.id}/one`), { payload: 'kept', qos: 1 });
  },
);

statement(
  { v3: '', v4: '3.1.2-7', v5: '3.3.1-5' },
  'retained messages survive the session of their publisher',
  async (scene) => {
    const publisher = await scene.connect({ clientId: scene.id });
    await publisher.publish(scene.id, 'stays', { retain: true });
    await publisher.disconnect();
    await (await scene.connect({ clientId: scene.id })).disconnect();
    assert.deepEqual(await retained(scene, scene.id), { payload: 'stays', qos: 1 });
  },
);

statement(
  { v3: '', v4: '3.3.1-6', v5: '3.3.1-9' },
  'wildcards find all retained messages that match',
  async (scene) => {
    const publisher = await scene.connect();
    const topics = ['a', 'a/b', 'a/b/c', 'd'];
    for (const topic of topics) await publisher.publish(`${scene.id}/${topic}`, topic, { retain: true });
    for (const [filter, expected] of [
      ['#', topics],
      ['+', ['a', 'd']],
      ['a/#', ['a', 'a/b', 'a/b/c']],
      ['+/b/#', ['a/b', 'a/b/c']],
    ] as const) {
      const subscriber = await scene.connect();
      await subscriber.subscribe(`${scene.id}/${filter}`);
      const found: string[] = [];
      for (const _ of expected) {
        const { payload, retain } = await subscriber.expectPacket('publish');
        assert.equal(retain, true);
        found.push(Buffer.from(payload).toString());
      }
      assert.deepEqual(found.sort(), [...expected].sort());
      await subscriber.expectSilence();
    }
  },
);

statement(
  { v5: '3.3.1-9 3.3.1-10 3.3.1-11 3.8.4-4' },
  'retain handling decides whether subscribing brings retained messages',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'kept', { retain: true });
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id, 0, { retainHandling: 2 });
    await subscriber.expectSilence();
    await subscriber.subscribe(scene.id, 0, { retainHandling: 1 });
    await subscriber.expectSilence();
    await subscriber.subscribe(scene.id, 0, { retainHandling: 0 });
    await subscriber.expectPublish(scene.id, 'kept', { retain: true });
    await subscriber.unsubscribe(scene.id);
    await subscriber.subscribe(scene.id, 0, { retainHandling: 1 });
    await subscriber.expectPublish(scene.id, 'kept', { retain: true });
  },
);

statement(
  { v5: '3.3.1-12 3.3.1-13' },
  'retain as published keeps the flag of the publisher',
  async (scene) => {
    const asPublished = await scene.connect();
    await asPublished.subscribe(scene.id, 1, { retainAsPublished: true });
    const plain = await scene.connect();
    await plain.subscribe(scene.id, 1);
    const publisher = await scene.connect();
    for (const [payload, retain] of [
      ['kept', true],
      ['not kept', false],
      ['', true],
    ] as const) {
      await publisher.publish(scene.id, payload, { retain });
      await asPublished.expectPublish(scene.id, payload, { retain });
      await plain.expectPublish(scene.id, payload, { retain: false });
    }
  },
);

// ---- text

statement(
  { v4: '1.5.3-3 4.7.3-4', v5: '1.5.4-3 4.7.3-4' },
  'a byte order mark and compositions of characters stay as they are',
  async (scene) => {
    const client = await scene.connect();
    // The mark before the name; the two ways to write Å; upper and lower case; spaces.
    const names = [
      '\ufeffmark',
      'mark',
      '\u00c5',
      'A\u030a',
      'Case',
      'case',
      ' space',
      'space',
      'space ',
      '/x',
      'x/',
      'x//y',
      'x/y',
    ];
    for (const name of names) await client.subscribe(`${scene.id}/${name}`);
    for (const name of names) {
      client.sendPublish(`${scene.id}/${name}`, name);
      await client.expectPublish(`${scene.id}/${name}`, name);
    }
    await client.expectSilence();
  },
);

statement(
  { v3: '', v4: '1.5.3-1 4.8.0-1 3.3.2-1', v5: '1.5.4-1 3.3.2-1' },
  'text that is no UTF-8 ends the connection',
  async (scene) => {
    for (const topic of ['ff', 'c080', 'eda080', 'f4908080', 'e28', '61c3']) {
      const client = await scene.connect();
      const text = Buffer.from(topic.padEnd(topic.length + (topic.length % 2), '2'), 'hex');
      const length = text.length.toString(16).padStart(4, '0');
      client.send(packetBytes(0x30, `${length} ${text.toString('hex')} ${scene.isV5 ? '00' : ''}`));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    }
  },
);

statement(
  { v3: '', v4: '1.5.3-2 4.7.3-2', v5: '1.5.4-2 4.7.3-2' },
  'U+0000 ends the connection',
  async (scene) => {
    const properties = scene.isV5 ? '00' : '';
    for (const [firstByte, body] of [
      [0x30, `0003 610062 ${properties}`],
      [0x82, `0001 ${properties} 0003 610062 00`],
      [0xa2, `0001 ${properties} 0003 610062`],
    ] as const) {
      const client = await scene.connect();
      client.send(packetBytes(firstByte, body));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    }
  },
);

statement({ v3: '', v4: '2.3.1-1', v5: '2.2.1-3' }, 'packet id 0 ends the connection', async (scene) => {
  const properties = scene.isV5 ? '00' : '';
  for (const [firstByte, body, reasonCode] of [
    [0x32, `"a" 0000 ${properties}`, ReasonCode.protocolError],
    [0x82, `0000 ${properties} "a" 00`, ReasonCode.malformedPacket],
    [0xa2, `0000 ${properties} "a"`, ReasonCode.malformedPacket],
  ] as const) {
    const client = await scene.connect();
    client.send(packetBytes(firstByte, body));
    await scene.expectFault(client, reasonCode);
  }
});

statement(
  { v4: '2.2.2-1 2.2.2-2', v5: '2.1.3-1' },
  'reserved flags of any packet end the connection',
  async (scene) => {
    for (const packet of ['41020001', '52020001', '60020001', '71020001', 'c100', 'e100']) {
      const client = await scene.connect();
      client.send(packet);
      if (scene.isV5) {
        const { reasonCode } = await client.expectPacket('disconnect');
        assert.ok(reasonCode === ReasonCode.malformedPacket || reasonCode === ReasonCode.protocolError);
      }
      await client.expectClosed();
    }
  },
);

statement(
  { v3: '', v4: '1.5.3-1', v5: '1.5.4-1' },
  'a topic with a control character or non-character ends its connection, and is not retained for others',
  async (scene) => {
    for (const character of ['\u0001', '\u007f', '\u0085', '\ufdd0', '\uffff', '\u{10ffff}']) {
      for (const qos of [0, 1, 2] as const) {
        const client = await scene.connect();
        client.sendPublish(`${scene.id}/${character}`, 'x', { qos, retain: true });
        await scene.expectFault(client, ReasonCode.malformedPacket);
      }
    }
    const reader = await scene.connect();
    await reader.subscribe(`${scene.id}/#`, 2);
    await reader.expectSilence();
  },
);

statement(
  { v5: '1.5.5-1 2.2.2-1' },
  'what the broker sends has its lengths in as few bytes as possible',
  async (scene) => {
    // The remaining length comes in more bytes than needed, and must not go out like that.
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id);
    const publisher = await scene.connect();
    const body = bytes(`"${scene.id}" 00 'x'`);
    publisher.send(Buffer.concat([Buffer.of(0x30, 0x80 | body.length, 0), body]));
    const { properties } = await subscriber.expectPublish(scene.id, 'x');
    assert.deepEqual(properties, {});
  },
);

runStatements(import.meta.url);

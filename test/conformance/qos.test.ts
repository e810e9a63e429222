/** The exchanges of QoS 1 and 2 step by step, in both directions and over lost connections; and the order of messages. */
import assert from 'node:assert/strict';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { runStatements, type Scene, statement } from './statement.js';

/** A client with a lasting session and a subscription, and one that publishes. */
async function pair(scene: Scene): Promise<{ subscriber: RawClient; publisher: RawClient }> {
  const subscriber = await scene.connectLasting(scene.id);
  await subscriber.subscribe(scene.id, 2);
  return { subscriber, publisher: await scene.connect() };
}

// ---- the broker sends

statement(
  { v3: '', v4: '3.3.1-1 4.3.2-1 4.4.0-1', v5: '3.3.1-1 4.3.2-1 4.3.2-3 4.4.0-1' },
  'QoS 1: sent again, with DUP and the same packet id, when the session goes on, and at no other time',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    await publisher.publish(scene.id, 'x', { qos: 1 });
    const { packetId } = await subscriber.expectPublish(scene.id, 'x', { qos: 1, dup: false });
    await subscriber.expectSilence();
    subscriber.destroy();
    const again = await scene.connectLasting(scene.id);
    await again.expectPublish(scene.id, 'x', { qos: 1, dup: true, packetId });
    again.sendAck('puback', packetId);
    await again.expectSilence();
    again.destroy();
    const done = await scene.connectLasting(scene.id);
    await done.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.3.3-1 4.4.0-1 3.3.1-1', v5: '4.3.3-1 4.3.3-3 4.3.3-4 4.3.3-5 4.3.3-6 4.4.0-1 3.3.1-1' },
  'QoS 2: PUBLISH until PUBREC, PUBREL until PUBCOMP, each again when the session goes on',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    await publisher.publish(scene.id, 'x', { qos: 2 });
    const { packetId } = await subscriber.expectPublish(scene.id, 'x', { qos: 2, dup: false });
    subscriber.destroy();
    const second = await scene.connectLasting(scene.id);
    await second.expectPublish(scene.id, 'x', { qos: 2, dup: true, packetId });
    second.sendAck('pubrec', packetId);
    await second.expectPacket('pubrel', { packetId });
    second.destroy();
    const third = await scene.connectLasting(scene.id);
    await third.expectPacket('pubrel', { packetId });
    third.sendAck('pubcomp', packetId);
    await third.expectSilence();
    third.destroy();
    const fourth = await scene.connectLasting(scene.id);
    await fourth.expectSilence();
  },
);

statement(
  { v3: '', v4: '2.3.1-4 4.3.2-1', v5: '2.2.1-4 4.3.2-1 4.3.3-1' },
  'packet ids in use are not given to other messages',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    const ids = new Set<number>();
    for (let i = 0; i < 10; i += 1) {
      await publisher.publish(scene.id, `${i}`, { qos: i % 2 === 0 ? 1 : 2 });
      const { packetId } = await subscriber.expectPublish(scene.id, `${i}`);
      assert.ok(packetId > 0 && !ids.has(packetId), `packet id ${packetId}`);
      ids.add(packetId);
    }
  },
);

statement(
  { v3: '', v4: '4.3.3-1', v5: '4.3.3-4' },
  'PUBREC for what the broker does not know is answered with PUBREL',
  async (scene) => {
    const client = await scene.connect();
    client.sendAck('pubrec', 4711);
    await client.expectPacket('pubrel', { packetId: 4711 });
    client.sendAck('puback', 4712);
    client.sendAck('pubcomp', 4713);
    await client.expectSilence();
  },
);

statement(
  { v5: '4.3.3-4' },
  'PUBREC of 0x80 or more for what the broker does not know is not answered',
  async (scene) => {
    const client = await scene.connect();
    client.send('50 03 0001 80');
    await client.expectSilence();
  },
);

for (const { qos, answers, wrong } of [
  { qos: 1, answers: [], wrong: '50 02' },
  { qos: 1, answers: [], wrong: '70 02' },
  { qos: 2, answers: [], wrong: '40 02' },
  { qos: 2, answers: [], wrong: '70 02' },
  { qos: 2, answers: ['pubrec'], wrong: '40 02' },
] as const) {
  statement(
    {
      v3: '',
      v4: qos === 1 ? '4.3.2-1' : '4.3.3-1',
      v5: qos === 1 ? '4.3.2-3 4.13.1-1' : '4.3.3-3 4.13.1-1',
    },
    `${wrong} is not the answer to QoS ${qos}${answers.length > 0 ? ' after PUBREC' : ''}: the connection ends, and the message is sent again`,
    async (scene) => {
      const { subscriber, publisher } = await pair(scene);
      await publisher.publish(scene.id, 'x', { qos });
      const { packetId } = await subscriber.expectPublish(scene.id, 'x', { qos });
      for (const answer of answers) {
        subscriber.sendAck(answer, packetId);
        await subscriber.expectPacket('pubrel', { packetId });
      }
      subscriber.send(`${wrong} ${packetId.toString(16).padStart(4, '0')}`);
      await scene.expectFault(subscriber, ReasonCode.protocolError);
      const again = await scene.connectLasting(scene.id);
      if (answers.length > 0) await again.expectPacket('pubrel', { packetId });
      else await again.expectPublish(scene.id, 'x', { qos, dup: true, packetId });
    },
  );
}

statement(
  { v5: '4.3.3-4 4.13.1-1' },
  'PUBREC of 0x80 or more is no answer to QoS 1, or to PUBREL',
  async (scene) => {
    for (const qos of [1, 2] as const) {
      const subscriber = await scene.connect();
      await subscriber.subscribe(`${scene.id}/${qos}`, 2);
      const publisher = await scene.connect();
      await publisher.publish(`${scene.id}/${qos}`, 'x', { qos });
      const { packetId } = await subscriber.expectPublish(`${scene.id}/${qos}`, 'x', { qos });
      if (qos === 2) {
        subscriber.sendAck('pubrec', packetId);
        await subscriber.expectPacket('pubrel', { packetId });
      }
      subscriber.sendAck('pubrec', packetId, ReasonCode.unspecifiedError);
      await scene.expectFault(subscriber, ReasonCode.protocolError);
    }
  },
);

statement({ v5: '4.4.0-2 4.3.3-4' }, 'a message that the client refuses is not sent again', async (scene) => {
  const { subscriber, publisher } = await pair(scene);
  await publisher.publish(scene.id, 'one', { qos: 1 });
  const one = await subscriber.expectPublish(scene.id, 'one');
  await publisher.publish(scene.id, 'two', { qos: 2 });
  const two = await subscriber.expectPublish(scene.id, 'two');
  subscriber.sendAck('puback', one.packetId, ReasonCode.implementationSpecificError);
  subscriber.sendAck('pubrec', two.packetId, ReasonCode.quotaExceeded);
  await subscriber.expectSilence();
  subscriber.destroy();
  await (await scene.connectLasting(scene.id)).expectSilence();
});

// ---- the broker receives

statement(
  { v3: '', v4: '4.3.2-2', v5: '4.3.2-4 4.3.2-5' },
  'QoS 1: after PUBACK the same packet id is a new message, with DUP, too',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    for (const dup of [false, true, true]) {
      await publisher.publish(scene.id, 'x', { qos: 1, packetId: 3, dup });
      const { packetId } = await subscriber.expectPublish(scene.id, 'x');
      subscriber.sendAck('puback', packetId);
    }
    await subscriber.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.3.3-2', v5: '4.3.3-8 4.3.3-10 4.3.3-11 4.3.3-12' },
  'QoS 2: the same PUBLISH before PUBREL is answered and not delivered twice; after PUBCOMP it is a new one',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    const publish = async (dup: boolean): Promise<void> => {
      publisher.sendPublish(scene.id, 'x', { qos: 2, packetId: 3, dup });
      await publisher.expectPacket('pubrec', { packetId: 3, reasonCode: 0 });
    };
    for (let round = 0; round < 2; round += 1) {
      await publish(false);
      await publish(true);
      await publish(true);
      publisher.sendAck('pubrel', 3);
      await publisher.expectPacket('pubcomp', { packetId: 3, reasonCode: 0 });
      await subscriber.expectPublish(scene.id, 'x');
      await subscriber.expectSilence();
    }
  },
);

statement(
  { v3: '', v4: '4.3.3-2', v5: '4.3.3-8' },
  'QoS 2: another message under the id of one that waits for its PUBREL takes its place',
  async (scene) => {
    const { subscriber, publisher } = await pair(scene);
    for (const payload of ['first', 'second']) {
      publisher.sendPublish(scene.id, payload, { qos: 2, packetId: 3 });
      await publisher.expectPacket('pubrec', { packetId: 3, reasonCode: 0 });
    }
    publisher.sendAck('pubrel', 3);
    await publisher.expectPacket('pubcomp', { packetId: 3 });
    await subscriber.expectPublish(scene.id, 'second');
    await subscriber.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.3.3-2', v5: '4.3.3-8 4.4.0-1' },
  'QoS 2: the first message of a device that has restarted is not lost to one of its session',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id, 2);
    const device = await scene.connectLasting(`${scene.id}d`);
    device.sendPublish(scene.id, 'before', { qos: 2, packetId: 1 });
    await device.expectPacket('pubrec', { packetId: 1, reasonCode: 0 });
    device.destroy();
    const restarted = await scene.connectLasting(`${scene.id}d`);
    assert.equal(await restarted.publish(scene.id, 'after', { qos: 2, packetId: 1 }), 0);
    await watcher.expectPublish(scene.id, 'after');
    await watcher.expectSilence();
  },
);

statement(
  { v3: '' },
  'MQTT 3.1: PUBREL, SUBSCRIBE and UNSUBSCRIBE sent again have the DUP bit',
  async (scene) => {
    const client = await scene.connect();
    client.sendPublish(scene.id, 'x', { qos: 2, packetId: 1 });
    await client.expectPacket('pubrec', { packetId: 1 });
    client.send('6a 02 0001');
    await client.expectPacket('pubcomp', { packetId: 1 });
    client.send('8a 08 0001 0003 612f62 00');
    await client.expectPacket('suback', { packetId: 1, reasonCodes: [0] });
    client.send('aa 07 0002 0003 612f62');
    await client.expectPacket('unsuback', { packetId: 2 });
  },
);

statement({ v3: '' }, 'MQTT 3.1: bits in the first byte of CONNECT are not looked at', async (scene) => {
  for (const first of ['11', '18', '1f']) {
    const client = await scene.openWith(
      Buffer.from(`${first}10 0006 4d5149736470 03 02 003c 0002 7131`.replaceAll(' ', ''), 'hex'),
    );
    await client.expectPacket('connack', { reasonCode: 0 });
    await client.disconnect();
  }
});

statement(
  { v3: '', v4: '2.2.2-2', v5: '2.1.3-1 4.13.1-1' },
  'packet type 0 ends the connection at its first byte',
  async (scene) => {
    for (const first of ['00', '0f']) {
      const client = await scene.connect();
      client.send(first);
      await scene.expectFault(client, ReasonCode.protocolError);
    }
  },
);

statement(
  { v3: '', v4: '4.3.3-2', v5: '4.3.3-11' },
  'PUBREL for an unknown packet id is answered, so that the client can go on',
  async (scene) => {
    const client = await scene.connect();
    client.sendAck('pubrel', 4711);
    await client.expectPacket('pubcomp', { packetId: 4711 });
  },
);

statement(
  { v3: '', v4: '4.3.3-2 4.1.0-1 4.4.0-1', v5: '4.3.3-10 4.4.0-1 4.1.0-1' },
  'QoS 2: a PUBLISH that waits for its PUBREL outlives the connection',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id, 2);
    const publisher = await scene.connectLasting(`${scene.id}p`);
    publisher.sendPublish(scene.id, 'x', { qos: 2, packetId: 9 });
    await publisher.expectPacket('pubrec', { packetId: 9 });
    publisher.destroy();
    const again = await scene.connectLasting(`${scene.id}p`);
    again.sendPublish(scene.id, 'x', { qos: 2, packetId: 9, dup: true });
    await again.expectPacket('pubrec', { packetId: 9 });
    again.sendAck('pubrel', 9);
    await again.expectPacket('pubcomp', { packetId: 9 });
    await watcher.expectPublish(scene.id, 'x');
    await watcher.expectSilence();
  },
);

statement(
  { v3: '', v4: '4.3.3-2 3.1.2-6', v5: '4.3.3-10 3.1.2-4' },
  'QoS 2: what waits for its PUBREL ends with the session',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id, 2);
    const publisher = await scene.connect({ clientId: `${scene.id}p` });
    publisher.sendPublish(scene.id, 'old', { qos: 2, packetId: 9 });
    await publisher.expectPacket('pubrec', { packetId: 9 });
    const clean = await scene.connect({ clientId: `${scene.id}p` });
    assert.equal(await clean.publish(scene.id, 'new', { qos: 2, packetId: 9 }), 0);
    await watcher.expectPublish(scene.id, 'new');
    await watcher.expectSilence();
  },
);

// ---- order

statement(
  { v3: '', v4: '4.6.0-5 4.6.0-6', v5: '4.6.0-5 4.6.0-6' },
  'messages of one publisher keep their order, from worker to worker, too',
  async (scene) => {
    const count = 200;
    const subscribers = await Promise.all([1, 2, 3, 4].map(() => scene.connect()));
    for (const subscriber of subscribers) await subscriber.subscribe(`${scene.id}/+`, 0);
    const publisher = await scene.connect();
    for (let i = 0; i < count; i += 1)
      publisher.sendPublish(`${scene.id}/a`, `${i}`, { qos: 1, packetId: i + 1 });
    for (let i = 0; i < count; i += 1) await publisher.expectPacket('puback', { packetId: i + 1 });
    for (const subscriber of subscribers) {
      for (let i = 0; i < count; i += 1) await subscriber.expectPublish(`${scene.id}/a`, `${i}`);
    }
  },
);

statement(
  { v3: '', v4: '4.6.0-6 4.4.0-1', v5: '4.6.0-6 4.4.0-1' },
  'what is in flight and what waits comes again in the order of its arrival, for each QoS',
  async (scene) => {
    const count = 60;
    const { subscriber, publisher } = await pair(scene);
    for (let i = 0; i < count; i += 1)
      await publisher.publish(scene.id, `${i}`, { qos: i % 3 === 0 ? 2 : 1 });
    subscriber.destroy();
    const again = await scene.connectLasting(scene.id);
    const got: Record<1 | 2, number[]> = { 1: [], 2: [] };
    while (got[1].length + got[2].length < count) {
      const packet = await again.next('a message');
      if (packet.type === 'pubrel') again.sendAck('pubcomp', packet.packetId);
      if (packet.type !== 'publish') continue;
      got[packet.qos as 1 | 2].push(Number(Buffer.from(packet.payload)));
      again.sendAck(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId);
    }
    for (const messages of [got[1], got[2]])
      assert.deepEqual(
        messages,
        messages.toSorted((a, b) => a - b),
      );
  },
);

runStatements(import.meta.url);

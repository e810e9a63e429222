/** SUBSCRIBE and UNSUBSCRIBE, their options and their answers. */
import assert from 'node:assert/strict';
import type { SubscriptionRequest } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, statement } from './statement.js';

function request(filter: string, qos: 0 | 1 | 2): SubscriptionRequest {
  return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 };
}

statement(
  { v3: '', v4: '3.8.4-1 3.8.4-2 2.3.1-7', v5: '3.8.4-1 3.8.4-2 2.2.1-6' },
  'SUBACK comes with the packet id of SUBSCRIBE',
  async (scene) => {
    const client = await scene.connect();
    for (const packetId of [1, 2, 0x1234, 0xffff]) {
      client.sendSubscribe(`${scene.id}/${packetId}`, 1, { packetId });
      await client.expectPacket('suback', { packetId, reasonCodes: [1] });
    }
  },
);

statement(
  { v3: '', v4: '3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2', v5: '3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2' },
  'several filters in one SUBSCRIBE get their return codes in one SUBACK, in their order',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(`${scene.id}/b`, 'kept', { retain: true });
    const client = await scene.connect();
    const subscriptions = [
      request(`${scene.id}/a`, 2),
      request(`${scene.id}/b`, 0),
      request(`${scene.id}/c`, 1),
      request(`${scene.id}/a`, 1),
    ];
    client.send({ type: 'subscribe', packetId: 9, subscriptions, properties: {} });
    await client.expectPacket('suback', { packetId: 9, reasonCodes: [2, 0, 1, 1] });
    await client.expectPublish(`${scene.id}/b`, 'kept', { retain: true, qos: 0 });
    // The last of the two requests for one filter counts.
    await publisher.publish(`${scene.id}/a`, 'x', { qos: 2 });
    await client.expectPublish(`${scene.id}/a`, 'x', { qos: 1 });
    await client.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.8.4-3', v5: '3.8.4-3 3.8.4-4' },
  'the same filter again replaces the subscription, and retained messages come again',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'kept', { retain: true });
    const client = await scene.connect();
    await client.subscribe(scene.id, 2);
    await client.expectPublish(scene.id, 'kept', { retain: true, qos: 1 });
    await client.subscribe(scene.id, 0);
    await client.expectPublish(scene.id, 'kept', { retain: true, qos: 0 });
    await publisher.publish(scene.id, 'live');
    await client.expectPublish(scene.id, 'live', { retain: false, qos: 0 });
    await client.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.8.4-3', v5: '3.8.4-4' },
  'no message is lost while a subscription is replaced',
  async (scene) => {
    const count = 50;
    const publisher = await scene.connect();
    const client = await scene.connect();
    await client.subscribe(scene.id, 0);
    const got: string[] = [];
    for (let i = 0; i < count; i += 1) {
      publisher.sendPublish(scene.id, `${i}`);
      client.sendSubscribe(scene.id, (i % 2) as 0 | 1);
    }
    while (got.length < count) {
      const packet = await client.next('a message');
      if (packet.type === 'publish') got.push(Buffer.from(packet.payload).toString());
    }
    assert.deepEqual(got, [...Array(count).keys()].map(String));
  },
);

statement(
  { v3: '', v4: '3.8.3-1 3.10.3-1', v5: '3.8.3-1 3.10.3-1' },
  'filters that are no text end the connection',
  async (scene) => {
    for (const [firstByte, tail] of [
      [0x82, '00'],
      [0xa2, ''],
    ] as const) {
      const client = await scene.connect();
      client.send(packetBytes(firstByte, `0001 ${scene.isV5 ? '00' : ''} 0002c080 ${tail}`));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    }
  },
);

statement(
  { v4: '3.8.3-3 3.10.3-2', v5: '3.8.3-2 3.10.3-2' },
  'a list without a filter ends the connection',
  async (scene) => {
    for (const firstByte of [0x82, 0xa2]) {
      const client = await scene.connect();
      client.send(packetBytes(firstByte, `0001 ${scene.isV5 ? '00' : ''}`));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    }
  },
);

statement(
  { v3: '', v4: '3.8.3-4', v5: '3.8.3-5' },
  'reserved bits of what is asked for end the connection',
  async (scene) => {
    const options = scene.isV5 ? ['03', '30', '40', '80', 'c1'] : ['03', '04', '08', '10', '80', 'ff'];
    for (const option of options) {
      const client = await scene.connect();
      client.send(packetBytes(0x82, `0001 ${scene.isV5 ? '00' : ''} "a" ${option}`));
      await scene.expectFault(client, ReasonCode.malformedPacket);
    }
  },
);

statement(
  { v3: '', v4: '3.8.1-1 3.10.1-1 3.6.1-1', v5: '3.8.1-1 3.10.1-1 3.6.1-1' },
  'SUBSCRIBE, UNSUBSCRIBE and PUBREL have the flags 2; MQTT 3.1 does not look at those of PUBREL, and knows DUP',
  async (scene) => {
    const properties = scene.isV5 ? '00' : '';
    const isV3 = scene.version === 3;
    for (const flags of isV3 ? [0, 1, 3, 6] : [0, 1, 3, 6, 10]) {
      for (const [type, body] of [
        [0x80, `0001 ${properties} "a" 00`],
        [0xa0, `0001 ${properties} "a"`],
        [0x60, '0001'],
      ] as const) {
        if (isV3 && type === 0x60) continue;
        const client = await scene.connect();
        client.send(packetBytes(type | flags, body));
        await scene.expectFault(client, ReasonCode.malformedPacket);
      }
    }
  },
);

// ---- options of MQTT 5.0

statement({ v5: '3.8.3-3' }, 'no local: what a client publishes does not come back', async (scene) => {
  const client = await scene.connect();
  await client.subscribe(`${scene.id}/#`, 1, { noLocal: true });
  await client.subscribe(`${scene.id}/+`, 1);
  const other = await scene.connect();
  await other.subscribe(`${scene.id}/a`, 1, { noLocal: true });
  client.sendPublish(`${scene.id}/a`, 'own', { qos: 1 });
  const answers = [await client.next(), await client.next()];
  assert.deepEqual(
    answers.map(({ type }) => type).sort(),
    ['puback', 'publish'],
    'one copy, of the other filter',
  );
  await other.expectPublish(`${scene.id}/a`, 'own');
  await other.publish(`${scene.id}/b/c`, 'from another');
  await client.expectPublish(`${scene.id}/b/c`, 'from another');
});

statement({ v5: '3.8.3-3' }, 'no local also holds for a will, and for QoS 2', async (scene) => {
  const will = {
    topic: scene.id,
    payload: Buffer.from('will'),
    qos: 1,
    retain: false,
    properties: {},
  } as const;
  const client = await scene.connectLasting(scene.id, { will });
  await client.subscribe(scene.id, 2, { noLocal: true });
  assert.equal(await client.publish(scene.id, 'own', { qos: 2 }), 0);
  const watcher = await scene.connect();
  await watcher.subscribe(scene.id);
  client.destroy();
  await watcher.expectPublish(scene.id, 'will');
  const again = await scene.connectLasting(scene.id);
  await again.expectSilence();
});

statement({ v5: '3.8.3-4' }, 'no local on a shared subscription is a protocol error', async (scene) => {
  const client = await scene.connect();
  client.sendSubscribe(`$share/g/${scene.id}`, 0, { noLocal: true });
  await scene.expectFault(client, ReasonCode.protocolError);
});

statement(
  { v5: '3.3.4-3 3.3.4-5' },
  'a message carries the identifier of the subscription it came by',
  async (scene) => {
    const client = await scene.connect();
    await client.subscribe(`${scene.id}/a`, 0, { identifier: 1 });
    await client.subscribe(`${scene.id}/+`, 1, { identifier: 268_435_455 });
    await client.subscribe(`${scene.id}/#`, 2, { identifier: 128 });
    await client.subscribe(`+/${scene.id}`, 2);
    const publisher = await scene.connect();
    await publisher.publish(`${scene.id}/a`, 'x', { qos: 2 });
    const got = [];
    for (let i = 0; i < 3; i += 1) {
      const { qos, properties } = await client.expectPublish(`${scene.id}/a`, 'x');
      got.push([qos, ...properties.subscriptionIdentifiers!]);
    }
    assert.deepEqual(got.sort(), [
      [0, 1],
      [1, 268_435_455],
      [2, 128],
    ]);
    await publisher.publish(`x/${scene.id}`, 'without');
    const { properties } = await client.expectPublish(`x/${scene.id}`, 'without');
    assert.equal(properties.subscriptionIdentifiers, undefined);
  },
);

statement(
  { v5: '3.3.4-3 3.8.4-3' },
  'subscribing again replaces the identifier, also of what is retained',
  async (scene) => {
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'kept', { retain: true });
    const client = await scene.connect();
    for (const identifier of [5, 6, undefined]) {
      await client.subscribe(scene.id, 0, identifier === undefined ? {} : { identifier });
      const { properties } = await client.expectPublish(scene.id, 'kept');
      assert.deepEqual(
        properties.subscriptionIdentifiers,
        identifier === undefined ? undefined : [identifier],
      );
    }
  },
);

statement({ v5: '3.3.4-3' }, 'identifiers stay with a session and with what waits in it', async (scene) => {
  const client = await scene.connectLasting(scene.id);
  await client.subscribe(scene.id, 1, { identifier: 77 });
  await client.disconnect();
  const publisher = await scene.connect();
  await publisher.publish(scene.id, 'waited');
  const back = await scene.connectLasting(scene.id);
  const waited = await back.expectPublish(scene.id, 'waited');
  assert.deepEqual(waited.properties.subscriptionIdentifiers, [77]);
  await publisher.publish(scene.id, 'live');
  const live = await back.expectPublish(scene.id, 'live');
  assert.deepEqual(live.properties.subscriptionIdentifiers, [77]);
});

statement({ v5: '3.9.3-2' }, 'faulty identifiers are protocol errors', async (scene) => {
  for (const properties of ['02 0b00', '04 0b01 0b02']) {
    const client = await scene.connect();
    client.send(packetBytes(0x82, `0001 ${properties} "a" 00`));
    await scene.expectFault(client, ReasonCode.protocolError);
  }
});

// ---- UNSUBSCRIBE

statement(
  {
    v3: '',
    v4: '3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-6 2.3.1-7',
    v5: '3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-6 3.11.3-1 3.11.3-2 2.2.1-6',
  },
  'UNSUBSCRIBE ends the subscriptions with the same filters, and no others',
  async (scene) => {
    const client = await scene.connect();
    for (const filter of ['a', 'b', '+', 'a/#']) await client.subscribe(`${scene.id}/${filter}`);
    client.send({
      type: 'unsubscribe',
      packetId: 77,
      filters: [`${scene.id}/a`, `${scene.id}/A`, `${scene.id}/#`, `${scene.id}/+`],
      properties: {},
    });
    const reasonCodes = scene.isV5
      ? [0, ReasonCode.noSubscriptionExisted, ReasonCode.noSubscriptionExisted, 0]
      : [];
    await client.expectPacket('unsuback', { packetId: 77, reasonCodes });
    for (const topic of ['a', 'b', 'c', 'a/x']) client.sendPublish(`${scene.id}/${topic}`, topic);
    await client.expectPublish(`${scene.id}/a`, 'a'); // By a/#
    await client.expectPublish(`${scene.id}/b`, 'b');
    await client.expectPublish(`${scene.id}/a/x`, 'a/x');
    await client.expectSilence();
  },
);

statement(
  { v3: '', v4: '3.10.4-5', v5: '3.10.4-5 3.11.3-2' },
  'UNSUBACK comes, too, where nothing was deleted',
  async (scene) => {
    const client = await scene.connect();
    const reasonCodes = await client.unsubscribe(scene.id, `${scene.id}/b`);
    const none = ReasonCode.noSubscriptionExisted;
    assert.deepEqual(reasonCodes, scene.isV5 ? [none, none] : []);
  },
);

statement(
  { v3: '', v4: '3.10.4-3', v5: '3.10.4-3' },
  'what was begun is delivered to its end',
  async (scene) => {
    const client = await scene.connectLasting(scene.id);
    await client.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'first', { qos: 2 });
    const { packetId } = await client.expectPublish(scene.id, 'first', { qos: 2 });
    await client.unsubscribe(scene.id);
    client.sendAck('pubrec', packetId);
    await client.expectPacket('pubrel', { packetId });
    client.destroy();
    const back = await scene.connectLasting(scene.id);
    await back.expectPacket('pubrel', { packetId });
    back.sendAck('pubcomp', packetId);
    await publisher.publish(scene.id, 'later', { qos: 2 });
    await back.expectSilence();
  },
);

runStatements(import.meta.url);

/** Properties of MQTT 5.0: what is passed on, and what the broker makes of those that are meant for it. */
import assert from 'node:assert/strict';
import { encodePacket } from '../../src/mqtt/encode.js';
import type { Properties } from '../../src/mqtt/packets.js';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import type { ConnectOptions } from '../support/clients/packet-socket.js';
import type { RawClient } from '../support/clients/raw-client.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { runStatements, type Scene, statement } from './statement.js';

const everyForwarded: Properties = {
  payloadFormatIndicator: 1,
  contentType: 'text/plain; charset=utf-8',
  responseTopic: 'answer/to/this',
  correlationData: new Uint8Array([0, 1, 0xff]),
  userProperties: [
    ['name', 'one'],
    ['', ''],
    ['name', 'two'],
    ['\ufeffä', '\u{1F980}'],
  ],
};

statement(
  { v5: '3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20 1.5.7-1 3.3.2-13 3.3.2-19' },
  'properties of a message are passed on as they came: live, queued, retained, and from worker to worker',
  async (scene) => {
    const away = await scene.connectLasting(scene.id);
    await away.subscribe(`${scene.id}/#`, 2);
    await away.disconnect();
    const subscribers = await Promise.all([1, 2, 3].map(() => scene.connect()));
    for (const subscriber of subscribers) await subscriber.subscribe(`${scene.id}/#`, 2);
    const publisher = await scene.connect();
    for (const qos of [1, 2] as const) {
      await publisher.publish(`${scene.id}/${qos}`, 'x', { qos, retain: true, properties: everyForwarded });
      for (const subscriber of subscribers) {
        await subscriber.expectPublish(`${scene.id}/${qos}`, 'x', { properties: everyForwarded });
      }
      const later = await scene.connect();
      await later.subscribe(`${scene.id}/${qos}`, 2);
      await later.expectPublish(`${scene.id}/${qos}`, 'x', { retain: true, properties: everyForwarded });
    }
    const back = await scene.connectLasting(scene.id);
    for (const qos of [1, 2]) {
      await back.expectPublish(`${scene.id}/${qos}`, 'x', { properties: everyForwarded });
    }
  },
);

statement({ v5: '3.3.2-4' }, 'properties are not sent to clients of older versions', async (scene) => {
  const old = await scene.connectAs(4);
  await old.subscribe(scene.id, 1);
  const publisher = await scene.connect();
  await publisher.publish(scene.id, 'x', { properties: { ...everyForwarded, messageExpiryInterval: 100 } });
  await old.expectPublish(scene.id, 'x');
});

statement(
  { v5: '3.3.2-13 3.3.2-14 3.3.2-19' },
  'response topic and content type are checked',
  async (scene) => {
    for (const [properties, reasonCode] of [
      ['04 08 0001ff', ReasonCode.malformedPacket],
      ['04 03 0001ff', ReasonCode.malformedPacket],
      ['06 08 "a/+"', ReasonCode.protocolError],
      ['04 08 "#"', ReasonCode.protocolError],
    ] as const) {
      const client = await scene.connect();
      client.send(packetBytes(0x30, `"a" ${properties}`));
      await scene.expectFault(client, reasonCode);
    }
  },
);

statement(
  { v5: '3.3.2-4 4.3.3-9 4.13.2-1 3.1.4-2' },
  'a payload, or a will, that is not the text it is said to be is refused',
  async (scene) => {
    const watcher = await scene.connect();
    await watcher.subscribe(scene.id, 2);
    const client = await scene.connect();
    // A payload of one byte, which is no UTF-8; the property says that it is.
    client.send(packetBytes(0x32, `"${scene.id}" 0007 02 0101 ff`));
    const reasonCode = ReasonCode.payloadFormatInvalid;
    await client.expectPacket('puback', { packetId: 7, reasonCode });
    client.send(packetBytes(0x34, `"${scene.id}" 0007 02 0101 ff`));
    await client.expectPacket('pubrec', { packetId: 7, reasonCode });
    await client.publish(scene.id, 'text', {
      qos: 2,
      packetId: 7,
      properties: { payloadFormatIndicator: 1 },
    });
    await watcher.expectPublish(scene.id, 'text', { properties: { payloadFormatIndicator: 1 } });
    client.send(packetBytes(0x30, `"${scene.id}" 02 0101 ff`));
    await scene.expectFault(client, reasonCode);
    await watcher.expectSilence();
    const refused = await scene.openWith({
      will: {
        topic: scene.id,
        payload: Buffer.of(0xff),
        qos: 0,
        retain: false,
        properties: { payloadFormatIndicator: 1 },
      },
    });
    await refused.expectPacket('connack', { reasonCode });
    await refused.expectClosed();
  },
);

// ---- message expiry

statement(
  { v5: '3.3.2-5 3.3.2-6 4.3.3-7' },
  'a message expires while it waits; what is left is passed on',
  async (scene) => {
    const away = await scene.connectLasting(scene.id, { properties: { receiveMaximum: 1 } });
    await away.subscribe(`${scene.id}/#`, 2);
    const publisher = await scene.connect();
    // One is on its way when its time runs out, and stays so; one waits behind it.
    await publisher.publish(`${scene.id}/sent`, 'x', { qos: 2, properties: { messageExpiryInterval: 1 } });
    const sent = await away.expectPublish(`${scene.id}/sent`, 'x', {
      properties: { messageExpiryInterval: 1 },
    });
    await publisher.publish(`${scene.id}/waiting`, 'x', { properties: { messageExpiryInterval: 1 } });
    await publisher.publish(`${scene.id}/long`, 'x', {
      retain: true,
      properties: { messageExpiryInterval: 1000 },
    });
    await publisher.publish(`${scene.id}/short`, 'x', {
      retain: true,
      properties: { messageExpiryInterval: 1 },
    });
    away.destroy();
    await timePasses(scene, 2);
    const back = await scene.connectLasting(scene.id, { properties: { receiveMaximum: 1 } });
    const again = await back.expectPublish(`${scene.id}/sent`, 'x', { dup: true, packetId: sent.packetId });
    assert.ok(again.properties.messageExpiryInterval! <= 1);
    back.sendAck('pubrec', sent.packetId);
    await back.expectPacket('pubrel');
    back.sendAck('pubcomp', sent.packetId);
    const long = await back.expectPublish(`${scene.id}/long`, 'x');
    assert.ok(long.properties.messageExpiryInterval! < 1000 && long.properties.messageExpiryInterval! > 900);
    back.sendAck('puback', long.packetId);
    await back.expectSilence();
    const later = await scene.connect();
    await later.subscribe(`${scene.id}/#`);
    const retained = await later.expectPublish(`${scene.id}/long`, 'x', { retain: true });
    assert.ok(retained.properties.messageExpiryInterval! < 1000);
    await later.expectSilence();
  },
);

/** At least so many seconds by the broker's own clock: a session that expires tells. */
async function timePasses(scene: Scene, seconds: number): Promise<void> {
  const clientId = `${scene.id}clock`;
  const client = await scene.connect({ clientId, properties: { sessionExpiryInterval: seconds } });
  await client.disconnect();
  await scene.broker.waitForLog(new RegExp(`Expiring client ${clientId} due to timeout`));
}

statement(
  { v5: '4.3.3-13' },
  'the exchange of QoS 2 goes on although the message has expired',
  async (scene) => {
    const subscriber = await scene.connect();
    await subscriber.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    publisher.sendPublish(scene.id, 'x', { qos: 2, properties: { messageExpiryInterval: 1 } });
    await publisher.expectPacket('pubrec', { packetId: 1, reasonCode: 0 });
    await timePasses(scene, 2);
    publisher.sendAck('pubrel', 1);
    await publisher.expectPacket('pubcomp', { packetId: 1, reasonCode: 0 });
    await subscriber.expectSilence();
  },
);

// ---- topic aliases

statement({ v5: '3.3.2-12 3.3.2-8' }, 'topic aliases of a client: set, used, replaced', async (scene) => {
  const subscriber = await scene.connect();
  await subscriber.subscribe(`${scene.id}/#`, 2);
  const publisher = await scene.connect();
  const maximum = publisher.connack!.properties.topicAliasMaximum!;
  assert.ok(maximum > 1);
  for (const [topic, topicAlias, expected] of [
    ['a', 1, 'a'],
    ['b', maximum, 'b'],
    ['', 1, 'a'],
    ['', maximum, 'b'],
    ['c', 1, 'c'],
    ['', 1, 'c'],
  ] as const) {
    const name = topic === '' ? '' : `${scene.id}/${topic}`;
    await publisher.publish(name, 'x', { qos: topicAlias === 1 ? 1 : 2, properties: { topicAlias } });
    await subscriber.expectPublish(`${scene.id}/${expected}`, 'x', { properties: {} });
  }
});

statement({ v5: '3.3.2-7' }, 'topic aliases end with their connection', async (scene) => {
  const client = await scene.connectLasting(scene.id);
  assert.equal(
    await client.publish(`${scene.id}/a`, 'x', { properties: { topicAlias: 1 } }),
    ReasonCode.noMatchingSubscribers,
  );
  client.destroy();
  const again = await scene.connectLasting(scene.id);
  again.sendPublish('', 'x', { properties: { topicAlias: 1 } });
  await scene.expectFault(again, ReasonCode.protocolError);
});

statement({ v5: '3.3.2-8' }, 'topic alias 0, above the maximum, or unknown', async (scene) => {
  const maximum = (await scene.connect()).connack!.properties.topicAliasMaximum!;
  for (const [topic, topicAlias, reasonCode] of [
    ['a', 0, ReasonCode.topicAliasInvalid],
    ['a', maximum + 1, ReasonCode.topicAliasInvalid],
    ['', 1, ReasonCode.protocolError],
  ] as const) {
    const client = await scene.connect();
    client.sendPublish(topic, 'x', { properties: { topicAlias } });
    await scene.expectFault(client, reasonCode);
  }
});

statement(
  { v5: '3.1.2-26 3.3.2-11' },
  'topic aliases of the broker stay within the maximum of the client',
  async (scene) => {
    const subscriber = await scene.connect({ properties: { topicAliasMaximum: 2 } });
    await subscriber.subscribe(`${scene.id}/#`);
    const publisher = await scene.connect();
    const seen = new Map<number, string>();
    for (const topic of ['a', 'b', 'c', 'a', 'c', 'b', 'a']) {
      publisher.sendPublish(`${scene.id}/${topic}`, 'x');
      const message = await subscriber.expectPacket('publish');
      const { topicAlias } = message.properties;
      if (topicAlias !== undefined) {
        assert.ok(topicAlias >= 1 && topicAlias <= 2, `alias ${topicAlias}`);
        if (message.topic !== '') seen.set(topicAlias, message.topic);
      }
      assert.equal(message.topic === '' ? seen.get(topicAlias!) : message.topic, `${scene.id}/${topic}`);
    }
    assert.equal(seen.size, 2, 'the broker made use of the aliases');
  },
);

statement({ v5: '3.1.2-27' }, 'a client that takes no topic aliases gets none', async (scene) => {
  for (const properties of [{}, { topicAliasMaximum: 0 }]) {
    const subscriber = await scene.connect({ properties });
    await subscriber.subscribe(`${scene.id}/#`);
    const publisher = await scene.connect();
    for (let i = 0; i < 3; i += 1) {
      publisher.sendPublish(`${scene.id}/a`, 'x');
      await subscriber.expectPublish(`${scene.id}/a`, 'x', { properties: {} });
    }
  }
});

// ---- maximum packet size

statement(
  { v5: '3.1.2-24 3.1.2-25' },
  'a message too large for a client is left out for that client only, and counts as delivered',
  async (scene) => {
    const small = await scene.connectLasting(scene.id, { properties: { maximumPacketSize: 100 } });
    await small.subscribe(scene.id, 2);
    const large = await scene.connect();
    await large.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    const tooLong = 'x'.repeat(100);
    for (const qos of [1, 2] as const) await publisher.publish(scene.id, tooLong, { qos });
    publisher.sendPublish(scene.id, tooLong);
    await publisher.publish(scene.id, 'fits');
    for (const payload of [tooLong, tooLong, tooLong, 'fits']) {
      const { qos } = await large.expectPublish(scene.id, payload);
      assert.ok(qos <= 2);
    }
    await small.expectPublish(scene.id, 'fits');
    await scene.broker.waitForLog(new RegExp(`Dropping too large outgoing PUBLISH for ${scene.id}`));
    small.destroy();
    // Nothing of it was kept to be sent again, and the same limit would not let it through either.
    const back = await scene.connectLasting(scene.id, { properties: { maximumPacketSize: 100 } });
    await back.expectPublish(scene.id, 'fits', { dup: true });
    await back.expectSilence();
  },
);

statement(
  { v5: '3.1.2-24' },
  'a client that takes no packet as large as its CONNACK is closed, and displaces nobody',
  async (scene) => {
    const clientId = scene.id;
    const watcher = await scene.connect();
    await watcher.subscribe(`${scene.id}/#`, 0);
    const will = {
      topic: `${scene.id}/will`,
      payload: Buffer.of(),
      qos: 0,
      retain: false,
      properties: {},
    } as const;
    const running = await scene.connectLasting(clientId, { will });
    for (const maximumPacketSize of [1, 2, 7]) {
      for (const cleanStart of [false, true]) {
        const small = await scene.openWith({ clientId, cleanStart, properties: { maximumPacketSize } });
        await small.expectClosed();
        await running.expectSilence();
      }
    }
    await watcher.expectSilence();
    const { length } = await connackBytes(scene, { properties: { maximumPacketSize: 100 } });
    await (await scene.openWith({ properties: { maximumPacketSize: length - 1 } })).expectClosed();
    await scene.connect({ properties: { maximumPacketSize: length } });
  },
);

statement({ v5: '3.1.2-24' }, 'a refusal that is too large for the client is not sent', async (scene) => {
  for (const [bytes, refusal] of [
    // A faulty CONNECT: an authentication method that is not known, and a client id that is no UTF-8.
    [`"MQTT" 05 02 003c 09 2700000004 15 "m" "${scene.id}"`, undefined],
    ['"MQTT" 05 02 003c 05 2700000004 0001ff', undefined],
    ['"MQTT" 05 02 003c 05 2700000005 0001ff', ReasonCode.clientIdentifierNotValid],
  ] as const) {
    const client = await scene.openWith(packetBytes(0x10, bytes));
    if (refusal !== undefined) await client.expectPacket('connack', { reasonCode: refusal });
    await client.expectClosed();
  }
});

statement(
  { v5: '3.1.2-24 4.13.1-1' },
  'a SUBSCRIBE or UNSUBSCRIBE whose answer is too large for the client ends the connection and changes nothing',
  async (scene) => {
    const filters = Array.from({ length: 40 }, (_, i) => `${scene.id}/${i}`);
    const options = { clientId: scene.id, properties: { maximumPacketSize: 44 } };
    const request = { qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    const subscribe = (client: RawClient, some: string[]) =>
      client.send({
        type: 'subscribe',
        packetId: 1,
        subscriptions: some.map((filter) => ({ filter, ...request })),
        properties: {},
      });
    const client = await scene.connectLasting(scene.id, options);
    subscribe(client, filters.slice(1));
    await client.expectPacket('suback', { packetId: 1 });
    subscribe(client, filters);
    await scene.expectFault(client, ReasonCode.packetTooLarge);
    const again = await scene.connectLasting(scene.id, options);
    again.send({ type: 'unsubscribe', packetId: 2, filters, properties: {} });
    await scene.expectFault(again, ReasonCode.packetTooLarge);
    const last = await scene.connectLasting(scene.id, options);
    const publisher = await scene.connect();
    await publisher.publish(filters[0]!, 'not subscribed');
    await publisher.publish(filters[1]!, 'x');
    await last.expectPublish(filters[1]!, 'x');
  },
);

/** The CONNACK as it was sent. */
async function connackBytes(scene: Scene, options: ConnectOptions): Promise<Uint8Array> {
  const { connack } = await scene.connect(options);
  return encodePacket(connack!, 5);
}

statement(
  { v5: '3.1.2-24 3.3.2-17' },
  'retained and queued messages obey the maximum packet size, too',
  async (scene) => {
    const options = { properties: { maximumPacketSize: 60 } };
    const away = await scene.connectLasting(scene.id, options);
    await away.subscribe(scene.id, 1);
    await away.disconnect();
    const publisher = await scene.connect();
    await publisher.publish(scene.id, 'small', { retain: true });
    await publisher.publish(scene.id, 'x'.repeat(80), { retain: true, properties: everyForwarded });
    const back = await scene.connectLasting(scene.id, options);
    await back.expectPublish(scene.id, 'small');
    await back.subscribe(scene.id, 1);
    await back.expectSilence();
  },
);

// ---- reason strings and user properties on acknowledgements

statement(
  {
    v5:
      '3.1.2-29 3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2 ' +
      '3.6.2-1 3.7.2-1',
  },
  'acknowledgements have neither reason string nor user properties, wanted or not, and fit into small packets',
  async (scene) => {
    for (const requestProblemInformation of [0, 1] as const) {
      const client = await scene.connect({
        clientId: `${scene.id}${requestProblemInformation}`,
        properties: { requestProblemInformation, maximumPacketSize: 30 },
      });
      const none = { properties: {} };
      client.sendPublish(`$SYS/${scene.id}`, 'x', { qos: 1 });
      await client.expectPacket('puback', { reasonCode: ReasonCode.notAuthorized, ...none });
      client.sendPublish(`$SYS/${scene.id}`, 'x', { qos: 2 });
      await client.expectPacket('pubrec', { reasonCode: ReasonCode.notAuthorized, ...none });
      client.sendAck('pubrel', 77);
      await client.expectPacket('pubcomp', { packetId: 77, ...none });
      client.sendAck('pubrec', 78);
      await client.expectPacket('pubrel', { packetId: 78, ...none });
      client.sendSubscribe(scene.id, 2);
      await client.expectPacket('suback', none);
      client.send({ type: 'unsubscribe', packetId: 3, filters: ['none'], properties: {} });
      await client.expectPacket('unsuback', { reasonCodes: [ReasonCode.noSubscriptionExisted], ...none });
    }
  },
);

statement(
  { v5: '3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1' },
  'acknowledgements of a client may carry reason codes, reason strings and user properties',
  async (scene) => {
    const client = await scene.connectLasting(scene.id);
    await client.subscribe(scene.id, 2);
    const publisher = await scene.connect();
    const properties: Properties = {
      reasonString: 'because',
      userProperties: [
        ['a', 'b'],
        ['a', 'c'],
      ],
    };
    await publisher.publish(scene.id, 'one');
    const one = await client.expectPublish(scene.id, 'one');
    client.send({ type: 'puback', packetId: one.packetId, reasonCode: 0, properties });
    await publisher.publish(scene.id, 'two', { qos: 2 });
    const two = await client.expectPublish(scene.id, 'two');
    client.send({ type: 'pubrec', packetId: two.packetId, reasonCode: 0x10, properties });
    await client.expectPacket('pubrel', { packetId: two.packetId });
    client.send({ type: 'pubcomp', packetId: two.packetId, reasonCode: 0x92, properties });
    client.sendPublish('elsewhere', 'x', { qos: 2, packetId: 5 });
    await client.expectPacket('pubrec', { packetId: 5 });
    client.send({ type: 'pubrel', packetId: 5, reasonCode: 0x92, properties });
    await client.expectPacket('pubcomp', { packetId: 5 });
    client.destroy();
    await (await scene.connectLasting(scene.id)).expectSilence();
  },
);

runStatements(import.meta.url);

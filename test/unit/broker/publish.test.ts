import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Properties, ProtocolVersion, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { plain } from '../../support/packets/plain-packet.js';
import { publishPacket } from '../../support/packets/publication.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];

describe('a message', () => {
  test('reaches subscribers of every version and QoS as each may have it', async () => {
    const fixture = new BrokerFixture();
    const properties: Properties = {
      payloadFormatIndicator: 1,
      contentType: 'text/plain',
      responseTopic: 'answer/here',
      correlationData: Buffer.from('17'),
      userProperties: [
        ['k', 'v'],
        ['k', 'w'],
      ],
    };
    for (const from of versions) {
      for (const qos of [0, 1, 2] as const) {
        const publisher = await fixture.connect(from);
        for (const to of versions) {
          for (const granted of [0, 1, 2] as const) {
            const subscriber = await fixture.connect(to);
            subscriber.subscribe('a/+', granted);
            const sent = { qos, properties: from === 5 ? properties : {}, packetId: 77 };
            publisher.publish('a/b', 'hello', sent);
            if (qos === 1) publisher.expectPacket('puback', { packetId: 77 });
            if (qos === 2) {
              publisher.expectPacket('pubrec', { packetId: 77, reasonCode: 0 });
              subscriber.expectNothing();
              publisher.ack('pubrel', 77);
              publisher.expectPacket('pubcomp', { packetId: 77 });
            }
            const delivered = Math.min(qos, granted) as Qos;
            const expected: PublishPacket = {
              type: 'publish',
              topic: 'a/b',
              payload: Buffer.from('hello'),
              qos: delivered,
              retain: false,
              dup: false,
              packetId: delivered === 0 ? 0 : 1,
              properties: from === 5 && to === 5 ? properties : {},
            };
            assert.deepEqual(plain(subscriber.take()), plain([expected]));
            subscriber.disconnect();
          }
        }
        publisher.disconnect();
      }
    }
  });

  test('reaches its publisher too, who has subscribed', async () => {
    const client = await new BrokerFixture().connect();
    client.subscribe('#');
    client.publish('a', 'x');
    assert.deepEqual(client.takePublishes(), ['a x']);
  });

  test('comes in order, whatever its QoS', async () => {
    const fixture = new BrokerFixture({ settings: { maxInflightMessages: 3 } });
    const subscriber = await fixture.connect();
    subscriber.subscribe('#', 2);
    const publisher = await fixture.connect();
    for (let i = 0; i < 20; i += 1) publisher.publish('t', String(i), { qos: i % 2 === 0 ? 1 : 2 });
    for (let i = 0; i < 20; i += 1) if (i % 2 === 1) publisher.ack('pubrel', i + 1);
    const order: string[] = [];
    for (let packets = subscriber.take(); packets.length > 0; packets = subscriber.take()) {
      for (const packet of packets) {
        if (packet.type === 'pubrel') subscriber.ack('pubcomp', packet.packetId);
        if (packet.type !== 'publish') continue;
        order.push(Buffer.from(packet.payload).toString());
        subscriber.ack(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId);
      }
    }
    const numbers = Array.from({ length: 20 }, (_, i) => i);
    const released = (i: number): number => (i % 2 === 0 ? 0 : 1); // QoS 2 is routed at its PUBREL
    assert.deepEqual(order, numbers.toSorted((a, b) => released(a) - released(b) || a - b).map(String));
  });

  test('of the largest size that is taken arrives whole', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect();
    subscriber.subscribe('#', 1);
    const publisher = await fixture.connect();
    const payload = 'x'.repeat(2_000_000 - 10);
    publisher.publish('t', payload, { qos: 1 });
    assert.equal(subscriber.expectPacket('publish').payload.length, payload.length);
  });
});

describe('QoS 1', () => {
  test('PUBACK tells MQTT 5.0 whether anybody had subscribed', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const client = await fixture.connect(version);
      client.publish('t', 'x', { qos: 1 });
      client.expectPacket('puback', { packetId: 1, reasonCode: version === 5 ? 0x10 : 0 });
      const subscriber = await fixture.connect();
      subscriber.subscribe('t');
      client.publish('t', 'x', { qos: 1 });
      client.expectPacket('puback', { packetId: 2, reasonCode: 0 });
    }
  });

  test('nobody may publish below $SYS', async () => {
    for (const version of versions) {
      for (const qos of [0, 1, 2] as const) {
        const fixture = new BrokerFixture();
        const watcher = await fixture.connect();
        watcher.subscribe('$SYS/#');
        const client = await fixture.connect(version);
        client.publish('$SYS/broker/version', 'mine', { qos, retain: true });
        const reasonCode = version === 5 ? 0x87 : 0;
        if (qos > 0) client.expectPacket(qos === 1 ? 'puback' : 'pubrec', { reasonCode });
        if (qos === 2) client.ack('pubrel', 1);
        if (qos === 2) client.expectPacket('pubcomp');
        watcher.expectNothing();
        assert.deepEqual(fixture.retained('$SYS/#'), []);
        assert.match(fixture.log.join('\n'), /^debug Denied PUBLISH from /m);
      }
    }
  });
});

describe('a message that MQTT 5.0 is told to be refused', () => {
  const noText = Buffer.of(0x61, 0xff);
  const asText: Properties = { payloadFormatIndicator: 1 };
  const deepTopic = '/'.repeat(201);

  for (const [what, topic, payload, reasonCode] of [
    ['payload that is no text though it says so', 't', noText, 0x99],
    ['topic with too many levels', deepTopic, Buffer.from('x'), 0x90],
  ] as const) {
    test(`${what}: PUBACK or PUBREC, and the connection stays`, async () => {
      const fixture = new BrokerFixture();
      const subscriber = await fixture.connect();
      subscriber.subscribe('#', 2);
      const client = await fixture.connect(5);
      const publish = (qos: Qos, packetId: number): void =>
        client.send(publishPacket({ topic, payload, qos, packetId, retain: true, properties: asText }));
      publish(1, 7);
      client.expectPacket('puback', { packetId: 7, reasonCode });
      publish(2, 8);
      client.expectPacket('pubrec', { packetId: 8, reasonCode });
      client.publish('t', 'fine', { qos: 2, packetId: 8, properties: asText });
      client.expectPacket('pubrec', { packetId: 8, reasonCode: 0 });
      client.ack('pubrel', 8);
      client.expectPacket('pubcomp', { packetId: 8, reasonCode: 0 });
      assert.deepEqual(subscriber.takePublishes(), ['t fine']);
      assert.deepEqual(fixture.retained(), []);
      assert.equal(fixture.takeLog(/^debug Refused PUBLISH /).length, 2);
    });

    test(`${what}: with QoS 0 only DISCONNECT can tell`, async () => {
      const fixture = new BrokerFixture();
      const client = await fixture.connect(5);
      client.send(publishPacket({ topic, payload, properties: asText }));
      client.expectClosed(reasonCode);
    });
  }

  test('not one whose payload says nothing of itself, nor one that is text', async () => {
    const fixture = new BrokerFixture();
    for (const [payload, properties] of [
      [noText, {}],
      [noText, { payloadFormatIndicator: 0 }],
      [Buffer.from('\0ä\u{1F980}'), asText],
      [Buffer.of(), asText],
    ] as const) {
      const client = await fixture.connect(5);
      client.send(publishPacket({ topic: 't', payload, qos: 1, packetId: 1, properties }));
      client.expectPacket('puback', { reasonCode: 0x10 });
    }
  });

  test('and the one after it is looked at by itself', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    const old = await fixture.connect(4);
    client.send(publishPacket({ topic: 't', payload: noText, qos: 1, packetId: 1, properties: asText }));
    client.expectPacket('puback', { reasonCode: 0x99 });
    old.send(publishPacket({ topic: 't', payload: noText, qos: 1, packetId: 1 }));
    old.expectPacket('puback');
    client.send(publishPacket({ topic: 't', payload: noText, qos: 1, packetId: 1 }));
    client.expectPacket('puback', { reasonCode: 0x10 });
  });

  test('older versions are cut off', async () => {
    for (const version of [3, 4] as const) {
      const client = await new BrokerFixture().connect(version);
      client.publish(deepTopic, 'x', { qos: 1 });
      client.expectClosed();
    }
  });
});

describe('QoS 2 of a publisher', () => {
  for (const version of versions) {
    test(`v${version}: the same packet again is answered and not doubled [MQTT-4.3.3-10]`, async () => {
      const fixture = new BrokerFixture();
      const subscriber = await fixture.connect();
      subscriber.subscribe('#', 2);
      const client = await fixture.connect(version);
      for (const dup of [false, true, true]) {
        client.publish('t', 'x', { qos: 2, packetId: 9, dup });
        client.expectPacket('pubrec', { packetId: 9, reasonCode: 0 });
      }
      client.ack('pubrel', 9);
      client.expectPacket('pubcomp', { packetId: 9, reasonCode: 0 });
      client.ack('pubrel', 9);
      client.expectPacket('pubcomp', { packetId: 9, reasonCode: 0 });
      assert.deepEqual(subscriber.takePublishes(), ['t x']);
    });
  }

  test('another message under the same id takes the place of the first, with a warning', async () => {
    for (const version of [3, 4, 5] as const) {
      const fixture = new BrokerFixture();
      const subscriber = await fixture.connect();
      subscriber.subscribe('#', 2);
      const client = await fixture.connect(version, { clientId: 'c' });
      client.publish('t', 'first', { qos: 2, packetId: 9 });
      client.publish('t', 'second', { qos: 2, packetId: 9 });
      client.ack('pubrel', 9);
      assert.deepEqual(subscriber.takePublishes(), ['t second']);
      assert.match(
        fixture.log.join('\n'),
        /^warning Reused message ID 9 from c detected\. Clearing from storage\.$/m,
      );
    }
  });

  test('survives that the connection breaks, at every point', async () => {
    for (const version of [4, 5] as const) {
      const fixture = new BrokerFixture();
      const subscriber = await fixture.connect();
      subscriber.subscribe('#', 2);
      const durable = {
        clientId: 'c',
        cleanStart: false,
        properties: version === 5 ? { sessionExpiryInterval: 60 } : {},
      };
      let client = await fixture.connect(version, durable);
      client.publish('t', 'x', { qos: 2, packetId: 5 });
      client.breakOff();
      client = await fixture.connect(version, durable);
      assert.ok(client.connack!.sessionPresent);
      client.publish('t', 'x', { qos: 2, packetId: 5, dup: true });
      client.expectPacket('pubrec', { packetId: 5 });
      client.breakOff();
      client = await fixture.connect(version, durable);
      client.ack('pubrel', 5);
      client.breakOff();
      client = await fixture.connect(version, durable);
      client.ack('pubrel', 5);
      client.expectPacket('pubcomp', { packetId: 5, reasonCode: 0 });
      assert.deepEqual(subscriber.takePublishes(), ['t x']);
    }
  });

  test('a client that has forgotten its session can publish again', async () => {
    const fixture = new BrokerFixture({ settings: { maxInflightMessages: 3 } });
    const durable = { clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    let client = await fixture.connect(5, durable);
    for (let i = 0; i < 3; i += 1) client.publish('t', 'x', { qos: 2, packetId: 100 + i });
    client.breakOff();
    client = await fixture.connect(5, durable);
    client.publish('t', 'y', { qos: 2, packetId: 1 });
    client.expectPacket('pubrec', { packetId: 1, reasonCode: 0 });
  });
});

describe('QoS 2 of a subscriber', () => {
  test('PUBREC of an unknown id is answered with PUBREL [mosq: PUBREC]', async () => {
    for (const version of versions) {
      const client = await new BrokerFixture().connect(version);
      client.ack('pubrec', 99);
      client.expectPacket('pubrel', { packetId: 99 });
      client.ack('puback', 99);
      client.ack('pubcomp', 99);
      client.expectNothing();
      assert.ok(!client.isClosed);
    }
  });

  test('PUBREC with an error makes room for the next message', async () => {
    const fixture = new BrokerFixture({ settings: { maxInflightMessages: 1 } });
    const subscriber = await fixture.connect(5);
    subscriber.subscribe('#', 2);
    const publisher = await fixture.connect();
    for (const payload of ['a', 'b']) publisher.publish('t', payload, { qos: 1 });
    publisher.publish('t', 'c', { qos: 2, packetId: 7 });
    publisher.ack('pubrel', 7);
    for (const payload of ['a', 'b']) {
      const { packetId } = subscriber.expectPublish('t', payload, { qos: 1 });
      subscriber.ack('puback', packetId);
    }
    const { packetId } = subscriber.expectPublish('t', 'c', { qos: 2 });
    subscriber.ack('pubrec', packetId, 0x97);
    publisher.publish('t', 'd', { qos: 1 });
    subscriber.expectPublish('t', 'd');
  });
});

describe('limits on what is published [mosq: mosquitto-conf 21]', () => {
  for (const version of versions) {
    test(`v${version} max_packet_size`, async () => {
      const fixture = new BrokerFixture({ settings: { maxPacketSize: 200 } });
      const client = await fixture.connect(version);
      const overhead = version === 5 ? 7 : 6;
      client.publish('t', 'x'.repeat(200 - overhead));
      assert.ok(!client.isClosed);
      client.publish('t', 'x'.repeat(201 - overhead));
      client.expectClosed(0x95);
      assert.match(fixture.log.at(-1)!, /disconnected: oversize packet\.$/);
    });

    test(`v${version} message_size_limit`, async () => {
      const fixture = new BrokerFixture({ settings: { messageSizeLimit: 3 } });
      const client = await fixture.connect(version);
      client.subscribe('#');
      client.publish('t', 'four', { qos: 1, packetId: 1 });
      client.expectPacket('puback', { packetId: 1, reasonCode: version === 5 ? 0x95 : 0 });
      client.publish('t', 'four', { qos: 2, packetId: 2 });
      client.expectPacket('pubrec', { packetId: 2, reasonCode: version === 5 ? 0x95 : 0 });
      client.publish('t', 'four');
      client.publish('t', 'ok!');
      assert.deepEqual(client.takePublishes(), ['t ok!']);
      assert.equal(
        fixture.log.filter((line) => line.startsWith('debug Dropped too large PUBLISH')).length,
        3,
      );
    });

    test(`v${version} retain_available false`, async () => {
      const fixture = new BrokerFixture({ settings: { retainAvailable: false } });
      const client = await fixture.connect(version);
      client.publish('t', 'x', { retain: true });
      client.expectClosed(0x9a);
      assert.match(fixture.log.at(-1)!, /disconnected: bad socket read\/write: Retain not supported$/);
      assert.deepEqual(fixture.retained(), []);
    });

    test(`v${version} max_qos`, async () => {
      const fixture = new BrokerFixture({ listeners: [{ maxQos: 1 }] });
      const client = await fixture.connect(version);
      client.publish('t', 'x', { qos: 1 });
      client.expectPacket('puback');
      client.publish('t', 'x', { qos: 2 });
      client.expectClosed(0x9b);
      assert.match(fixture.log.join('\n'), /^information Too high QoS in PUBLISH from .*, disconnecting\.$/m);
    });
  }

  test('upgrade_outgoing_qos delivers with the QoS of the subscription', async () => {
    const fixture = new BrokerFixture({ settings: { upgradeOutgoingQos: true } });
    const publisher = await fixture.connect();
    publisher.publish('t', 'retained', { retain: true });
    for (const qos of [0, 1, 2] as const) {
      const subscriber = await fixture.connect();
      subscriber.subscribe('t', qos);
      subscriber.expectPublish('t', 'retained', { qos, retain: true });
      publisher.publish('t', 'live');
      subscriber.expectPublish('t', 'live', { qos, retain: false });
    }
  });
});

describe('topic aliases of a client [MQTT 5.0, 3.3.2.3.4]', () => {
  test('stand for their topic, and can be given to another', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect(5);
    subscriber.subscribe('#', 2);
    const client = await fixture.connect(5);
    client.publish('first', '1', { properties: { topicAlias: 10 } });
    client.publish('', '2', { properties: { topicAlias: 10, contentType: 'c' }, qos: 1 });
    client.publish('second', '3', { properties: { topicAlias: 10 } });
    client.publish('', '4', { properties: { topicAlias: 10 }, qos: 2, packetId: 9 });
    client.ack('pubrel', 9);
    const received = subscriber.take() as PublishPacket[];
    assert.deepEqual(
      received.map(({ topic, payload }) => `${topic} ${Buffer.from(payload).toString()}`),
      ['first 1', 'first 2', 'second 3', 'second 4'],
    );
    assert.deepEqual(
      received.map(({ properties }) => properties),
      [{}, { contentType: 'c' }, {}, {}],
    );
  });

  test('are of one connection [MQTT-3.3.2-7]', async () => {
    const fixture = new BrokerFixture();
    const durable = { clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 60 } };
    const client = await fixture.connect(5, durable);
    client.publish('t', 'x', { properties: { topicAlias: 1 } });
    client.breakOff();
    const again = await fixture.connect(5, durable);
    again.publish('', 'x', { properties: { topicAlias: 1 } });
    again.expectClosed(0x82);
  });

  test('beyond the limit, 0 or unknown end the connection', async () => {
    for (const [topicAlias, topic, maxTopicAlias, reasonCode] of [
      [11, 't', 10, 0x94],
      [1, 't', 0, 0x94],
      [10, '', 10, 0x82],
    ] as const) {
      const fixture = new BrokerFixture({ listeners: [{ maxTopicAlias }] });
      const client = await fixture.connect(5);
      client.publish(topic, 'x', { properties: { topicAlias } });
      client.expectClosed(reasonCode);
    }
  });
});

describe('topic aliases of the broker [mosq: max_topic_alias_broker]', () => {
  test('the first topics get one, and are named once', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect(5, { properties: { topicAliasMaximum: 2 } });
    subscriber.subscribe('#');
    const publisher = await fixture.connect();
    for (const topic of ['a', 'b', 'a', 'c', 'b', 'c']) publisher.publish(topic, topic);
    const received = (subscriber.take() as PublishPacket[]).map((packet) => [
      packet.topic,
      packet.properties.topicAlias,
      Buffer.from(packet.payload).toString(),
    ]);
    assert.deepEqual(received, [
      ['a', 1, 'a'],
      ['b', 2, 'b'],
      ['', 1, 'a'],
      ['c', undefined, 'c'],
      ['', 2, 'b'],
      ['c', undefined, 'c'],
    ]);
  });

  test('are as many as the listener allows', async () => {
    const fixture = new BrokerFixture({ listeners: [{ maxTopicAliasBroker: 1 }] });
    const subscriber = await fixture.connect(5, { properties: { topicAliasMaximum: 9 } });
    subscriber.subscribe('#');
    const publisher = await fixture.connect();
    for (const topic of ['a', 'b', 'a']) publisher.publish(topic, 'x');
    const aliases = (subscriber.take() as PublishPacket[]).map(({ properties }) => properties.topicAlias);
    assert.deepEqual(aliases, [1, undefined, 1]);
  });

  test('are given by packets that leave, not by one that is too large for the client', async () => {
    const fixture = new BrokerFixture();
    const properties = { topicAliasMaximum: 5, maximumPacketSize: 60 };
    const subscriber = await fixture.connect(5, { properties });
    subscriber.subscribe('#', 1);
    const publisher = await fixture.connect();
    publisher.publish('topic', 'x'.repeat(100));
    publisher.publish('topic', 'x'.repeat(100), { qos: 1 });
    subscriber.expectNothing();
    publisher.publish('topic', 'small');
    subscriber.expectPublish('topic', 'small', { properties: { topicAlias: 1 } });
  });

  test('name the topic of what waited, of what is sent again and of retained messages', async () => {
    const fixture = new BrokerFixture();
    const properties = { topicAliasMaximum: 5, sessionExpiryInterval: 60, receiveMaximum: 1 };
    const durable = { clientId: 'c', cleanStart: false, properties };
    const subscriber = await fixture.connect(5, durable);
    subscriber.subscribe('#', 1);
    const publisher = await fixture.connect();
    for (const payload of ['1', '2']) publisher.publish('a', payload, { qos: 1, retain: true });
    subscriber.expectPublish('a', '1', { properties: { topicAlias: 1 } });
    subscriber.breakOff();
    const again = await fixture.connect(5, durable);
    again.expectPublish('a', '1', { properties: { topicAlias: 1 }, dup: true });
    again.ack('puback', 1);
    again.expectPublish('', '2', { properties: { topicAlias: 1 } });
    again.ack('puback', 2);
    again.subscribe('a');
    again.expectPublish('', '2', { properties: { topicAlias: 1 }, retain: true });
  });
});

describe('maximum packet size of a client', () => {
  test('[MQTT-3.1.2-25] a message too large for it is dropped for it alone, counted, and done with', async () => {
    const fixture = new BrokerFixture();
    const small = await fixture.connect(5, { clientId: 's', properties: { maximumPacketSize: 50 } });
    const large = await fixture.connect(5);
    for (const client of [small, large]) client.subscribe('#', 1);
    const publisher = await fixture.connect();
    for (const qos of [0, 1] as const) publisher.publish('t', 'x'.repeat(60), { qos });
    publisher.publish('t', 'ok', { qos: 1 });
    assert.equal(large.take().length, 3);
    assert.deepEqual(small.takePublishes(), ['t ok']);
    assert.equal(fixture.count('publishDropped'), 2);
    assert.equal(fixture.count('dropTooLarge'), 2);
    assert.match(fixture.log.join('\n'), /^notice Dropping too large outgoing PUBLISH for s \(60 bytes\)$/m);
  });
});

describe('message expiry [MQTT-3.3.2-5]', () => {
  test('counts down while a message waits, and ends it', async () => {
    const fixture = new BrokerFixture();
    const durable = { clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 600 } };
    (await fixture.connect(5, durable)).subscribe('#', 1);
    const publisher = await fixture.connect(5);
    fixture.broker.sessions.get('c')!.peer!.takenOver(true);
    for (const seconds of [5, 10]) {
      publisher.publish('t', `${seconds}`, { qos: 1, properties: { messageExpiryInterval: seconds } });
    }
    fixture.advance(5);
    const client = await fixture.connect(5, durable);
    client.expectPublish('t', '10', { properties: { messageExpiryInterval: 5 } });
    client.expectNothing();
    assert.equal(fixture.count('dropExpired'), 1);
  });

  test('counts down in a retained message, and ends it', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    client.publish('t', 'x', { retain: true, properties: { messageExpiryInterval: 10 } });
    fixture.advance(4);
    client.subscribe('t');
    client.expectPublish('t', 'x', { properties: { messageExpiryInterval: 6 } });
    fixture.advance(6);
    client.subscribe('t');
    client.expectNothing();
  });

  test('of 0 is none, as for Mosquitto', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    client.publish('t', 'x', { retain: true, properties: { messageExpiryInterval: 0 } });
    fixture.advance(100);
    client.subscribe('t');
    client.expectPublish('t', 'x', { properties: {} });
  });

  test('ends a QoS 2 message that is released too late', async () => {
    const fixture = new BrokerFixture();
    const subscriber = await fixture.connect(5);
    subscriber.subscribe('#', 2);
    const client = await fixture.connect(5);
    client.publish('t', 'x', { qos: 2, packetId: 1, properties: { messageExpiryInterval: 2 } });
    fixture.advance(3);
    client.ack('pubrel', 1);
    assert.deepEqual(
      client.take().map(({ type }) => type),
      ['pubrec', 'pubcomp'],
    );
    subscriber.expectNothing();
  });
});

describe('a client that does not take its messages', () => {
  test('misses QoS 0 beyond max_queued_messages, and is told so once in the log', async () => {
    const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 5 } });
    const subscriber = await fixture.connect(4, { clientId: 's' });
    subscriber.subscribe('#');
    const publisher = await fixture.connect();
    subscriber.block();
    for (let i = 0; i < 20; i += 1) publisher.publish('t', String(i));
    subscriber.unblock();
    // One was on its way when the client stopped, five waited behind it.
    assert.deepEqual(subscriber.takePublishes(), ['t 0', 't 1', 't 2', 't 3', 't 4', 't 5']);
    assert.equal(fixture.count('publishDropped'), 14);
    assert.equal(fixture.count('dropBacklog'), 14);
    assert.equal(fixture.count('dropQueueFull'), 0);
    const dropping = fixture.log.filter((line) =>
      line.includes('Outgoing messages are being dropped for client s.'),
    );
    assert.equal(dropping.length, 1);
    publisher.publish('t', 'later');
    assert.deepEqual(subscriber.takePublishes(), ['t later']);
  });

  test('gets QoS 1 within its window, and the rest later', async () => {
    const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 5, maxInflightMessages: 2 } });
    const subscriber = await fixture.connect();
    subscriber.subscribe('#', 1);
    const publisher = await fixture.connect();
    subscriber.block();
    for (let i = 0; i < 20; i += 1) publisher.publish('t', String(i), { qos: 1 });
    subscriber.unblock();
    const received: string[] = [];
    for (let packets = subscriber.take(); packets.length > 0; packets = subscriber.take()) {
      for (const packet of packets as PublishPacket[]) {
        received.push(Buffer.from(packet.payload).toString());
        subscriber.ack('puback', packet.packetId);
      }
    }
    // Two in flight, and of the others max_queued_messages and max_inflight_messages together.
    assert.deepEqual(received, ['0', '1', '2', '3', '4', '5', '6', '7', '8']);
    assert.equal(fixture.count('dropQueueFull'), 11);
  });
});

describe('mount_point', () => {
  const fixtureWithMount = (): BrokerFixture => new BrokerFixture({ listeners: [{}, { mountPoint: 'in/' }] });

  test('is put before what is published and subscribed, and taken off again', async () => {
    for (const qos of [0, 1, 2] as const) {
      const fixture = fixtureWithMount();
      const outside = await fixture.connect(4);
      outside.subscribe('#', 2);
      const inside = await fixture.connect(5, { listener: 1 });
      inside.subscribe('a/#', 2);
      inside.publish('a/b', 'x', { qos, packetId: 7 });
      if (qos === 2) inside.ack('pubrel', 7);
      outside.expectPublish('in/a/b', 'x');
      const received = inside.take().filter(({ type }) => type === 'publish') as PublishPacket[];
      assert.deepEqual(
        received.map(({ topic }) => topic),
        ['a/b'],
      );
      outside.publish('in/a/c', 'y');
      inside.expectPublish('a/c', 'y');
      outside.publish('a/c', 'z');
      inside.expectNothing();
    }
  });

  test('is put before the will, and before topic aliases', async () => {
    const fixture = fixtureWithMount();
    const outside = await fixture.connect(4);
    outside.subscribe('#');
    const will = { topic: 'w', payload: Buffer.from('x'), qos: 0, retain: false, properties: {} } as const;
    const inside = await fixture.connect(5, { listener: 1, will });
    inside.publish('t', '1', { properties: { topicAlias: 1 } });
    inside.publish('', '2', { properties: { topicAlias: 1 } });
    inside.breakOff();
    assert.deepEqual(outside.takePublishes(), ['in/t 1', 'in/t 2', 'in/w x']);
  });

  test('is not put before what is unsubscribed [mosq: mount_point]', async () => {
    const inside = await fixtureWithMount().connect(5, { listener: 1 });
    inside.subscribe('a');
    assert.deepEqual(inside.unsubscribe('a', 'in/a'), [0x11, 0]);
  });

  test('is taken off only where it is there: a session may have come through another listener', async () => {
    const fixture = fixtureWithMount();
    const durable = { clientId: 'c', cleanStart: false };
    const outside = await fixture.connect(4, durable);
    outside.subscribe('#', 1);
    outside.breakOff();
    const publisher = await fixture.connect();
    for (const topic of ['x', 'in/x', 'in']) publisher.publish(topic, topic, { qos: 1 });
    const inside = await fixture.connect(4, { ...durable, listener: 1 });
    assert.deepEqual(inside.takePublishes(), ['x x', 'x in/x', 'in in']);
  });
});

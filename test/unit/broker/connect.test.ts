import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Properties, ProtocolVersion, Will } from '../../../src/mqtt/packets.js';
import { BrokerFixture, type FixtureOptions } from '../../support/brokers/broker-fixture.js';
import { type ConnectOptions, connectPacket } from '../../support/clients/packet-socket.js';

const versions: readonly ProtocolVersion[] = [3, 4, 5];

function will(fields: Partial<Will> = {}): Will {
  return { topic: 'will', payload: Buffer.from('gone'), qos: 0, retain: false, properties: {}, ...fields };
}

describe('CONNACK', () => {
  test('of MQTT 5.0 tells what the defaults limit [mosq: v5 CONNACK properties]', async () => {
    const client = await new BrokerFixture().connect(5);
    assert.deepEqual(client.connack!.properties, {
      topicAliasMaximum: 10,
      maximumPacketSize: 2_000_000,
      receiveMaximum: 20,
    });
  });

  test('of MQTT 5.0 tells what the configuration limits, and the id it was given', async () => {
    const fixture = new BrokerFixture({
      settings: { maxKeepalive: 30, retainAvailable: false, maxInflightMessages: 0, maxPacketSize: 500 },
      listeners: [{ maxQos: 1, maxTopicAlias: 0, autoIdPrefix: 'id-' }],
    });
    const client = await fixture.connect(5, { clientId: '', keepAlive: 60 });
    const { assignedClientIdentifier, ...others } = client.connack!.properties;
    assert.match(assignedClientIdentifier ?? '', /^id-[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
    assert.deepEqual(others, {
      serverKeepAlive: 30,
      retainAvailable: 0,
      maximumPacketSize: 500,
      maximumQos: 1,
    });
  });

  test('of older versions has no properties', async () => {
    for (const version of [3, 4] as const) {
      const client = await new BrokerFixture().connect(version);
      assert.deepEqual(client.connack!.properties, {});
    }
  });
});

describe('a CONNECT that is refused', () => {
  interface Refusal {
    name: string;
    fixture?: FixtureOptions;
    packet: ConnectOptions;
    /** By version: the code of the CONNACK, `closed` without one, or `accepted`. */
    answers: Partial<Record<ProtocolVersion, number | 'closed' | 'accepted'>>;
    log?: RegExp;
  }
  const aliased: Properties = { authenticationMethod: 'SCRAM' };
  const disallowed =
    /disconnected: used disallowed feature \(QoS too high, retain not supported, or bad AUTH/;
  // biome-ignore format: one refusal a line
  const refusals: Refusal[] = [
    { name: 'accept_protocol_versions', fixture: { listeners: [{ acceptProtocolVersions: [] }] }, packet: {}, answers: { 3: 1, 4: 1, 5: 0x84 } },
    { name: 'empty client id', packet: { clientId: '' }, answers: { 3: 2, 4: 'accepted', 5: 'accepted' } },
    { name: 'empty client id without clean start', packet: { clientId: '', cleanStart: false }, answers: { 3: 2, 4: 2, 5: 'accepted' } },
    { name: 'allow_zero_length_clientid false', fixture: { settings: { allowZeroLengthClientid: false } }, packet: { clientId: '' }, answers: { 3: 2, 4: 2, 5: 0x80 }, log: /zero length clientid/ },
    { name: 'allow_zero_length_clientid false of the listener', fixture: { listeners: [{ allowZeroLengthClientid: false }] }, packet: { clientId: '' }, answers: { 3: 2, 4: 2, 5: 0x80 } },
    { name: 'retain_available false and a retained will', fixture: { settings: { retainAvailable: false } }, packet: { will: will({ retain: true }) }, answers: { 3: 'closed', 4: 'closed', 5: 0x9a }, log: disallowed },
    { name: 'max_qos below that of the will', fixture: { listeners: [{ maxQos: 0 }] }, packet: { will: will({ qos: 1 }) }, answers: { 3: 'closed', 4: 'closed', 5: 0x9b }, log: disallowed },
    { name: 'message_size_limit below the will', fixture: { settings: { messageSizeLimit: 3 } }, packet: { will: will() }, answers: { 3: 5, 4: 5, 5: 0x95 }, log: /disconnected: oversize payload\.$/ },
    { name: 'a will that is no text though it says so', packet: { will: will({ payload: Buffer.of(0xff), properties: { payloadFormatIndicator: 1 } }) }, answers: { 5: 0x99 }, log: /disconnected: payload format invalid\.$/ },
    { name: 'a will topic with too many levels', packet: { will: will({ topic: '/'.repeat(201) }) }, answers: { 3: 'closed', 4: 'closed', 5: 0x90 }, log: /disconnected: topic name invalid\.$/ },
    { name: 'max_keepalive below the keepalive', fixture: { settings: { maxKeepalive: 10 } }, packet: { keepAlive: 11 }, answers: { 3: 2, 4: 2, 5: 'accepted' } },
    { name: 'max_keepalive and no keepalive', fixture: { settings: { maxKeepalive: 10 } }, packet: { keepAlive: 0 }, answers: { 3: 2, 4: 2, 5: 'accepted' } },
    { name: 'clientid_prefixes', fixture: { settings: { clientidPrefixes: 'home-' } }, packet: { clientId: 'car-1' }, answers: { 3: 5, 4: 5, 5: 0x87 }, log: /disconnected: not authorised\.$/ },
    { name: 'unknown authentication method', packet: { properties: aliased }, answers: { 5: 0x8c }, log: disallowed },
    { name: 'allow_anonymous false', fixture: { listeners: [{ allowAnonymous: false }] }, packet: {}, answers: { 3: 5, 4: 5, 5: 0x87 } },
  ];
  for (const { name, fixture: options, packet, answers, log } of refusals) {
    for (const version of versions) {
      const answer = answers[version];
      if (answer === undefined) continue;
      test(`v${version} ${name}: ${answer}`, async () => {
        const fixture = new BrokerFixture(options);
        const client = fixture.open(version);
        await client.connect({ keepAlive: 5, ...packet });
        if (answer === 'accepted') {
          client.expectPacket('connack', { reasonCode: 0 });
          return;
        }
        if (answer !== 'closed')
          client.expectPacket('connack', { reasonCode: answer, sessionPresent: false });
        client.expectClosed();
        assert.equal(fixture.broker.sessions.size, 0);
        assert.deepEqual(fixture.directory.claims, []);
        assert.equal(fixture.directory.closedConnections, 1);
        if (log !== undefined) assert.match(fixture.log.join('\n'), new RegExp(log, 'm'));
      });
    }
  }

  for (const version of versions) {
    test(`v${version} global_max_clients`, async () => {
      const fixture = new BrokerFixture();
      fixture.directory.automatic = false;
      const client = fixture.open(version);
      await client.connect();
      const [claim] = fixture.directory.claims;
      claim!.answer({ id: claim!.id, verdict: 'full' });
      fixture.flush();
      if (version === 5) client.expectPacket('connack', { reasonCode: 0x89 });
      client.expectClosed();
    });
  }
});

describe('before and after CONNECT', () => {
  test('[MQTT-3.1.0-1] another packet first closes the connection', () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const client = fixture.open(version);
      client.send({ type: 'pingreq' });
      client.expectClosed();
      assert.match(
        fixture.log[0]!,
        /^information Protocol error from 192\.0\.2\.1:\d+: First packet not CONNECT/,
      );
    }
  });

  test('[MQTT-3.1.0-2] a second CONNECT closes the connection without DISCONNECT', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5);
    client.send(connectPacket(5));
    client.expectClosed();
    assert.match(
      fixture.log.join('\n'),
      /notice Bad client 192\.0\.2\.1:\d+ sending multiple CONNECT messages\./,
    );
  });

  test('a connection that sends no CONNECT is closed after 30 s', () => {
    const fixture = new BrokerFixture();
    const client = fixture.open(4);
    client.send(Buffer.of(0x10)); // not even in pieces
    fixture.advance(30);
    assert.ok(!client.isClosed);
    fixture.advance(1);
    client.expectClosed();
    assert.match(fixture.log.join('\n'), /disconnected: exceeded timeout\.$/m);
  });

  test('a CONNECT larger than 100000 bytes closes the connection', () => {
    for (const maxPacketSize of [2_000_000, 0]) {
      const fixture = new BrokerFixture({ settings: { maxPacketSize } });
      const client = fixture.open(5);
      const packet = connectPacket(5, { will: will({ payload: Buffer.alloc(60_000) }) });
      packet.properties.userProperties = [['k', 'v'.repeat(45_000)]];
      client.send(packet);
      client.expectClosed();
      assert.match(fixture.log.join('\n'), /disconnected: oversize packet\.$/m);
    }
  });

  test('packets behind the CONNECT wait for its answer, in their order', async () => {
    const fixture = new BrokerFixture();
    const watcher = await fixture.connect();
    watcher.subscribe('#');
    const client = fixture.open(4);
    const publishes = ['a', 'b', 'c'].map((topic) => {
      const payload = Buffer.from(topic.repeat(30_000));
      const packet = {
        type: 'publish',
        topic,
        payload,
        qos: 0,
        retain: false,
        dup: false,
        packetId: 0,
      } as const;
      return encodePacket({ ...packet, properties: {} }, 4);
    });
    client.send(encodePacket(connectPacket(4), 4), ...publishes);
    client.expectNothing();
    watcher.expectNothing();
    await fixture.settle();
    client.expectPacket('connack');
    const topics = watcher.take().map((packet) => packet.type === 'publish' && packet.topic);
    assert.deepEqual(topics, ['a', 'b', 'c']);
  });

  test('a client that is gone before its claim is answered leaves nothing behind', async () => {
    const fixture = new BrokerFixture();
    fixture.directory.automatic = false;
    const client = fixture.open(4);
    await client.connect({ clientId: 'c', cleanStart: false, will: will() });
    const [claim] = fixture.directory.claims;
    client.breakOff();
    claim!.answer({ id: claim!.id, verdict: 'granted' });
    assert.equal(fixture.broker.sessions.size, 0);
    assert.deepEqual(fixture.directory.ended, ['c']);
  });

  test('a claim tells main what it has to know', async () => {
    const fixture = new BrokerFixture();
    fixture.directory.automatic = false;
    const rows: [
      ProtocolVersion,
      ConnectOptions,
      { cleanStart: boolean; durable: boolean; will: boolean },
    ][] = [
      [4, { cleanStart: true }, { cleanStart: true, durable: false, will: false }],
      [4, { cleanStart: false }, { cleanStart: false, durable: true, will: false }],
      [5, { cleanStart: false }, { cleanStart: false, durable: false, will: false }],
      [5, { properties: { sessionExpiryInterval: 1 } }, { cleanStart: true, durable: true, will: false }],
      [4, { will: will() }, { cleanStart: true, durable: false, will: true }],
    ];
    for (const [version, packet, expected] of rows) {
      await fixture.open(version).connect(packet);
      const { cleanStart, durable, will } = fixture.directory.claims.pop()!;
      assert.deepEqual({ cleanStart, durable, will: will !== null }, expected);
    }
  });

  test('a client whose session lives elsewhere is sent there with all it has said', async () => {
    const fixture = new BrokerFixture();
    fixture.directory.automatic = false;
    const client = fixture.open(4);
    const connect = encodePacket(connectPacket(4, { clientId: 'c', cleanStart: false }), 4);
    const rest = Buffer.from('c000c0', 'hex'); // a PINGREQ and the beginning of another
    client.send(connect, rest);
    await fixture.settle();
    const [claim] = fixture.directory.claims;
    claim!.answer({ id: claim!.id, verdict: 'elsewhere', worker: 3 });
    assert.deepEqual(fixture.directory.passed, [{ worker: 3, received: Buffer.concat([connect, rest]) }]);
    client.expectClosed(); // for this worker, without a word
    assert.equal(fixture.directory.closedConnections, 0);
    assert.equal(fixture.broker.connections.size, 0);
  });
});

describe('log lines of a connection', () => {
  test('with connection_messages', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(4, { clientId: 'c', keepAlive: 60, username: 'u' });
    const address = client.connection.address;
    assert.deepEqual(fixture.takeLog(/^(notice|debug)/), [
      `New client connected from ${address} as c (p4, c1, k60, u'u').`,
      'No will message specified.',
      'Sending CONNACK to c (0, 0)',
    ]);
    client.disconnect();
    assert.deepEqual(fixture.takeLog(/^(notice|debug)/), [
      'Received DISCONNECT from c',
      `Client c [${address}] disconnected.`,
    ]);
  });

  for (const version of [4, 5] as const) {
    test(`v${version}: one that is refused is named`, async () => {
      const fixture = new BrokerFixture({ listeners: [{ allowAnonymous: false }] });
      const client = fixture.open(version);
      await client.connect({ clientId: 'me' });
      const address = client.connection.address;
      assert.deepEqual(fixture.takeLog(/^(notice|debug)/).slice(-2), [
        `Sending CONNACK to me (0, ${version === 4 ? 5 : 135})`,
        `Client me [${address}] disconnected: not authorised.`,
      ]);
    });
  }

  test('one that is refused for its missing name goes by its address', async () => {
    const fixture = new BrokerFixture({ settings: { allowZeroLengthClientid: false } });
    const client = fixture.open(4);
    await client.connect({ clientId: '' });
    const { remoteAddress, remotePort } = client.connection.transport;
    assert.deepEqual(fixture.takeLog(/^(notice|debug)/).slice(-2), [
      `Sending CONNACK to ${remoteAddress} (0, 2)`,
      `Client ${remoteAddress} [${remoteAddress}:${remotePort}] disconnected: protocol error.`,
    ]);
  });

  test('without connection_messages', async () => {
    const fixture = new BrokerFixture({ settings: { connectionMessages: false } });
    const client = await fixture.connect(4);
    client.breakOff();
    fixture.open(4).breakOff();
    assert.deepEqual(fixture.takeLog(/^notice/), []);
  });

  test('of a bridge, and of one with a will', async () => {
    const fixture = new BrokerFixture();
    await fixture.connect(4, { clientId: 'b', bridge: true, will: will({ qos: 1, retain: true }) });
    const [connected, ...others] = fixture.takeLog(/^(notice|debug)/);
    assert.match(connected!, /^New bridge connected from .* as b \(p4, c1, k0\)\.$/);
    assert.deepEqual(others.slice(0, 2), ['Will message specified (4 bytes) (r1, q1).', '\twill']);
  });
});

describe('keepalive [MQTT-3.1.2-22]', () => {
  test('a client is closed one and a half times its keepalive after its last packet, silently', async () => {
    for (const version of versions) {
      const fixture = new BrokerFixture();
      const client = await fixture.connect(version, { keepAlive: 10 });
      fixture.advance(14);
      client.send({ type: 'pingreq' });
      client.expectPacket('pingresp');
      fixture.advance(15);
      assert.ok(!client.isClosed);
      fixture.advance(1);
      client.expectClosed();
      assert.match(fixture.log.at(-1)!, /disconnected: exceeded timeout\.$/);
    }
  });

  test('any packet counts, and any piece of one', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(4, { keepAlive: 2 });
    for (let i = 0; i < 5; i += 1) {
      fixture.advance(3);
      client.publish('t', 'x');
    }
    fixture.advance(3);
    client.send(Buffer.of(0xc0));
    fixture.advance(3);
    assert.ok(!client.isClosed);
    fixture.advance(1);
    client.expectClosed();
  });

  test('0 is never, unless max_keepalive bounds it', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5, { keepAlive: 0 });
    fixture.advance(100);
    assert.ok(!client.isClosed);
    const bounded = new BrokerFixture({ settings: { maxKeepalive: 4 } });
    const other = await bounded.connect(5, { keepAlive: 0 });
    bounded.advance(7);
    other.expectClosed();
  });
});

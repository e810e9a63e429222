import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProtocolVersion } from '../../../src/mqtt/packets.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import type { ConnectOptions } from '../../support/clients/packet-socket.js';

const NEVER = 0xffffffff;

/** A CONNECT of client "c" whose session stays. */
function staying(version: ProtocolVersion, seconds = NEVER): ConnectOptions {
  const properties = version === 5 ? { sessionExpiryInterval: seconds } : {};
  return { clientId: 'c', cleanStart: false, properties };
}

/** A CONNECT of client "c" whose session ends with its connection. */
function passing(version: ProtocolVersion): ConnectOptions {
  return { clientId: 'c', cleanStart: version !== 5 };
}

describe('a session that stays', () => {
  for (const version of [3, 4, 5] as const) {
    test(`v${version}: keeps subscriptions, and messages that come meanwhile`, async () => {
      const fixture = new BrokerFixture();
      const first = await fixture.connect(version, staying(version));
      assert.equal(first.connack!.sessionPresent, false);
      first.subscribe('q/+', 2);
      first.disconnect();
      const publisher = await fixture.connect();
      for (const qos of [0, 1, 2] as const) publisher.publish('q/t', `${qos}`, { qos, packetId: 7 });
      publisher.ack('pubrel', 7);
      const second = await fixture.connect(version, staying(version));
      assert.equal(second.connack!.sessionPresent, version !== 3); // MQTT 3.1 has no such flag
      assert.deepEqual(second.takePublishes(), ['q/t 1', 'q/t 2']);
      publisher.publish('q/t', 'live');
      assert.deepEqual(second.takePublishes(), ['q/t live']);
    });

    test(`v${version}: is present after it was empty, too`, async () => {
      const fixture = new BrokerFixture();
      (await fixture.connect(version, staying(version))).disconnect();
      const again = await fixture.connect(version, staying(version));
      assert.equal(again.connack!.sessionPresent, version !== 3);
    });

    test(`v${version}: a clean start ends it [MQTT-3.1.2-4]`, async () => {
      const fixture = new BrokerFixture();
      const first = await fixture.connect(version, staying(version));
      first.subscribe('t', 1);
      first.disconnect();
      const publisher = await fixture.connect();
      publisher.publish('t', 'missed', { qos: 1 });
      const clean = await fixture.connect(version, { ...staying(version), cleanStart: true });
      assert.equal(clean.connack!.sessionPresent, false);
      publisher.publish('t', 'live', { qos: 1 });
      clean.expectNothing();
      assert.equal(fixture.broker.routes.subscriptionCount, 0);
    });
  }

  test('v5: a clean start may begin one', async () => {
    const fixture = new BrokerFixture();
    const first = await fixture.connect(5, { ...staying(5), cleanStart: true });
    first.breakOff();
    assert.equal((await fixture.connect(5, staying(5))).connack!.sessionPresent, true);
  });

  test('queue_qos0_messages keeps QoS 0 as well', async () => {
    const fixture = new BrokerFixture({ settings: { queueQos0Messages: true } });
    const first = await fixture.connect(4, staying(4));
    first.subscribe('t', 1);
    first.disconnect();
    const publisher = await fixture.connect();
    for (const qos of [0, 1, 0] as const) publisher.publish('t', `${qos}`, { qos });
    assert.deepEqual((await fixture.connect(4, staying(4))).takePublishes(), ['t 0', 't 1', 't 0']);
  });

  test('may be taken up in another version of the protocol', async () => {
    const fixture = new BrokerFixture();
    const first = await fixture.connect(5, staying(5));
    first.subscribe('t', 1, { identifier: 3 });
    first.disconnect();
    const publisher = await fixture.connect(5);
    publisher.publish('t', 'x', { qos: 1, properties: { contentType: 'c' } });
    const older = await fixture.connect(4, staying(4));
    older.expectPublish('t', 'x', { properties: {} });
    older.breakOff();
    const again = await fixture.connect(5, staying(5));
    const properties = { subscriptionIdentifiers: [3], contentType: 'c' };
    again.expectPublish('t', 'x', { dup: true, properties });
  });
});

describe('a session that does not stay', () => {
  for (const version of [3, 4, 5] as const) {
    for (const leave of ['disconnect', 'breakOff'] as const) {
      test(`v${version}: ends with its connection (${leave})`, async () => {
        const fixture = new BrokerFixture();
        const first = await fixture.connect(version, passing(version));
        first.subscribe('t', 1);
        first[leave]();
        assert.equal(fixture.broker.sessions.size, 0);
        assert.equal(fixture.broker.routes.subscriptionCount, 0);
        assert.deepEqual(fixture.directory.ended, ['c']);
        const again = await fixture.connect(version, staying(version));
        assert.equal(again.connack!.sessionPresent, false);
      });
    }
  }
});

describe('session expiry', () => {
  /** Seconds after which the session of a client that is gone is gone too; `undefined` = it is still there. */
  async function expiry(fixture: BrokerFixture, client: BrokerClient): Promise<number | undefined> {
    client.disconnect();
    for (let seconds = 1; seconds <= 100; seconds += 1) {
      fixture.advance(1);
      if (!fixture.broker.sessions.has('c')) return seconds;
    }
    return undefined;
  }

  // biome-ignore format: one case a line
  const rows: [name: string, version: ProtocolVersion, interval: number, maximum: number | undefined, seconds: number | undefined][] = [
    ['v5: after as many seconds as the client asked for', 5, 10, undefined, 10],
    ['v5: never', 5, NEVER, undefined, undefined],
    ['v5: persistent_client_expiration is the most', 5, 50, 20, 20],
    ['v5: also of one that would never end', 5, NEVER, 20, 20],
    ['v5: but no less than the client asked for', 5, 10, 20, 10],
    ['v4: never', 4, NEVER, undefined, undefined],
    ['v4: persistent_client_expiration', 4, NEVER, 20, 20],
  ];
  for (const [name, version, interval, persistentClientExpiration, seconds] of rows) {
    test(name, async () => {
      const fixture = new BrokerFixture({ settings: { persistentClientExpiration } });
      const client = await fixture.connect(version, staying(version, interval));
      client.subscribe('t', 1);
      assert.equal(await expiry(fixture, client), seconds);
      if (seconds === undefined) return;
      assert.deepEqual(fixture.directory.ended, ['c']);
      assert.equal(fixture.broker.routes.subscriptionCount, 0);
      assert.equal(fixture.count('sessionsExpired'), 1);
      assert.match(fixture.log.join('\n'), /^notice Expiring client c due to timeout\.$/m);
    });
  }

  for (const [name, version, interval, persistentClientExpiration] of [
    ['v5', 5, 10, undefined],
    ['v5, persistent_client_expiration', 5, NEVER, 10],
    ['v4, persistent_client_expiration', 4, NEVER, 10],
  ] as const) {
    test(`${name}: one that has ended is not taken up, be it in the same second`, async () => {
      const fixture = new BrokerFixture({ settings: { persistentClientExpiration } });
      const client = await fixture.connect(version, staying(version, interval));
      client.subscribe('t', 1);
      client.disconnect();
      (await fixture.connect()).publish('t', 'old', { qos: 1 });
      fixture.now += 10_000;
      const again = await fixture.connect(version, staying(version, interval));
      assert.equal(again.connack!.sessionPresent, false);
      again.expectNothing();
      assert.equal(fixture.broker.routes.subscriptionCount, 0);
      assert.equal(fixture.count('sessionsExpired'), 1);
      assert.deepEqual(fixture.directory.ended, []);
      assert.match(fixture.log.join('\n'), /^notice Expiring client c due to timeout\.$/m);
    });
  }

  test('begins when the client goes, each time anew', async () => {
    const fixture = new BrokerFixture();
    let client = await fixture.connect(5, staying(5, 10));
    for (let i = 0; i < 3; i += 1) {
      fixture.advance(30);
      client.breakOff();
      fixture.advance(9);
      client = await fixture.connect(5, staying(5, 10));
      assert.equal(client.connack!.sessionPresent, true);
    }
  });

  test('can be changed at DISCONNECT, but not from 0 [MQTT-3.14.2-2]', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(5, staying(5, 10));
    client.disconnect(0, { sessionExpiryInterval: 20 });
    fixture.advance(19);
    assert.ok(fixture.broker.sessions.has('c'));
    fixture.advance(1);
    assert.ok(!fixture.broker.sessions.has('c'));
    const ended = await fixture.connect(5, staying(5, 10));
    ended.disconnect(0, { sessionExpiryInterval: 0 });
    assert.ok(!fixture.broker.sessions.has('c'));
    const passingBy = await fixture.connect(5, passing(5));
    passingBy.send({ type: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } });
    passingBy.expectClosed(0x82);
    assert.match(
      fixture.log.join('\n'),
      /DISCONNECT packet with mismatched session-expiry-interval \(1:0\)\./,
    );
    assert.ok(!fixture.broker.sessions.has('c'));
  });
});

describe('a second connection of a client', () => {
  for (const version of [3, 4, 5] as const) {
    test(`v${version}: closes the first [MQTT-3.1.4-2], and goes on with its session`, async () => {
      const fixture = new BrokerFixture();
      const publisher = await fixture.connect();
      const first = await fixture.connect(version, staying(version));
      first.subscribe('t', 1);
      publisher.publish('t', '1', { qos: 1 });
      first.take();
      const second = await fixture.connect(version, staying(version));
      first.expectClosed(0x8e);
      second.expectPublish('t', '1', { dup: true, packetId: 1 });
      publisher.publish('t', '2', { qos: 1 });
      second.expectPublish('t', '2', { dup: false, packetId: 2 });
      assert.match(fixture.log.join('\n'), /^notice Client c \[.*\] disconnected: session taken over\.$/m);
      assert.equal(fixture.broker.sessions.size, 2);
      assert.deepEqual(fixture.directory.ended, []);
    });

    test(`v${version}: begins anew where the first would not have stayed`, async () => {
      const fixture = new BrokerFixture();
      const first = await fixture.connect(version, passing(version));
      first.subscribe('t', 1);
      const second = await fixture.connect(version, staying(version));
      assert.equal(second.connack!.sessionPresent, false);
      first.expectClosed(0x8e);
      assert.equal(fixture.broker.routes.subscriptionCount, 0);
      // The id went over to the new session: main must not take it for free.
      assert.deepEqual(fixture.directory.ended, []);
      second.disconnect();
      assert.ok(fixture.broker.sessions.has('c'));
    });
  }

  test('three at once: the last one has it', async () => {
    const fixture = new BrokerFixture();
    const clients = [1, 2, 3].map(() => fixture.open(4));
    await Promise.all(clients.map((client) => client.connect(staying(4))));
    assert.deepEqual(
      clients.map(({ isClosed }) => isClosed),
      [true, true, false],
    );
    clients[2]!.expectPacket('connack', { sessionPresent: true });
    clients[2]!.expectNothing();
    assert.equal(fixture.broker.connections.size, 1);
  });
});

describe('an orderly end of the broker', () => {
  test('closes connections without DISCONNECT and without log lines', async () => {
    const fixture = new BrokerFixture();
    const clients = [await fixture.connect(4), await fixture.connect(5), fixture.open(5)];
    fixture.log.length = 0;
    fixture.stop();
    for (const client of clients) client.expectClosed();
    assert.deepEqual(fixture.log, []);
    assert.equal(fixture.broker.connections.size, 0);
  });
});

describe('numbers of a worker', () => {
  test('tell what there is', async () => {
    const fixture = new BrokerFixture();
    const stays = await fixture.connect(4, staying(4));
    stays.subscribe('t', 1);
    stays.subscribe('$share/g/t', 1);
    stays.disconnect();
    const publisher = await fixture.connect();
    publisher.publish('t', 'four', { qos: 1, retain: true });
    fixture.advance(1);
    const names = [
      'connections',
      'sessions',
      'subscriptions',
      'sharedSubscriptions',
      'retainedMessages',
      'storedMessages',
      'storedBytes',
    ] as const;
    assert.deepEqual(
      names.map((name) => fixture.count(name)),
      [1, 2, 1, 1, 1, 2, 8],
    );
  });

  test('count packets and bytes in both directions', async () => {
    const fixture = new BrokerFixture();
    const client = await fixture.connect(4, { clientId: 'c' });
    client.subscribe('t', 1);
    client.publish('t', '12345', { qos: 1 });
    client.ack('puback', 1);
    fixture.advance(1);
    const names = [
      'packetsReceived',
      'packetsSent',
      'publishReceived',
      'publishSent',
      'publishBytesReceived',
      'publishBytesSent',
      'bytesReceived',
      'bytesSent',
      'connects',
    ] as const;
    const connect = 2 + 10 + 3;
    const publish = 2 + 3 + 2 + 5;
    assert.deepEqual(
      names.map((name) => fixture.count(name)),
      [4, 4, 1, 1, 5, 5, connect + (2 + 2 + 3 + 1) + publish + 4, 4 + 5 + 4 + publish, 1],
    );
  });
});

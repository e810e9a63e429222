import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { receiveRecords } from '../../../src/broker/records-path.js';
import type { Properties, ProtocolVersion, Will } from '../../../src/mqtt/packets.js';
import { encodeProperties } from '../../../src/mqtt/properties.js';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture, type FixtureOptions } from '../../support/brokers/broker-fixture.js';
import type { ConnectOptions } from '../../support/clients/packet-socket.js';

const hex = (text: string): string => Buffer.from(text).toString('hex');

function willOf(fields: Partial<Will> = {}): Will {
  return { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false, properties: {}, ...fields };
}

interface Scene {
  fixture: BrokerFixture;
  watcher: BrokerClient;
  client: BrokerClient;
}

/** A client with a will, and one that watches for it. */
async function scene(
  version: ProtocolVersion,
  will: Will,
  connect: ConnectOptions = {},
  options: FixtureOptions = {},
): Promise<Scene> {
  const fixture = new BrokerFixture(options);
  const watcher = await fixture.connect(5);
  watcher.subscribe('#', 2);
  const client = await fixture.connect(version, { clientId: 'c', will, ...connect });
  return { fixture, watcher, client };
}

const staying = { cleanStart: false, properties: { sessionExpiryInterval: 100 } };

describe('a will', () => {
  // biome-ignore format: one case a line
  const ends: [name: string, versions: ProtocolVersion[], end: (scene: Scene) => void, sent: boolean][] = [
    ['DISCONNECT', [3, 4, 5], ({ client }) => client.disconnect(), false],
    ['DISCONNECT with will message', [5], ({ client }) => client.disconnect(0x04), true],
    ['the connection breaks', [3, 4, 5], ({ client }) => client.breakOff(), true],
    ['a protocol fault', [3, 4, 5], ({ client }) => client.send(Buffer.of(0x00, 0x00)), true],
    ['nonsense', [3, 4, 5], ({ client }) => client.send(Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff)), true],
    ['a packet that is too large', [3, 4, 5], ({ client }) => client.publish('t', 'x'.repeat(3_000_000)), true],
    ['no packet in time', [3, 4, 5], ({ fixture }) => fixture.advance(20), true],
    ['the broker ends', [3, 4, 5], ({ fixture }) => fixture.stop(), true],
  ];
  for (const [name, versions, end, sent] of ends) {
    for (const version of versions) {
      test(`v${version} ${name}: ${sent ? 'sent' : 'not sent'}`, async () => {
        const at = await scene(version, willOf(), { keepAlive: 10 });
        end(at);
        at.fixture.flush();
        const received = at.watcher.take();
        assert.equal(received.length, sent ? 1 : 0);
        if (sent) assert.deepEqual([at.client.isClosed, received[0]!.type], [true, 'publish']);
        // Either way main need not send it, should this worker die.
        assert.deepEqual(at.fixture.directory.willsDone, [['c', 2]]);
      });
    }
  }

  test('is published as the client wanted it, and kept if it is retained', async () => {
    const properties: Properties = {
      contentType: 'c',
      userProperties: [['k', 'v']],
      messageExpiryInterval: 60,
    };
    const will = willOf({ qos: 2, retain: true, properties });
    const { fixture, watcher, client } = await scene(5, will);
    fixture.advance(100); // the expiry begins when it is sent
    client.breakOff();
    watcher.expectPublish('will', 'gone', { qos: 2, retain: false, properties });
    assert.deepEqual(fixture.retained(), ['will gone']);
    fixture.advance(10);
    const later = await fixture.connect(5);
    later.subscribe('will', 1);
    later.expectPublish('will', 'gone', {
      retain: true,
      properties: { ...properties, messageExpiryInterval: 50 },
    });
  });

  test('and other messages have their properties in the order given, then those of the broker', async () => {
    const given: Properties = {
      userProperties: [
        ['a', '1'],
        ['b', '2'],
      ],
      messageExpiryInterval: 60,
      contentType: 'text',
      order: ['userProperties', 'messageExpiryInterval', 'contentType', 'userProperties'],
    };
    const { watcher, client, fixture } = await scene(5, willOf({ retain: true, properties: given }));
    const user = (name: string, value: string) => `260001${hex(name)}0001${hex(value)}`;
    const sent = `${user('a', '1')}030004${hex('text')}${user('b', '2')}020000003c`;
    const got = () =>
      Buffer.from(encodeProperties(watcher.expectPacket('publish').properties)).toString('hex');
    client.publish('live', 'x', { qos: 1, retain: true, properties: given });
    assert.equal(got(), sent);
    client.breakOff();
    assert.equal(got(), sent);
    watcher.subscribe('#', 0, { identifier: 7 });
    fixture.flush();
    for (let i = 0; i < 2; i += 1) assert.equal(got(), `${sent}0b07`);
  });

  test('that is empty and retained clears the topic', async () => {
    const { fixture, client } = await scene(4, willOf({ payload: Buffer.alloc(0), retain: true }));
    (await fixture.connect()).publish('will', 'old', { retain: true });
    client.breakOff();
    assert.deepEqual(fixture.retained(), []);
  });

  test('below $SYS is not sent', async () => {
    const { fixture, client } = await scene(4, willOf({ topic: '$SYS/broker/version' }));
    const watcher = await fixture.connect();
    watcher.subscribe('$SYS/#');
    client.breakOff();
    watcher.expectNothing();
  });

  test('goes with the connection: a later one has its own', async () => {
    const { fixture, watcher, client } = await scene(5, willOf(), staying);
    client.disconnect();
    const later = await fixture.connect(5, { clientId: 'c', ...staying });
    later.breakOff();
    watcher.expectNothing();
  });
});

describe('the will of a connection that is taken over [MQTT-3.1.2-8] [MQTT-3.1.4-3]', () => {
  // biome-ignore format: one case a line
  const rows: [name: string, version: ProtocolVersion, old: ConnectOptions, cleanStart: boolean, sent: boolean][] = [
    ['v4 clean session', 4, { cleanStart: true }, false, true],
    ['v4 clean session, by a clean start', 4, { cleanStart: true }, true, true],
    ['v4 session that stays', 4, { cleanStart: false }, false, true],
    ['v4 session that stays, by a clean start', 4, { cleanStart: false }, true, true],
    ['v5 expiry 0', 5, {}, false, true],
    ['v5 session that stays', 5, staying, false, true],
    ['v5 session that stays, by a clean start', 5, staying, true, true],
  ];
  for (const [name, version, old, cleanStart, sent] of rows) {
    test(`${name}: ${sent ? 'sent' : 'not sent'}`, async () => {
      const { fixture, watcher, client } = await scene(version, willOf(), old);
      await fixture.connect(version, { clientId: 'c', ...staying, cleanStart });
      client.expectClosed(0x8e);
      assert.equal(watcher.take().length, sent ? 1 : 0);
      assert.deepEqual(fixture.directory.willsDone, [['c', 2]]);
    });
  }
});

test('[MQTT-3.1.3-9] a takeover that goes on with the session drops a will with a delay', async () => {
  const will = willOf({ properties: { willDelayInterval: 10 } });
  const { fixture, watcher, client } = await scene(5, will, staying);
  await fixture.connect(5, { clientId: 'c', ...staying, cleanStart: false });
  client.expectClosed(0x8e);
  fixture.advance(20);
  watcher.expectNothing();
});

describe('the will delay [MQTT 5.0, 3.1.3.2.2]', () => {
  /** Seconds after which the will of a client whose connection breaks comes. */
  async function secondsUntil(will: Will, expiry: number, options: FixtureOptions = {}): Promise<number> {
    const properties = expiry === 0 ? {} : { sessionExpiryInterval: expiry };
    const { fixture, watcher, client } = await scene(5, will, { cleanStart: false, properties }, options);
    client.breakOff();
    for (let seconds = 0; seconds <= 100; seconds += 1) {
      if (watcher.take().length > 0) return seconds;
      fixture.advance(1);
    }
    return Number.POSITIVE_INFINITY;
  }

  const delayed = (willDelayInterval: number): Will => willOf({ properties: { willDelayInterval } });

  test('is waited for, at most until the session ends', async () => {
    assert.equal(await secondsUntil(delayed(10), 50), 10);
    assert.equal(await secondsUntil(delayed(50), 10), 10);
    assert.equal(await secondsUntil(delayed(0), 10), 0);
    assert.equal(await secondsUntil(delayed(10), 0), 0);
    assert.equal(
      await secondsUntil(delayed(50), 0xffffffff, { settings: { persistentClientExpiration: 20 } }),
      20,
    );
  });

  test('the will comes once', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(5), staying);
    client.breakOff();
    fixture.advance(300);
    assert.equal(watcher.take().length, 1);
    assert.deepEqual(fixture.directory.willsDone, [['c', 2]]);
  });

  test('a client that comes back when the delay is over, be it in the same second, does not take its will back', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(10), staying);
    client.breakOff();
    fixture.now += 10_000;
    await fixture.connect(5, { clientId: 'c', ...staying });
    assert.equal(watcher.take().length, 1);
    assert.deepEqual(fixture.directory.willsDone, [['c', 2]]);
  });

  test('[MQTT-3.1.3-9] a client that comes back in time takes its will back', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(10), staying);
    client.breakOff();
    fixture.advance(9);
    assert.deepEqual(fixture.directory.willsDone, []);
    await fixture.connect(5, { clientId: 'c', ...staying });
    fixture.advance(200);
    watcher.expectNothing();
    assert.deepEqual(fixture.directory.willsDone, [['c', 2]]);
  });

  test('one that comes back with a clean start ends its session, and the will comes', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(10), staying);
    client.breakOff();
    await fixture.connect(5, { clientId: 'c', ...staying, cleanStart: true });
    assert.equal(watcher.take().length, 1);
    fixture.advance(200);
    watcher.expectNothing();
  });

  test('is cut short by a session expiry at DISCONNECT', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(50), staying);
    client.disconnect(0x04, { sessionExpiryInterval: 3 });
    fixture.advance(2);
    watcher.expectNothing();
    fixture.advance(1);
    assert.equal(watcher.take().length, 1);
  });

  test('does not hold up the end of the broker', async () => {
    const { fixture, watcher, client } = await scene(5, delayed(50), staying);
    client.breakOff();
    fixture.stop();
    assert.equal(watcher.take().length, 1);
  });
});

test('wills of clients that end with the broker reach sessions that stay', async () => {
  const fixture = new BrokerFixture();
  const durable = await fixture.connect(4, { clientId: 'd', cleanStart: false });
  durable.subscribe('#', 1);
  durable.disconnect();
  await fixture.connect(4, { will: willOf() });
  fixture.stop();
  assert.equal(fixture.broker.sessions.get('d')!.outbound.queuedCount, 1);
});

test("[mosq: check_retain_source] a retained will that main sends for a dead worker is its client's", async () => {
  const files = { acl: 'user alice\ntopic readwrite will\nuser bob\ntopic read #\n' };
  const options = { settings: { checkRetainSource: true }, listeners: [{ aclFile: 'acl' }], files };
  const dying = new BrokerFixture(options);
  dying.directory.automatic = false;
  const client = dying.open(5);
  const will = willOf({ retain: true });
  await client.connect({ clientId: 'c', username: 'alice', will });
  const record = dying.directory.claims[0]!.will!;
  const living = new BrokerFixture(options);
  receiveRecords(living.broker, record, true);
  const reader = await living.connect(5, { username: 'bob' });
  reader.subscribe('#');
  reader.expectPacket('publish', { topic: 'will', retain: true });
});

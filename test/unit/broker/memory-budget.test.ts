/** What a worker does when its clients occupy much of `memory_limit auto`. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '../../../src/mqtt/reason-codes.js';
import { NO_LIMIT } from '../../../src/sys/memory-limit.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

const LIMIT = 1_000_000;
const payload = 'x'.repeat(10_000);

/** @param elsewhere bytes that the clients of other workers occupy */
function limitMemory({ broker }: BrokerFixture, elsewhere = 0): void {
  broker.memory.update({ bytes: LIMIT, processBytes: 0 }, elsewhere, broker.now);
}

test('a client whose QoS 2 messages wait is slowed, then refused with 0x97, and named; others are served', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(5, { clientId: 'large' });
  const other = await fixture.connect(5, { clientId: 'small' });
  limitMemory(fixture);
  const send = (messages: number) => {
    for (let i = 0; i < messages; i += 1) client.publish('t', payload, { qos: 2 });
    return client.take().map((packet) => (packet.type === 'pubrec' ? packet.reasonCode : packet.type));
  };
  assert.deepEqual(new Set(send(15)), new Set([0]), 'with plenty of memory nobody is refused');
  limitMemory(fixture, 800_000);
  assert.equal(client.isHeldBack, false, 'it is slowed when it sends');
  assert.ok(send(1).includes(ReasonCode.quotaExceeded));
  assert.equal(client.isHeldBack, true);
  const [line] = fixture.takeLog(/occupies/);
  assert.match(
    line!,
    /^Warning: Client large occupies \d+ bytes \(0 messages wait for it, 15 for its PUBREL, 0 subscriptions\), and memory is short \(memory_limit 1000000\)/,
  );
  other.publish('t', 'x', { qos: 1 });
  other.expectPacket('puback', { reasonCode: ReasonCode.noMatchingSubscribers });

  // What it releases makes room, and after a second it is read from again.
  for (let packetId = 1; packetId <= 15; packetId += 1) client.ack('pubrel', packetId);
  limitMemory(fixture, 0);
  fixture.advance(1);
  assert.equal(client.isHeldBack, false);
  client.take();
  assert.deepEqual(send(1), [0]);
});

test('an older client is closed, and so is every publisher beyond the limit', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(4);
  limitMemory(fixture, 1_100_000);
  assert.ok(fixture.broker.memory.isShort);
  client.publish('t', 'x', { qos: 1 });
  client.expectClosed();
  assert.equal(fixture.count('dropMemory'), 1);
});

test('nothing more is queued for an absent client that occupies much; it can come back and take what waits', async () => {
  const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 0 } });
  const lasting = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 1000 } };
  const away = await fixture.connect(5, lasting);
  away.subscribe('t', 1);
  away.disconnect();
  const publisher = await fixture.connect(5, { clientId: 'publisher' });
  limitMemory(fixture);
  for (let i = 0; i < 40; i += 1) publisher.publish('t', payload, { qos: 1 });
  limitMemory(fixture, 900_000);
  publisher.publish('t', 'dropped', { qos: 1 });
  assert.equal(fixture.count('dropMemory'), 1);
  assert.match(fixture.takeLog(/occupies/)[0]!, /Client away occupies \d+ bytes \(40 messages wait/);
  const { connection } = await fixture.connect(5, lasting);
  assert.ok(connection.isConnected);
});

test('no new session begins from seven eighths on, while one that is there goes on', async () => {
  const fixture = new BrokerFixture();
  const lasting = { clientId: 'known', cleanStart: false, properties: { sessionExpiryInterval: 1000 } };
  (await fixture.connect(5, lasting)).disconnect();
  limitMemory(fixture, 890_000);
  for (const [version, reasonCode] of [
    [5, ReasonCode.quotaExceeded],
    [4, 3], // server unavailable
  ] as const) {
    const refused = fixture.open(version);
    await refused.connect({ clientId: 'new' });
    refused.expectPacket('connack', { reasonCode });
    refused.expectClosed();
  }
  assert.deepEqual(fixture.directory.ended, ['new', 'new'], 'the client id is free again');
  await fixture.connect(5, lasting);
});

test('new subscriptions of the largest client are refused, and all of them beyond the limit', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(5, { clientId: 'large' });
  const other = await fixture.connect(5, { clientId: 'small' });
  limitMemory(fixture);
  for (let i = 0; i < 300; i += 1) client.subscribe(`t/${i}`);
  limitMemory(fixture, 780_000);
  assert.equal(client.subscribe('more'), ReasonCode.quotaExceeded);
  fixture.advance(1); // it is read from again
  assert.equal(client.subscribe('t/0'), 0, 'what it has may be changed');
  assert.equal(other.subscribe('more'), 0);
  limitMemory(fixture, 1_200_000);
  assert.equal(other.subscribe('and more'), ReasonCode.quotaExceeded);
});

describe('beyond the limit those are disconnected whose packets fill the buffers', () => {
  test('packets that are not complete', async () => {
    const fixture = new BrokerFixture();
    const clients = await Promise.all([1, 2].map((i) => fixture.connect(5, { clientId: `part-${i}` })));
    const whole = await fixture.connect(5, { clientId: 'whole' });
    // A PUBLISH of 1,000,000 bytes, and the first quarter of it.
    const part = Buffer.concat([Buffer.from('30c0843d000174', 'hex'), Buffer.alloc(250_000)]);
    for (const client of clients) client.send(part);
    limitMemory(fixture); // what they take is rounded up, and is more than the limit with what another worker has
    limitMemory(fixture, 1_200_000);
    assert.deepEqual(clients.map(({ isClosed }) => isClosed).sort(), [false, true], 'as many as is enough');
    clients.find(({ isClosed }) => isClosed)!.expectClosed(ReasonCode.quotaExceeded);
    assert.match(fixture.takeLog(/is disconnected/)[0]!, /Client part-\d is disconnected: memory_limit/);
    assert.equal(whole.isClosed, false);
  });

  test('packets that the client does not read', async () => {
    const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 0 } });
    const slow = await fixture.connect(5, { clientId: 'slow' });
    slow.subscribe('t');
    slow.block();
    const publisher = await fixture.connect(5, { clientId: 'publisher' });
    for (let i = 0; i < 50; i += 1) publisher.publish('t', payload);
    limitMemory(fixture, 400_000);
    limitMemory(fixture, 1_600_000);
    assert.ok(slow.isClosed);
    assert.equal(publisher.isClosed, false);
  });
});

test('retained messages of new topics are refused if they are what is large; those that are there change', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(5, { clientId: 'retainer' });
  limitMemory(fixture);
  for (let i = 0; i < 30; i += 1) client.publish(`t/${i}`, payload, { retain: true });
  limitMemory(fixture, 800_000);
  const answer = (topic: string, text: string) => {
    client.publish(topic, text, { retain: true, qos: 1 });
    fixture.advance(1); // a client that was refused is read from once a second
    return client.expectPacket('puback').reasonCode;
  };
  assert.equal(answer('new', 'x'), ReasonCode.quotaExceeded);
  assert.match(fixture.takeLog(/Retained/)[0]!, /such as one from client retainer\.$/);
  assert.equal(answer('t/0', payload), ReasonCode.noMatchingSubscribers);
  assert.equal(answer('t/0', `${payload}longer`), ReasonCode.quotaExceeded);
  assert.equal(answer('$SYS/broker/connection/new/state', '1'), ReasonCode.quotaExceeded);
  client.publish('t/0', '', { retain: true });
  assert.equal(fixture.retained('t/0').length, 0, 'clearing makes room');
});

test('a worker looks by itself once much has passed, and not before', async () => {
  const fixture = new BrokerFixture();
  const client = await fixture.connect(5, { clientId: 'fast' });
  fixture.broker.memory.update({ bytes: 64 * LIMIT, processBytes: 0 }, 40 * LIMIT, fixture.broker.now);
  assert.equal(fixture.broker.memory.isTight, false);
  const large = 'x'.repeat(LIMIT);
  for (let i = 0; i < 15; i += 1) client.publish('t', large, { qos: 2 });
  assert.ok(fixture.broker.memory.isTight, 'without a second having passed');
  fixture.broker.memory.update(NO_LIMIT, 0, fixture.broker.now);
  assert.equal(fixture.broker.memory.isTight, false);
});

test('five lines a minute name clients, the largest ones first', async () => {
  const fixture = new BrokerFixture({ settings: { maxQueuedMessages: 0 } });
  for (let i = 0; i < 8; i += 1) {
    const client = await fixture.connect(5, { clientId: `client-${i}` });
    for (let n = 0; n <= i; n += 1) client.publish('t', payload, { qos: 2 });
  }
  limitMemory(fixture, 990_000);
  const named = fixture.takeLog(/occupies/).map((line) => /Client (\S+)/.exec(line)![1]);
  assert.deepEqual(named, ['client-7', 'client-6', 'client-5', 'client-4', 'client-3']);
  fixture.advance(61);
  const later = fixture.takeLog(/occupies/).map((line) => /Client (\S+)/.exec(line)![1]);
  assert.deepEqual(later, ['client-2', 'client-1', 'client-0']);
});

/** Stored messages with control characters or non-characters, as an earlier version or Mosquitto 1 took them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { restoreSession } from '../../../src/broker/session-path.js';
import type { SessionRecord } from '../../../src/model/session-record.js';
import { hasPlainTexts } from '../../../src/mqtt/plain-texts.js';
import { encodeProperties } from '../../../src/mqtt/properties.js';
import { Publication } from '../../../src/mqtt/publication.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';
import { MemoryStorage } from '../../support/store/memory-storage.js';

const unwanted = ['\x01', '\x1f', '\x7f', '\x9f', '\ufdd0', '\ufdef', '\uffff', '\u{1fffe}', '\u{10ffff}'];

const stored = (topic: string, payload: string, properties?: Parameters<typeof encodeProperties>[0]) =>
  Publication.create({
    topic,
    payload: Buffer.from(payload),
    qos: 2,
    retain: true,
    ...(properties && { properties: encodeProperties(properties) }),
  });

const texts = [
  (text: string) => stored(`t/${text}`, 'x'),
  (text: string) => stored('t/type', 'x', { contentType: text }),
  (text: string) => stored('t/response', 'x', { payloadFormatIndicator: 1, responseTopic: text }),
  (text: string) =>
    stored('t/name', 'x', {
      userProperties: [
        ['good', ''],
        [text, ''],
      ],
    }),
  (text: string) => stored('t/value', 'x', { userProperties: [['good', text]], contentType: 'text' }),
];

test('which texts of a message are looked at', () => {
  for (const make of texts) {
    for (const text of unwanted) assert.equal(hasPlainTexts(make(`a${text}`)), false, JSON.stringify(text));
    for (const text of ['', 'good', 'h\u00e9 \u{1f600}']) assert.equal(hasPlainTexts(make(text)), true, text);
  }
  assert.equal(hasPlainTexts(stored('t', '\x01', { correlationData: Buffer.from([0, 1]) })), true);
});

test('a retained message is not delivered, and named once', async () => {
  const fixture = new BrokerFixture();
  for (const make of texts) fixture.broker.store.retained.set(make('\x01'));
  fixture.broker.store.retained.set(stored('t/good', 'x'));
  for (const version of [4, 5] as const) {
    const client = await fixture.connect(version);
    client.subscribe('#', 0);
    fixture.flush();
    assert.deepEqual(
      client.takePublishes().map((one) => one.split(' ')[0]),
      ['t/good'],
    );
  }
  const named = ['\x01', 'type', 'response', 'name', 'value'].map((one) => `undeliverable t/${one}`);
  assert.deepEqual(fixture.takeLog(/undeliverable/), named);
});

describe('of a session that is taken up', () => {
  const record: SessionRecord = {
    clientId: 'c',
    username: undefined,
    protocolVersion: 4,
    sessionExpiry: 600,
    expiresAt: 0,
    disconnectedAt: 0,
    lastPacketId: 9,
    will: undefined,
  };

  test('what is queued or in flight is dropped when its turn comes', async () => {
    const storage = new MemoryStorage();
    const append = (topic: string, packetId: number) => {
      const state = packetId === 0 ? 'queued' : 'awaiting PUBREC';
      const delivery = { packetId, qos: 2, retain: false, dup: false, subscriptionIds: [] } as const;
      storage.outgoing.append(stored(topic, 'x'), { ...delivery, state });
    };
    append('in/flight\x01', 1);
    append('in/flight', 2);
    append('queued\x01', 0);
    append('queued', 0);
    const fixture = new BrokerFixture();
    restoreSession(fixture.broker, { record, storage, subscriptions: [], contents: storage.contents(false) });
    const client = await fixture.connect(4, { clientId: 'c', cleanStart: false });
    const topics = client.take().map((packet) => packet.type === 'publish' && packet.topic);
    assert.deepEqual(topics, ['in/flight', 'queued']);
    assert.deepEqual(fixture.takeLog(/undeliverable/), [
      'undeliverable in/flight\x01',
      'undeliverable queued\x01',
    ]);
    assert.equal(fixture.count('dropMalformed'), 2);
    assert.equal(storage.outgoing.entries.length, 2);
  });

  test('its will is not sent, and its own QoS 2 message is not released', async () => {
    const storage = new MemoryStorage();
    const delivery = { qos: 2, retain: false, dup: false, subscriptionIds: [] } as const;
    for (const [packetId, topic] of [
      [1, 'mine\x01'],
      [2, 'mine'],
    ] as const) {
      storage.incoming.append(stored(topic, 'x'), { ...delivery, packetId, state: 'awaiting PUBREL' });
    }
    const will = { message: stored('will\x01', 'x').toStored(), delay: 0, expiry: 0, dueAt: 1 };
    const fixture = new BrokerFixture();
    const watcher = await fixture.connect();
    watcher.subscribe('#', 0);
    watcher.take();
    restoreSession(fixture.broker, {
      record: { ...record, will },
      storage,
      subscriptions: [],
      contents: storage.contents(false),
    });
    fixture.advance(2);
    const client = await fixture.connect(4, { clientId: 'c', cleanStart: false });
    for (const packetId of [1, 2]) {
      client.send({ type: 'pubrel', packetId, reasonCode: 0, properties: {} });
      client.expectPacket('pubcomp', { packetId });
    }
    assert.deepEqual(
      watcher.take().map((packet) => packet.type === 'publish' && packet.topic),
      ['mine'],
    );
    assert.deepEqual(fixture.takeLog(/undeliverable/), ['undeliverable mine\x01', 'undeliverable will\x01']);
  });
});

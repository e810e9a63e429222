import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { QueuedRecord, WholeSession } from '../../../src/model/queued-record.js';
import { SESSION_NEVER_EXPIRES } from '../../../src/model/session-record.js';
import { DatabaseFormatError, readChunks } from '../../../src/mosquitto-db/chunk-reader.js';
import { writeChunks } from '../../../src/mosquitto-db/chunk-writer.js';
import type { Chunk, ClientMessageChunk, MessageChunk } from '../../../src/mosquitto-db/chunks.js';
import type { DatabaseContent } from '../../../src/mosquitto-db/content.js';
import { writeDatabase } from '../../../src/mosquitto-db/from-model.js';
import { readDatabase } from '../../../src/mosquitto-db/to-model.js';
import {
  flippedSample,
  readSample,
  SAMPLE_NAMES,
  SAMPLES_READ_AT,
  SAMPLES_WRITTEN_AT,
} from '../../support/store/mosquitto-db-samples.js';

const RETAINED_BY_V3 = [
  '/lead',
  'a//b',
  'a/b',
  'big',
  'c',
  'replaced',
  't/3',
  'trail/',
  'télé/温度',
  'x/y/z',
];

function importSample(name: string, now = SAMPLES_READ_AT) {
  return readDatabase(readSample(name), now);
}

function session(content: DatabaseContent, clientId: string): WholeSession {
  const found = content.sessions.find((whole) => whole.session.clientId === clientId);
  assert.ok(found, `session ${clientId}`);
  return found;
}

function queueLine({ direction, state, packetId, qos, dup, message }: QueuedRecord): string {
  return `${direction} ${message.topic} ${state} id ${packetId} QoS ${qos}${dup ? ' dup' : ''}`;
}

describe('retained messages', () => {
  test('of version 3 are those that the samples list', () => {
    const { content, report } = importSample('v3-1.4.8-all.db');
    assert.deepEqual(content.retained.map(({ topic }) => topic).sort(), RETAINED_BY_V3);
    assert.deepEqual(report, { version: 3, leftOut: [], problems: [] });
  });

  for (const name of ['v5-1.6.10-all.db', 'v6-2.1.2-all.db']) {
    test(`of ${name} keep their properties, the expired one is dropped`, () => {
      const { content, report } = importSample(name);
      const topics = content.retained.map(({ topic }) => topic).sort();
      assert.deepEqual(topics, [...RETAINED_BY_V3, 'v5/retained'].sort());
      assert.deepEqual(report.leftOut, ['a message of "v5/expired-soon" has expired']);
      assert.deepEqual(report.problems, []);
      const message = content.retained.find(({ topic }) => topic === 'v5/retained')!;
      assert.equal(Buffer.from(message.payload).toString(), '{"a":1}');
      assert.equal(
        Buffer.from(message.properties).toString('hex'),
        '010103000a746578742f706c61696e0800087265706c792f746f09000201022600016b0001762600016b00027632',
      );
      assert.ok(message.expiresAt > 2 ** 32 * 1000);
    });
  }

  test('that have not expired yet are kept', () => {
    const { content } = importSample('v6-2.1.2-all.db', SAMPLES_WRITTEN_AT);
    assert.ok(content.retained.some(({ topic }) => topic === 'v5/expired-soon'));
  });

  test('keep payload, quality of service and origin', () => {
    const { content } = importSample('v6-2.0.11-retained.db');
    const message = content.retained.find(({ topic }) => topic === 'x/y/z')!;
    assert.equal(Buffer.from(message.payload).toString('latin1'), '\x00\x01\xff binary');
    assert.equal(message.qos, 2);
    assert.equal(message.retain, true);
    assert.equal(message.originClientId, 'pubber');
    assert.equal(message.originUsername, 'alice');
  });
});

describe('sessions', () => {
  test('of 2.0.11 come with subscriptions and queues', () => {
    const { content } = importSample('v6-2.0.11-sessions.db');
    const ids = content.sessions.map((whole) => whole.session.clientId);
    assert.deepEqual(ids.sort(), ['sess311b', 'sess5', 'sess5never', 'sessA']);
    const a = session(content, 'sessA');
    assert.equal(a.session.username, 'bob');
    assert.equal(a.session.lastPacketId, 6);
    assert.equal(a.session.sessionExpiry, SESSION_NEVER_EXPIRES);
    assert.equal(a.session.expiresAt, 0);
    assert.deepEqual(a.queue.map(queueLine), [
      'incoming in/qos2 awaiting PUBREL id 77 QoS 2',
      'outgoing s/1 awaiting PUBACK id 1 QoS 1 dup',
      'outgoing t/1 awaiting PUBREC id 2 QoS 2 dup',
      'outgoing t/2 awaiting PUBCOMP id 3 QoS 2 dup',
      'outgoing s/2 queued id 4 QoS 1',
      'outgoing s/3 queued id 5 QoS 1',
      'outgoing t/3 queued id 6 QoS 2',
    ]);
  });

  test('of MQTT 5.0 come with expiry, options and identifiers', () => {
    const { content } = importSample('v6-2.1.2-all.db');
    const five = session(content, 'sess5');
    assert.equal(five.session.protocolVersion, 5);
    assert.equal(five.session.sessionExpiry, 2_000_000_000);
    assert.equal(five.session.expiresAt, 3_795_383_476_000);
    assert.equal(five.session.disconnectedAt, 1_795_383_476_000);
    assert.deepEqual(five.subscriptions, [
      {
        filter: 'n/+',
        qos: 1,
        noLocal: true,
        retainAsPublished: true,
        retainHandling: 1,
        subscriptionId: 42,
      },
    ]);
    assert.deepEqual(
      five.queue.map(({ subscriptionIds }) => subscriptionIds),
      [[42], []],
    );
    assert.deepEqual(session(content, 'sess5never').queue[0]!.subscriptionIds, [300]);
  });

  test('of versions 3 and 4 never expire, whatever the time of their disconnect', () => {
    for (const name of ['v3-1.4.8-all.db', 'v4-1.5.11-all.db']) {
      const { content } = importSample(name);
      assert.deepEqual(content.sessions.map((whole) => whole.session.clientId).sort(), ['sess311b', 'sessA']);
      for (const { session: record } of content.sessions) {
        assert.equal(record.sessionExpiry, SESSION_NEVER_EXPIRES);
        assert.equal(record.expiresAt, 0);
        assert.ok(Math.abs(record.disconnectedAt - SAMPLES_WRITTEN_AT) < 60_000);
      }
    }
  });

  test('whose time is over are left out with their records', () => {
    const { content, report } = importSample('v6-2.1.2-all.db', 3_795_383_477_000);
    assert.deepEqual(content.sessions.map((whole) => whole.session.clientId).sort(), [
      'sess311b',
      'sess5never',
      'sessA',
    ]);
    assert.deepEqual(report.problems, []);
  });

  test('are not confused by stale user names', () => {
    const { content, report } = importSample('v6-2.0.11-stale-username.db');
    assert.deepEqual(report.problems, []);
    assert.equal(content.sessions.length, 4);
    for (const { session: record } of content.sessions) {
      assert.ok(record.username === undefined || record.username === 'bob', `${record.username}`);
    }
    assert.equal(session(content, 'sessA').queue.length, 7);
  });
});

describe('records that make no sense', () => {
  const message: MessageChunk = {
    kind: 'message',
    messageId: 1n,
    expiryTime: 0n,
    sourcePacketId: 0,
    sourceClientId: Buffer.from('p'),
    sourceUsername: Buffer.alloc(0),
    sourcePort: 1883,
    topic: Buffer.from('t'),
    qos: 1,
    retain: 1,
    payload: Buffer.from('x'),
    properties: Buffer.alloc(0),
  };
  const retain: Chunk = { kind: 'retain', messageId: 1n };
  const queued: ClientMessageChunk = {
    kind: 'clientMessage',
    clientId: Buffer.from('c'),
    messageId: 1n,
    packetId: 1,
    qos: 1,
    state: 11,
    retain: 0,
    dup: 0,
    direction: 1,
    properties: Buffer.alloc(0),
  };
  const subscription: Chunk = {
    kind: 'subscription',
    clientId: Buffer.from('c'),
    filter: Buffer.from('t'),
    qos: 0,
    options: 0,
    subscriptionId: 0,
  };
  const client: Chunk = {
    kind: 'client',
    clientId: Buffer.from('c'),
    username: Buffer.alloc(0),
    lastPacketId: 1,
    listenerPort: 0,
    sessionExpiryTime: 0n,
    sessionExpiryInterval: SESSION_NEVER_EXPIRES,
    disconnectTime: 0n,
  };

  const table: [
    string,
    Chunk[],
    { retained?: number; sessions?: number; queued?: number; problems: number },
  ][] = [
    [
      'nothing wrong',
      [message, retain, client, queued],
      { retained: 1, sessions: 1, queued: 1, problems: 0 },
    ],
    ['topic with a wildcard', [{ ...message, topic: Buffer.from('a/+') }, retain], { problems: 2 }],
    ['topic with a null character', [{ ...message, topic: Buffer.from('a\0') }, retain], { problems: 2 }],
    ['topic that is not UTF-8', [{ ...message, topic: Buffer.from([0xff]) }, retain], { problems: 2 }],
    ['empty topic', [{ ...message, topic: Buffer.alloc(0) }, retain], { problems: 2 }],
    ['QoS 3', [{ ...message, qos: 3 }, retain], { problems: 2 }],
    ['unknown property', [{ ...message, properties: Buffer.from([2, 0x7f, 0]) }, retain], { problems: 2 }],
    ['property cut off', [{ ...message, properties: Buffer.from([3, 3, 0, 9]) }, retain], { problems: 2 }],
    ['property length wrong', [{ ...message, properties: Buffer.from([9, 1, 1]) }, retain], { problems: 2 }],
    ['missing message', [retain], { problems: 1 }],
    ['empty retained message', [{ ...message, payload: Buffer.alloc(0) }, retain], { problems: 1 }],
    ['retained below $SYS', [{ ...message, topic: Buffer.from('$SYS/x') }, retain], { problems: 0 }],
    ['unknown state', [message, client, { ...queued, state: 12 }], { sessions: 1, problems: 1 }],
    [
      'in flight without id',
      [message, client, { ...queued, state: 3, packetId: 0 }],
      { sessions: 1, problems: 1 },
    ],
    [
      'bad subscription identifier',
      [message, client, { ...queued, properties: Buffer.from([2, 0x0b, 0]) }],
      { sessions: 1, problems: 1 },
    ],
    ['empty client id', [{ ...client, clientId: Buffer.alloc(0) }], { problems: 1 }],
    ['subscription of nobody', [subscription], { sessions: 1, problems: 1 }],
    ['bad filter', [client, { ...subscription, filter: Buffer.from('a/#/b') }], { sessions: 1, problems: 1 }],
    [
      'message before it is defined',
      [retain, queued, client, message],
      { retained: 1, sessions: 1, queued: 1, problems: 0 },
    ],
    [
      'PUBCOMP not sent',
      [message, client, { ...queued, direction: 0, state: 8 }],
      { sessions: 1, problems: 0 },
    ],
  ];
  for (const [what, chunks, expected] of table) {
    test(what, () => {
      const { content, report } = readDatabase(writeChunks(chunks), SAMPLES_READ_AT);
      assert.equal(content.retained.length, expected.retained ?? 0, 'retained');
      assert.equal(content.sessions.length, expected.sessions ?? 0, 'sessions');
      const queuedCount = content.sessions.reduce((sum, { queue }) => sum + queue.length, 0);
      assert.equal(queuedCount, expected.queued ?? 0, 'queued');
      assert.equal(report.problems.length, expected.problems, report.problems.join('\n'));
    });
  }

  test('what is left out on purpose is named', () => {
    const sys = { ...message, topic: Buffer.from('$SYS/x') };
    const ended = { ...client, sessionExpiryInterval: 10, sessionExpiryTime: 1n };
    const { report } = readDatabase(writeChunks([sys, retain, ended, subscription, queued]), SAMPLES_READ_AT);
    assert.deepEqual(report, {
      version: 6,
      leftOut: [
        'the retained message of "$SYS/x" is made anew by the broker',
        'session "c" has ended (with 1 subscriptions and 1 queued messages)',
      ],
      problems: [],
    });
  });

  for (const sourcePort of [0, 1884]) {
    test(`the listener of a message's publisher, port ${sourcePort}, is read, and written again`, () => {
      const chunks = [{ ...message, sourcePort }, retain, client, queued];
      const { content } = readDatabase(writeChunks(chunks), SAMPLES_READ_AT);
      const [retained] = content.retained;
      const [waiting] = content.sessions[0]!.queue;
      for (const { originListener } of [retained!, waiting!.message]) {
        assert.equal(originListener, sourcePort === 0 ? '' : '1884');
      }
      const exported = readChunks(writeDatabase(content, SAMPLES_READ_AT)).chunks;
      const ports = exported.flatMap((chunk) => (chunk.kind === 'message' ? [chunk.sourcePort] : []));
      assert.ok(ports.length > 0 && ports.every((port) => port === sourcePort), ports.join());
    });
  }

  for (const listenerPort of [0, 1884]) {
    test(`the listener of a client, port ${listenerPort}, is read, and written again`, () => {
      const { content } = readDatabase(writeChunks([{ ...client, listenerPort }]), SAMPLES_READ_AT);
      assert.equal(content.sessions[0]!.session.listener, listenerPort === 0 ? undefined : '1884');
      const exported = readChunks(writeDatabase(content, SAMPLES_READ_AT)).chunks;
      assert.equal(exported.find((chunk) => chunk.kind === 'client')!.listenerPort, listenerPort);
    });
  }

  test('the listener of a client that came through a unix socket has no number', () => {
    const { content } = readDatabase(writeChunks([client]), SAMPLES_READ_AT);
    for (const socketPath of ['/run/mqtt.sock', '99999']) {
      content.sessions[0]!.session.listener = socketPath;
      const exported = readChunks(writeDatabase(content, SAMPLES_READ_AT)).chunks;
      assert.equal(exported.find((chunk) => chunk.kind === 'client')!.listenerPort, 0);
    }
  });

  // Mosquitto 2.0 writes interval 0 and end 0 for a bridge with `cleansession false`.
  const unbounded = { ...client, sessionExpiryInterval: 0, sessionExpiryTime: 0n };
  const bridged = { ...subscription, options: 0x0c };
  const named = (clientId: string) => ({ clientId: Buffer.from(clientId) });
  const sessionsOf: [string, Chunk[], boolean][] = [
    ['with the usual client id', [{ ...unbounded, ...named('local.pi.up') }], true],
    ['with another client id, by its subscriptions', [unbounded, bridged], true],
    ['a client that shares one of its options', [unbounded, { ...bridged, options: 0x08 }], false],
    ['a client with one such subscription', [unbounded, bridged, subscription], false],
    ['a client of a listener', [{ ...unbounded, listenerPort: 1883 }, bridged], false],
    ['a client without subscriptions', [unbounded], false],
    ['a client that was to end later', [{ ...unbounded, sessionExpiryTime: 1n }, bridged], false],
  ];
  for (const [what, chunks, stays] of sessionsOf) {
    test(`a session of interval 0: ${what} ${stays ? 'stays' : 'has ended'}`, () => {
      const { content, report } = readDatabase(writeChunks(chunks), SAMPLES_READ_AT);
      assert.equal(report.leftOut.length, stays ? 0 : 1);
      assert.deepEqual(
        content.sessions.map(({ session }) => session.sessionExpiry),
        stays ? [SESSION_NEVER_EXPIRES] : [],
      );
    });
  }

  test('flipped bits never make it throw anything but a refusal', () => {
    fc.assert(
      fc.property(flippedSample, (bytes) => {
        try {
          readDatabase(bytes, SAMPLES_READ_AT);
        } catch (error) {
          assert.ok(error instanceof DatabaseFormatError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('export', () => {
  for (const name of SAMPLE_NAMES) {
    test(`what ${name} held is in the file written from it`, () => {
      const { content } = importSample(name);
      const again = readDatabase(writeDatabase(content, SAMPLES_READ_AT), SAMPLES_READ_AT);
      assert.deepEqual(again.report, { version: 6, leftOut: [], problems: [] });
      assert.deepEqual(normalized(again.content), normalized(content));
    });
  }

  test('stores a message once for all queues, and gives waiting ones packet ids', () => {
    const { content } = importSample('v6-2.0.11-sessions.db');
    const shared = { ...session(content, 'sessA') };
    const waiting: QueuedRecord = { ...shared.queue[4]!, packetId: 0 };
    const copies = ['one', 'two'].map((clientId) => ({
      ...shared,
      session: { ...shared.session, clientId, lastPacketId: 0xffff },
      queue: [shared.queue[1]!, waiting, waiting],
    }));
    const { chunks } = readChunks(writeDatabase({ retained: [], sessions: copies }, SAMPLES_READ_AT));
    assert.equal(chunks.filter(({ kind }) => kind === 'message').length, 2);
    const ids = chunks.flatMap((chunk) => (chunk.kind === 'clientMessage' ? [chunk.packetId] : []));
    assert.deepEqual(ids, [1, 2, 3, 1, 2, 3]);
  });

  test('leaves out $SYS messages, as Mosquitto does', () => {
    const { content } = importSample('v6-2.0.11-sessions.db');
    const sys = { ...content.retained[0]!, topic: '$SYS/broker/version' };
    const { chunks } = readChunks(writeDatabase({ retained: [sys], sessions: [] }, SAMPLES_READ_AT));
    assert.deepEqual(
      chunks.map(({ kind }) => kind),
      ['config'],
    );
  });
});

/** Without what a version 6 file cannot say: time of disconnect and protocol version of a plain session. */
function normalized(content: DatabaseContent): unknown {
  const byName = <T>(items: T[], name: (item: T) => string) =>
    items.toSorted((a, b) => (name(a) < name(b) ? -1 : 1));
  return {
    retained: byName(content.retained, ({ topic }) => topic).map((message) => ({
      ...message,
      payload: Buffer.from(message.payload),
      properties: Buffer.from(message.properties),
    })),
    sessions: byName(content.sessions, ({ session: { clientId } }) => clientId).map((whole) => ({
      ...whole,
      session: { ...whole.session, disconnectedAt: 0 },
      queue: whole.queue.map((record) => ({
        ...record,
        message: {
          ...record.message,
          payload: Buffer.from(record.message.payload),
          properties: Buffer.from(record.message.properties),
        },
      })),
    })),
  };
}

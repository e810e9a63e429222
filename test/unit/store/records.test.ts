import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { StoredMessage } from '../../../src/model/message.js';
import type { SessionRecord, SubscriptionRecord } from '../../../src/model/session-record.js';
import {
  DamagedRecordError,
  decodeQueued,
  decodeRetained,
  decodeSession,
  decodeSubscription,
  encodeQueuedInline,
  encodeQueuedShared,
  encodeRetained,
  encodeSession,
  encodeSubscription,
  peekQueued,
  type QueuedHeader,
} from '../../../src/store/records.js';

/** Plain objects, as the decoders make them. */
const plain = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(fields, { noNullPrototype: true });

const anyText = fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replaceAll('\0', ''));
const anyBytes = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
const anyQos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const anyTime = fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 50 }));

const anyMessage: fc.Arbitrary<StoredMessage> = plain({
  topic: anyText,
  payload: anyBytes,
  qos: anyQos,
  retain: fc.boolean(),
  properties: anyBytes,
  expiresAt: anyTime,
  originClientId: anyText,
  originUsername: anyText,
});

const anyHeader: fc.Arbitrary<QueuedHeader> = plain({
  state: fc.constantFrom(
    'queued',
    'awaiting PUBACK',
    'awaiting PUBREC',
    'awaiting PUBCOMP',
    'awaiting PUBREL',
  ),
  packetId: fc.nat(0xffff),
  qos: anyQos,
  retain: fc.boolean(),
  dup: fc.boolean(),
  subscriptionIds: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 5 }),
  payloadBytes: fc.nat(268_435_455),
});

const anySession: fc.Arbitrary<SessionRecord> = plain({
  clientId: anyText,
  username: fc.option(anyText, { nil: undefined }),
  protocolVersion: fc.constantFrom(3, 4, 5),
  sessionExpiry: fc.nat(0xffffffff),
  expiresAt: anyTime,
  disconnectedAt: anyTime,
  lastPacketId: fc.nat(0xffff),
  will: fc.option(
    plain({
      message: anyMessage,
      delay: fc.nat(0xffffffff),
      expiry: fc.nat(0xffffffff),
      dueAt: anyTime,
    }),
    { nil: undefined },
  ),
});

const anySubscription: fc.Arbitrary<SubscriptionRecord> = plain({
  filter: anyText,
  qos: anyQos,
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  retainHandling: fc.constantFrom(0, 1, 2),
  subscriptionId: fc.nat(268_435_455),
});

const messageId = Buffer.from('0123456789abcd');
const sessionKey = Buffer.from('12345678');

describe('what is encoded is decoded', () => {
  test('retained messages', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        assert.deepEqual(decodeRetained(encodeRetained(message)), message);
      }),
    );
  });

  test('queued messages that hold their message', () => {
    fc.assert(
      fc.property(anyHeader, anyMessage, (header, message) => {
        const record = encodeQueuedInline(header, message);
        assert.deepEqual(decodeQueued(record), { ...header, content: message });
        const { state, qos, payloadBytes } = header;
        assert.deepEqual(peekQueued(record), { state, qos, payloadBytes });
      }),
    );
  });

  test('queued messages that refer to a shared one', () => {
    fc.assert(
      fc.property(anyHeader, (header) => {
        assert.deepEqual(decodeQueued(encodeQueuedShared(header, messageId)), {
          ...header,
          content: messageId,
        });
      }),
    );
  });

  test('sessions, with and without will', () => {
    fc.assert(
      fc.property(anySession, (session) => {
        assert.deepEqual(decodeSession(encodeSession(session, sessionKey)), { session, key: sessionKey });
      }),
    );
  });

  test('subscriptions', () => {
    fc.assert(
      fc.property(anySubscription, (subscription) => {
        assert.deepEqual(decodeSubscription(encodeSubscription(subscription)), subscription);
      }),
    );
  });

  test('records larger than the first scratch space', () => {
    const topic = 'long/'.repeat(3000);
    const big = { ...fc.sample(anyMessage, 1)[0]!, topic, properties: Buffer.alloc(60_000, 7) };
    assert.deepEqual(decodeRetained(encodeRetained(big)), big);
  });
});

describe('what does not fit is refused', () => {
  const decoders: [string, (record: Uint8Array) => unknown, fc.Arbitrary<Buffer>][] = [
    ['retained', decodeRetained, anyMessage.map(encodeRetained)],
    ['queued', decodeQueued, fc.tuple(anyHeader, anyMessage).map(([a, b]) => encodeQueuedInline(a, b))],
    ['queued, shared', decodeQueued, anyHeader.map((header) => encodeQueuedShared(header, messageId))],
    ['session', decodeSession, anySession.map((session) => encodeSession(session, sessionKey))],
    ['subscription', decodeSubscription, anySubscription.map(encodeSubscription)],
  ];

  for (const [name, decode, anyRecord] of decoders) {
    test(`${name}: another layout, an empty record`, () => {
      const [record] = fc.sample(anyRecord, 1);
      record![0] = 2;
      assert.throws(() => decode(record!), DamagedRecordError);
      assert.throws(() => decode(Buffer.alloc(0)), DamagedRecordError);
    });

    test(`${name}: flipped bits and lost ends throw nothing else`, () => {
      fc.assert(
        fc.property(anyRecord, fc.nat(), fc.nat(), (record, bit, cut) => {
          const damaged = Buffer.from(
            record.subarray(0, record.length - (cut % 4 === 0 ? cut % record.length : 0)),
          );
          if (damaged.length > 0) damaged[(bit >> 3) % damaged.length]! ^= 1 << (bit & 7);
          try {
            decode(damaged);
          } catch (error) {
            assert.ok(error instanceof DamagedRecordError, `${error}`);
          }
        }),
        { numRuns: 500 },
      );
    });
  }
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { StoredMessage } from '../../../src/model/message.js';
import type { SessionRecord, SubscriptionRecord } from '../../../src/model/session-record.js';
import { Publication } from '../../../src/mqtt/publication.js';
import { decodeMessage, encodeMessage } from '../../../src/store/message-records.js';
import { DamagedRecordError } from '../../../src/store/record-bytes.js';
import {
  encodeQueue,
  type QueuedContent,
  type QueuedHeader,
  QueueReader,
  RecordSize,
  sharedIdsOf,
  withoutMissing,
} from '../../../src/store/sessions/queue-records.js';
import {
  decodeSession,
  decodeSubscription,
  encodeSession,
  encodeSubscription,
} from '../../../src/store/sessions/session-records.js';

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
  originListener: fc.oneof(fc.nat(99_999).map(String), anyText),
});

const anyHeader: fc.Arbitrary<Omit<QueuedHeader, 'sequence'>> = plain({
  state: fc.constantFrom(
    'queued',
    'awaiting PUBACK',
    'awaiting PUBREC',
    'awaiting PUBCOMP',
    'awaiting PUBREL',
  ),
  packetId: fc.integer({ min: 1, max: 0xffff }), // with 0, a message in flight is not rescued as it is
  qos: anyQos,
  retain: fc.boolean(),
  dup: fc.boolean(),
  subscriptionIds: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 5 }),
  payloadBytes: fc.nat(268_435_455),
});

const anySession: fc.Arbitrary<SessionRecord> = plain<Omit<SessionRecord, 'listener'>>({
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
}).chain((session) =>
  fc
    .option(anyText, { nil: undefined })
    .map((listener) => (listener === undefined ? session : { ...session, listener })),
);

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

const FIRST = 1_000_000;

interface Queued {
  header: QueuedHeader;
  content: StoredMessage | Buffer;
}

/** Messages that follow each other with gaps between them, some with the topic and publisher of the one before. */
const anyQueue: fc.Arbitrary<Queued[]> = fc
  .array(
    fc.record({
      header: anyHeader,
      gap: fc.nat(300),
      content: fc.oneof(anyMessage, fc.constant(messageId)),
      repeats: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  )
  .map((items) => {
    let sequence = FIRST;
    let before: StoredMessage | undefined;
    return items.map(({ header, gap, content, repeats }, index) => {
      sequence += index === 0 ? 0 : gap + 1;
      if (content instanceof Uint8Array) return { header: { ...header, sequence }, content };
      const message: StoredMessage =
        repeats && before !== undefined
          ? { ...before, payload: content.payload, expiresAt: content.expiresAt }
          : content;
      before = message;
      return { header: { ...header, sequence }, content: message };
    });
  });

function written({ header, content }: Queued): QueuedContent {
  return content instanceof Uint8Array
    ? { ...header, publication: new Publication(), sharedId: content }
    : { ...header, publication: Publication.fromStored(content), sharedId: null };
}

const encoded = (queue: Queued[]) => encodeQueue(queue.map(written), FIRST);

function decodeQueue(record: Uint8Array): Queued[] {
  const found: Queued[] = [];
  for (const reader = new QueueReader(record, FIRST); reader.next(); ) {
    const { sequence, state, packetId, qos, retain, dup, subscriptionIds, payloadBytes } = reader;
    const header = { sequence, state, packetId, qos, retain, dup, subscriptionIds, payloadBytes };
    const content = reader.content();
    found.push({ header, content: content instanceof Publication ? content.toStored() : content });
  }
  return found;
}

const encodeStored = (message: StoredMessage) => encodeMessage(Publication.fromStored(message));
const decodeStored = (record: Uint8Array) => decodeMessage(record).toStored();

describe('what is encoded is decoded', () => {
  test('retained messages', () => {
    fc.assert(
      fc.property(anyMessage, (message) => {
        assert.deepEqual(decodeStored(encodeStored(message)), message);
      }),
    );
  });

  test('queued messages, themselves or the ids of shared ones', () => {
    fc.assert(
      fc.property(anyQueue, (queue) => {
        assert.deepEqual(decodeQueue(encoded(queue)), queue);
      }),
    );
  });

  test('queued messages without their content', () => {
    fc.assert(
      fc.property(anyQueue, (queue) => {
        const reader = new QueueReader(encoded(queue), FIRST);
        for (const { header } of queue) {
          assert.ok(reader.next());
          assert.equal(reader.sequence, header.sequence);
          assert.equal(reader.payloadBytes, header.payloadBytes);
        }
        assert.equal(reader.next(), false);
      }),
    );
  });

  test('a record of one message, as layout 1 has it', () => {
    // flags, state, packet id, payload bytes, no identifiers; then flags, topic, client id, user name, no properties
    const record = Buffer.from([1, 1, 1, 0, 7, 2, 0, 1, 1, 0x74, 1, 0x63, 0, 0, 0x68, 0x69]);
    const [only, ...others] = decodeQueue(record);
    assert.deepEqual(others, []);
    assert.deepEqual(only!.header, {
      sequence: FIRST,
      state: 'awaiting PUBACK',
      packetId: 7,
      qos: 1,
      retain: false,
      dup: false,
      payloadBytes: 2,
      subscriptionIds: [],
    });
    const { topic, payload, originClientId } = only!.content as StoredMessage;
    assert.deepEqual([topic, Buffer.from(payload).toString(), originClientId], ['t', 'hi', 'c']);
  });

  test('what is said again is written once', () => {
    const message = {
      ...fc.sample(anyMessage, 1)[0]!,
      topic: 'topic/'.repeat(20),
      payload: Buffer.alloc(10),
    };
    const header = { ...fc.sample(anyHeader, 1)[0]!, sequence: FIRST, subscriptionIds: [] };
    const queue = Array.from({ length: 10 }, (_, i) => ({
      header: { ...header, sequence: FIRST + i },
      content: message,
    }));
    const alone = encoded(queue.slice(0, 1)).length;
    assert.ok(encoded(queue).length < 10 * alone - 9 * message.topic.length);
  });

  test('a record is not filled beyond its size, unless by one message', () => {
    fc.assert(
      fc.property(anyQueue, (queue) => {
        const size = new RecordSize();
        const taken: Queued[] = [];
        for (const queued of queue) {
          if (!size.add(written(queued))) break;
          taken.push(queued);
        }
        assert.ok(taken.length > 0);
        // Names count as characters where they are not ASCII: a little more than meant does no harm.
        if (taken.length > 1) assert.ok(encoded(taken).length <= 2000 + 8 * 80 * 3);
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
    assert.deepEqual(decodeStored(encodeStored(big)), big);
  });
});

describe('what does not fit is refused', () => {
  const decoders: [string, (record: Uint8Array) => unknown, fc.Arbitrary<Buffer>][] = [
    ['retained', decodeStored, anyMessage.map(encodeStored)],
    ['queued', decodeQueue, anyQueue.map(encoded)],
    ['session', decodeSession, anySession.map((session) => encodeSession(session, sessionKey))],
    ['subscription', decodeSubscription, anySubscription.map(encodeSubscription)],
  ];

  for (const [name, decode, anyRecord] of decoders) {
    test(`${name}: another layout, an empty record`, () => {
      const [record] = fc.sample(anyRecord, 1);
      record![0] = 3;
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

describe('the shared messages of a queue', () => {
  test('are found', () => {
    fc.assert(
      fc.property(anyQueue, (queue) => {
        const shared = queue.filter(({ content }) => content instanceof Uint8Array);
        assert.deepEqual(
          sharedIdsOf(encoded(queue), FIRST),
          shared.map(({ header: { sequence } }) => ({ sequence, id: messageId })),
        );
      }),
    );
  });

  test('are left out where they are missing', () => {
    fc.assert(
      fc.property(anyQueue, (queue) => {
        const left = queue.filter(({ content }) => !(content instanceof Uint8Array));
        const record = withoutMissing(encoded(queue), FIRST, () => true);
        assert.deepEqual(record === null ? [] : decodeQueue(record), left);
        assert.deepEqual(decodeQueue(withoutMissing(encoded(queue), FIRST, () => false)!), queue);
      }),
    );
  });
});

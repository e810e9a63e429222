import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OutgoingBuffer } from '../../../src/mqtt/outgoing-buffer.js';
import { Publication } from '../../../src/mqtt/publication.js';
import { packedRecords, packRecord, RecordFlag, unpackRecords } from '../../../src/routing/wire.js';
import { plain } from '../../support/packets/plain-packet.js';

const { retain, setRetained, deliver, group } = RecordFlag;

const record = fc.record({
  topic: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }),
  payload: fc.uint8Array({ maxLength: 300 }),
  qos: fc.constantFrom<0 | 1 | 2>(0, 1, 2),
  retain: fc.boolean(),
  properties: fc.uint8Array({ maxLength: 30 }),
  expiresAt: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  origin: fc.string({ unit: 'grapheme', maxLength: 10 }),
  originUsername: fc.string({ unit: 'grapheme', maxLength: 10 }),
  originListener: fc.constantFrom('', '1883', '/run/mosquitto.sock'),
  what: fc.constantFrom(deliver, setRetained, setRetained | deliver, group),
  groupName: fc.string({ unit: 'grapheme', maxLength: 10 }),
  asked: fc.integer(),
});

/** What the receiving worker is to see. */
function seen({ buffer, ...publication }: Publication, what: number, key: string, asked: number): unknown {
  const { topicStart, topicEnd, payloadStart, payloadEnd, properties, propertiesStart, propertiesEnd } =
    publication;
  const { qos, retain, expiresAt, origin, originUsername, originListener } = publication;
  return plain({
    topic: Buffer.from(buffer.subarray(topicStart, topicEnd)).toString(),
    payload: buffer.subarray(payloadStart, payloadEnd),
    properties: properties.subarray(propertiesStart, propertiesEnd),
    qos,
    retain,
    expiresAt,
    origin,
    originUsername,
    originListener,
    what: what & (setRetained | deliver | group),
    key,
    asked,
  });
}

test('records come out of a batch as they went in', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 20, size: 'max' }), (records) => {
      const batch: Buffer[] = [];
      const sink = {
        write: (chunk: Buffer, length: number) => {
          batch.push(Buffer.from(chunk.subarray(0, length)));
          return true;
        },
      };
      const out = new OutgoingBuffer(sink, { add: () => {} });
      const keyOf = ({ what, groupName }: (typeof records)[number]): string =>
        what === group ? `$share/${groupName}/#` : '';
      for (const one of records) packRecord(out, Publication.create(one), one.what, keyOf(one), one.asked);
      out.flush();
      const received: unknown[] = [];
      const into = new Publication();
      // A batch need not begin where its buffer begins.
      const bytes = new Uint8Array(Buffer.concat([Buffer.alloc(3), ...batch])).subarray(3);
      unpackRecords(bytes, into, (...record) => received.push(seen(...record)));
      const sent = records.map((one) => {
        // Only who sets the retained message needs to know the publisher.
        const publisher =
          (one.what & setRetained) !== 0 ? {} : { origin: '', originUsername: '', originListener: '' };
        return seen(
          Publication.create({ ...one, ...publisher }),
          one.what,
          keyOf(one),
          one.what === group ? one.asked : 0,
        );
      });
      assert.deepEqual(received, sent);
    }),
  );
});

test('an owned copy of a record stays what it was while the next one is read', () => {
  const messages = ['first', 'second'].map((topic) =>
    Publication.create({ topic, payload: Buffer.from(topic), qos: 1, retain: true }),
  );
  const owned: Publication[] = [];
  const records = packedRecords(messages, setRetained | deliver);
  unpackRecords(records, new Publication(), (publication) => owned.push(publication.toOwned()));
  records.fill(0);
  const payloads = owned.map((publication) => Buffer.from(publication.payload()).toString());
  assert.deepEqual(payloads, ['first', 'second']);
});

test('the flags of a record do not mix with those of its message', () => {
  const message = Publication.create({ topic: 't', payload: Buffer.alloc(0), qos: 2, retain: false });
  unpackRecords(packedRecords([message], setRetained), new Publication(), (publication, what) => {
    assert.deepEqual([publication.qos, publication.retain, what & (retain | deliver)], [2, false, 0]);
  });
});

test('a group key, an origin and a user name longer than two bytes can tell', () => {
  const key = `$share/${'g'.repeat(70_000)}/#`;
  const origin = 'o'.repeat(80_000);
  const publication = Publication.create({
    topic: 't',
    payload: Buffer.from('p'),
    qos: 1,
    retain: false,
    origin,
    originUsername: 'u'.repeat(90_000),
  });
  const batch: Buffer[] = [];
  const sink = {
    write: (chunk: Buffer, length: number) => batch.push(Buffer.from(chunk.subarray(0, length))) > 0,
  };
  const out = new OutgoingBuffer(sink, { add: () => {} });
  packRecord(out, publication, group | setRetained, key, 5);
  out.flush();
  const found: unknown[] = [];
  unpackRecords(Buffer.concat(batch), new Publication(), (...record) => found.push(seen(...record)));
  assert.deepEqual(found, [seen(publication, group | setRetained, key, 5)]);
});

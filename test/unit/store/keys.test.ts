import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  isCutKey,
  MESSAGE_ID_LENGTH,
  MessageIds,
  prefixEnd,
  queueKey,
  retainedKey,
  retainedTailKey,
  SEQUENCE_MAX,
  sequenceOf,
  sessionsKey,
  subscriptionKey,
  topicOfKey,
} from '../../../src/store/keys.js';

const LMDB_KEY_MAX = 1978;
const session = Buffer.from('abcdefgh');

test('queue keys sort by direction, then by sequence, and give the sequence back', () => {
  const sequences = [0, 1, 255, 256, 2 ** 32, SEQUENCE_MAX];
  const keys = sequences.map((sequence) => queueKey(session, 'outgoing', sequence));
  assert.deepEqual(keys.map(sequenceOf), sequences);
  assert.deepEqual(keys.toSorted(Buffer.compare), keys);
  assert.ok(queueKey(session, 'incoming', SEQUENCE_MAX).compare(keys[0]!) < 0);
});

test('names of any length have keys that LMDB takes, different ones for different names', () => {
  const names = [
    '',
    'a',
    'b',
    'x'.repeat(255),
    'x'.repeat(256),
    'x'.repeat(257),
    'ü'.repeat(200),
    'y'.repeat(65_535),
  ];
  for (const keyOf of [sessionsKey, (name: string) => subscriptionKey(session, name)]) {
    const keys = names.map(keyOf);
    assert.ok(keys.every((key) => key.length > 0 && key.length <= LMDB_KEY_MAX));
    assert.equal(new Set(keys.map((key) => key.toString('hex'))).size, names.length);
  }
});

test('message ids grow and never repeat between threads', () => {
  const [one, other] = [new MessageIds(), new MessageIds()];
  const [a, b, c] = [one.next(), one.next(), other.next()];
  assert.ok(a.compare(b) < 0);
  assert.notDeepEqual(a, c);
  assert.equal(a.length, MESSAGE_ID_LENGTH);
});

test('the end of a prefix is the first key after all that begin with it', () => {
  const anyBytes = fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes));
  const anyPrefix = anyBytes.filter((bytes) => bytes.some((byte) => byte !== 0xff));
  fc.assert(
    fc.property(anyPrefix, anyBytes, (prefix, other) => {
      const end = prefixEnd(prefix);
      assert.ok(Buffer.concat([prefix, other]).compare(end) < 0);
      const begins = other.subarray(0, prefix.length).equals(prefix);
      assert.equal(other.compare(prefix) >= 0 && other.compare(end) < 0, begins);
    }),
  );
});

describe('topics', () => {
  const anyLevel = fc.constantFrom('', 'a', 'b', 'ab', '$SYS', 'é', '\u0001', '温度', '😀');
  const anyTopic = fc.array(anyLevel, { minLength: 1, maxLength: 6 }).map((levels) => levels.join('/'));

  test('come back from both their keys', () => {
    fc.assert(
      fc.property(anyTopic, (topic) => {
        assert.equal(topicOfKey(retainedKey(topic), false), topic);
        assert.equal(topicOfKey(retainedTailKey(topic), true), topic);
      }),
    );
  });

  test('that are too long have cut keys, which differ all the same', () => {
    const long = (end: string) => `${'level/'.repeat(400)}${end}`;
    for (const keyOf of [retainedKey, retainedTailKey]) {
      const [a, b] = [keyOf(long('a')), keyOf(long('b'))];
      assert.ok(isCutKey(a) && a.length <= LMDB_KEY_MAX);
      assert.notDeepEqual(a, b);
    }
    assert.ok(!isCutKey(retainedKey('x'.repeat(1899))));
    assert.ok(isCutKey(retainedKey('x'.repeat(1900))));
    assert.ok(retainedKey('x'.repeat(65_535)).length <= LMDB_KEY_MAX);
  });

  test('below one level stand together', () => {
    const topics = ['a', 'a/b', 'a/b/c', 'a/b/d', 'a/b\u0001/c', 'a/bb/c', 'a/c/a', 'ab/b/c'];
    const sorted = topics.toSorted((x, y) => retainedKey(x).compare(retainedKey(y)));
    assert.deepEqual(sorted, ['a', 'a/b', 'a/b/c', 'a/b/d', 'a/b\u0001/c', 'a/bb/c', 'a/c/a', 'ab/b/c']);
  });
});

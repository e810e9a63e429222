import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { topicMatchesFilter } from '../../../src/topic/topic-filter.js';
import { TopicTrie } from '../../../src/topic/topic-trie.js';
import { fewFilter, fewTopic } from '../../support/packets/topic-arbitraries.js';

function matches(trie: TopicTrie<string>, topic: string): string[] {
  const found: string[] = [];
  trie.match(topic, (value) => found.push(value));
  return found;
}

function trieOf(filters: Iterable<string>): TopicTrie<string> {
  const trie = new TopicTrie<string>();
  for (const filter of filters) trie.set(filter, filter);
  return trie;
}

describe('the tree of filters', () => {
  test('finds what goes through both texts would find, each once', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fewFilter, { maxLength: 30, size: 'max' }), fewTopic, (filters, topic) => {
        const expected = filters.filter((filter) => topicMatchesFilter(topic, filter));
        assert.deepEqual(matches(trieOf(filters), topic).sort(), expected.sort());
      }),
      { numRuns: 1000 },
    );
  });

  test('is a map from filters to values', () => {
    const change = fc.tuple(fewFilter, fc.boolean());
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60, size: 'max' }), (changes) => {
        const trie = new TopicTrie<number>();
        const model = new Map<string, number>();
        for (const [i, [filter, set]] of changes.entries()) {
          if (set) {
            trie.set(filter, i);
            model.set(filter, i);
          } else {
            assert.equal(trie.delete(filter), model.delete(filter));
          }
          assert.equal(trie.get(filter), model.get(filter));
          assert.equal(trie.size, model.size);
        }
        assert.deepEqual([...trie.values()].sort(), [...model.values()].sort());
      }),
    );
  });

  test('gives the literal level first, then +, then # [mosq: allow_duplicate_messages]', () => {
    const inOrder = ['a/b', 'a/b/#', 'a/+', 'a/+/#', 'a/#', '+/b', '+/b/#', '+/+', '+/#', '#'];
    assert.deepEqual(matches(trieOf(inOrder.toReversed()), 'a/b'), inOrder);
  });

  // biome-ignore format: one topic a line
  const rows: [name: string, topic: string, filters: string[]][] = [
    ['a/# matches its parent level', 'a', ['a', 'a/#', '+', '+/#', '#']],
    ['an empty level is a level', '/a', ['/a', '/a/#', '/+', '/#', '+/a', '+/+', '+/#', '#']],
    ['[MQTT-4.7.2-1] leading wildcards do not match $', '$SYS/a', ['$SYS/a', '$SYS/+', '$SYS/#']],
    ['[MQTT-4.7.2-1] nor a topic of one level', '$SYS', ['$SYS/#']],
    ['$ within a topic is a character like any other', 'a/$b', ['a/+', 'a/#', '+/+', '+/#', '#']],
  ];
  const all = ['a', 'a/#', '+', '+/#', '#', '/a', '/a/#', '/+', '/#', '+/a', '+/+', 'a/+'];
  const filters = [...all, '$SYS/a', '$SYS/+', '$SYS/#'];
  for (const [name, topic, expected] of rows) {
    test(name, () => assert.deepEqual(matches(trieOf(filters), topic).sort(), expected.sort()));
  }

  test('forgets the branches of what was removed', () => {
    const filters = ['a', 'a/b/c/d', 'a/b/+/d', 'a/+/#', '#', '+', 'x/y/#'];
    const trie = trieOf(filters);
    // With the last filter the tree asserts that no branch is left.
    for (const filter of filters) assert.ok(trie.delete(filter));
    assert.equal(trie.size, 0);
  });

  test('lists half a million filters below one node', () => {
    const trie = new TopicTrie<number>();
    for (let i = 0; i < 500_000; i += 1) trie.set(`a/${i}`, i);
    let sum = 0;
    for (const value of trie.values()) sum += value;
    assert.equal(sum, (500_000 * 499_999) / 2);
  });
});

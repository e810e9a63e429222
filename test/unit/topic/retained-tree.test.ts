import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Publication } from '../../../src/mqtt/publication.js';
import { RetainedTree } from '../../../src/topic/retained-tree.js';
import { topicMatchesFilter } from '../../../src/topic/topic-filter.js';
import { fewFilter, fewTopic } from '../../support/packets/topic-arbitraries.js';

function message(topic: string, payload = ''): Publication {
  return Publication.create({ topic, payload: Buffer.from(payload), qos: 0, retain: true });
}

function treeOf(topics: Iterable<string>): RetainedTree<Publication> {
  const tree = new RetainedTree<Publication>();
  for (const topic of topics) tree.set(message(topic, topic));
  return tree;
}

function matches(tree: RetainedTree<Publication>, filter: string): string[] {
  const found: string[] = [];
  tree.match(filter, ({ topic }) => found.push(topic));
  return found;
}

describe('the tree of retained messages', () => {
  test('finds what going through all topics would find, each once', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fewTopic, { maxLength: 30, size: 'max' }), fewFilter, (topics, filter) => {
        const expected = topics.filter((topic) => topicMatchesFilter(topic, filter));
        assert.deepEqual(matches(treeOf(topics), filter).sort(), expected.sort());
      }),
      { numRuns: 1000 },
    );
  });

  test('is a map from topics to messages, and counts their bytes', () => {
    const change = fc.tuple(fewTopic, fc.option(fc.string({ minLength: 1, maxLength: 10 })));
    fc.assert(
      fc.property(fc.array(change, { maxLength: 60, size: 'max' }), (changes) => {
        const tree = new RetainedTree<Publication>();
        const model = new Map<string, Publication>();
        for (const [topic, payload] of changes) {
          if (payload === null) {
            assert.equal(tree.delete(topic), model.delete(topic));
          } else {
            const set = message(topic, payload);
            tree.set(set);
            model.set(topic, set);
          }
          assert.equal(tree.get(topic), model.get(topic));
          assert.equal(tree.size, model.size);
        }
        const bytes = [...model.values()].reduce((sum, { payloadLength }) => sum + payloadLength, 0);
        assert.equal(tree.bytes, bytes);
        const found: Publication[] = [];
        tree.all((one) => found.push(one));
        assert.deepEqual(new Set(found), new Set(model.values()));
      }),
    );
  });

  test('goes depth first, siblings in the order in which they were created [mosq: retained messages]', () => {
    const tree = treeOf(['c', 'a/2', 'b', 'a/1', 'a']);
    tree.set(message('c', 'again'));
    assert.deepEqual(matches(tree, '#'), ['c', 'a', 'a/2', 'a/1', 'b']);
    assert.deepEqual(matches(tree, 'a/#'), ['a', 'a/2', 'a/1']);
    assert.deepEqual(matches(tree, '+'), ['c', 'a', 'b']);
  });

  test('[MQTT-4.7.2-1] a leading wildcard finds nothing below $', () => {
    const tree = treeOf(['$SYS/a', 'a', 'x/$y']);
    assert.deepEqual(matches(tree, '#'), ['a', 'x/$y']);
    assert.deepEqual(matches(tree, '+/+'), ['x/$y']);
    assert.deepEqual(matches(tree, '$SYS/#'), ['$SYS/a']);
  });

  test('forgets the branches of what was removed', () => {
    const topics = ['a', 'a/b/c/d', 'a/b', '/', '//', 'x/y'];
    const tree = treeOf(topics);
    // With the last message the tree asserts that no branch is left.
    for (const topic of topics) assert.ok(tree.delete(topic));
    assert.equal(tree.bytes, 0);
  });
});

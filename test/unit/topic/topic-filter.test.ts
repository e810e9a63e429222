import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  isValidTopicFilter,
  parseSharedFilter,
  topicMatchesFilter,
} from '../../../src/topic/topic-filter.js';
import { isValidTopicNameText } from '../../../src/topic/topic-name.js';

describe('topic filters', () => {
  const valid = [
    '#',
    '+',
    '/',
    '+/+',
    '/+',
    '+/',
    'a/#',
    '/#',
    '+/#',
    'a/+/b',
    'a//#',
    '$SYS/#',
    `${'/'.repeat(199)}/#`,
  ];
  for (const filter of valid)
    test(`valid: ${filter.slice(-20)}`, () => assert.ok(isValidTopicFilter(filter)));

  const invalid: [statement: string, filter: string][] = [
    ['[MQTT-4.7.3-1]', ''],
    ['[MQTT-4.7.3-2]', 'a\0'],
    ['[MQTT-4.7.3-3]', 'a'.repeat(65_536)],
    ['[MQTT-1.5.4-1]', '\ud800'],
    ['[MQTT-4.7.1-1]', '#/'],
    ['[MQTT-4.7.1-1]', '#/a'],
    ['[MQTT-4.7.1-1]', 'a#'],
    ['[MQTT-4.7.1-1]', 'a/#b'],
    ['[MQTT-4.7.1-1]', '##'],
    ['[MQTT-4.7.1-1]', '+#'],
    ['[MQTT-4.7.1-2]', 'a+'],
    ['[MQTT-4.7.1-2]', '+a'],
    ['[MQTT-4.7.1-2]', '++'],
    ['[MQTT-4.7.1-2]', 'a/b+/c'],
    ['[mosq: topics]', '/'.repeat(201)],
  ];
  for (const [statement, filter] of invalid) {
    test(`${statement} invalid: ${JSON.stringify(filter.slice(0, 20))}`, () =>
      assert.ok(!isValidTopicFilter(filter)));
  }

  test('every topic name is a topic filter', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (isValidTopicNameText(text)) assert.ok(isValidTopicFilter(text));
      }),
    );
  });
});

describe('shared subscriptions', () => {
  const rows: [text: string, parsed: ReturnType<typeof parseSharedFilter>][] = [
    ['$share/g/a', { group: 'g', filter: 'a' }],
    ['$share/g/a/+/#', { group: 'g', filter: 'a/+/#' }],
    ['$share/g//', { group: 'g', filter: '/' }],
    ['$share/g//a', { group: 'g', filter: '/a' }],
    ['$share//a', { group: '', filter: 'a' }],
    ['$share', 'invalid'],
    ['$share/', 'invalid'],
    ['$share/g', 'invalid'],
    ['$share/g/', 'invalid'],
    ['$share//', 'invalid'],
    ['$share/+/a', 'invalid'],
    ['$share/#', 'invalid'],
    ['$share/g+/a', 'invalid'],
    ['$share/g/a#', 'invalid'],
    ['a', undefined],
    ['$shared/g/a', undefined],
    ['$SHARE/g/a', undefined],
    ['/$share/g/a', undefined],
    ['#', undefined],
  ];
  for (const [text, parsed] of rows) {
    test(`[MQTT-4.8.2-1] [MQTT-4.8.2-2] ${text}`, () => assert.deepEqual(parseSharedFilter(text), parsed));
  }
});

describe('matching', () => {
  const rows: [filter: string, matches: string[], others: string[]][] = [
    ['a/b', ['a/b'], ['a', 'a/b/', '/a/b', 'a/b/c', 'A/b']],
    ['#', ['a', 'a/b', '/', '/a'], ['$SYS', '$SYS/a', '$']],
    ['+', ['a'], ['a/b', '/', '/a', 'a/', '$SYS']],
    ['+/+', ['/', 'a/b', '/a', 'a/'], ['a', 'a/b/c', '$SYS/a']],
    ['/+', ['/a', '/'], ['a', '//', '/a/b']],
    ['/#', ['/', '/a', '//'], ['a', 'a/']],
    ['a/#', ['a', 'a/', 'a/b', 'a/b/c'], ['ab', 'b', '/a']],
    ['a/+', ['a/', 'a/b'], ['a', 'a/b/c', 'b/a']],
    ['a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/d', 'a/b/c/d']],
    ['+/#', ['a', 'a/b', '/', '//'], ['$SYS', '$SYS/a']],
    ['a/+/#', ['a/b', 'a/', 'a/b/c'], ['a']],
    ['$SYS/#', ['$SYS', '$SYS/a'], ['SYS/a', '$SYSa']],
    ['$SYS/+', ['$SYS/a', '$SYS/'], ['$SYS', '$SYS/a/b']],
    ['a/$SYS', ['a/$SYS'], []],
    ['a/+', ['a/$SYS'], []],
  ];
  for (const [filter, matches, others] of rows) {
    test(filter, () => {
      for (const topic of matches) assert.ok(topicMatchesFilter(topic, filter), `matches ${topic}`);
      for (const topic of others) assert.ok(!topicMatchesFilter(topic, filter), `does not match ${topic}`);
    });
  }

  /** The rules of 4.7.1 written as a regular expression: another way to the same answer. */
  function asRegExp(filter: string): RegExp {
    const levels = filter.split('/').map((level) => {
      if (level === '+') return '[^/]*';
      return level === '#' ? '#' : level.replaceAll(/[^\w]/g, '\\$&');
    });
    const pattern = levels.join('/').replace(/\/#$/, '(?:/.*)?').replace(/^#$/, '.*');
    return new RegExp(`^${pattern}$`, 's');
  }

  test('as a regular expression sees it', () => {
    const level = fc.constantFrom('', 'a', 'b', '$a');
    const topics = fc.array(level, { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'));
    const filters = fc
      .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 5 }), fc.boolean())
      .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'));
    fc.assert(
      fc.property(topics, filters, (topic, filter) => {
        fc.pre(topic !== '' && filter !== '');
        const hidden = topic.startsWith('$') && !filter.startsWith('$'); // [MQTT-4.7.2-1]
        assert.equal(topicMatchesFilter(topic, filter), !hidden && asRegExp(filter).test(topic));
      }),
      { numRuns: 2000 },
    );
  });
});

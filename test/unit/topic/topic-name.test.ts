import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isValidTopicName, isValidTopicNameText } from '../../../src/topic/topic-name.js';

function isValid(topic: string): boolean {
  const bytes = Buffer.from(`+${topic}+`);
  const valid = isValidTopicName(bytes, 1, bytes.length - 1);
  assert.equal(isValidTopicNameText(topic), valid, 'bytes and text disagree');
  return valid;
}

describe('topic names', () => {
  const valid = [
    'a',
    '/',
    '//',
    '/a',
    'a/',
    'a//b',
    ' ',
    '$SYS/broker',
    '$share/g/a',
    'Zähler/€/😀',
    '\ufeffa',
    '/'.repeat(200),
    'a'.repeat(65_535),
    'é'.repeat(32_767),
  ];
  for (const topic of valid) {
    test(`valid: ${topic.slice(0, 20)} (${topic.length})`, () => assert.ok(isValid(topic)));
  }

  const invalid: [statement: string, topic: string][] = [
    ['[MQTT-4.7.3-1]', ''],
    ['[MQTT-3.3.2-2]', '+'],
    ['[MQTT-3.3.2-2]', '#'],
    ['[MQTT-3.3.2-2]', 'a+b'],
    ['[MQTT-3.3.2-2]', 'a/#'],
    ['[MQTT-4.7.3-2]', 'a\0b'],
    ['[MQTT-4.7.3-3]', 'a'.repeat(65_536)],
    ['[MQTT-4.7.3-3]', 'é'.repeat(32_768)],
    ['[mosq: topics]', '/'.repeat(201)],
    ['[mosq: topics]', `é${'/'.repeat(201)}`],
  ];
  for (const [statement, topic] of invalid) {
    test(`${statement} invalid: ${JSON.stringify(topic.slice(0, 20))} (${topic.length})`, () =>
      assert.ok(!isValid(topic)));
  }

  test('[MQTT-1.5.4-1] bytes that are no UTF-8', () => {
    assert.ok(!isValidTopicName(Uint8Array.of(0x61, 0xff), 0, 2));
    assert.ok(!isValidTopicName(Uint8Array.of(0xed, 0xa0, 0x80), 0, 3));
  });

  test('[MQTT-1.5.4-1] text with half a character', () => {
    assert.ok(!isValidTopicNameText('a\ud800'));
    assert.ok(!isValidTopicNameText('\udc00a'));
  });
});

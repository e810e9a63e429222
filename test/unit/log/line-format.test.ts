import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { cutToBytes, harmless, LINE_BYTES_MAX, timestampPrefix } from '../../../src/log/line-format.js';

describe('harmless', () => {
  const cases: [what: string, text: string, expected: string][] = [
    ['plain text', 'Client sensor-1 disconnected.', 'Client sensor-1 disconnected.'],
    ['a newline that would forge a line', 'a\n1700000000: b', 'a\\x0a1700000000: b'],
    ['a carriage return', 'a\rb', 'a\\x0db'],
    ['a terminal escape', '\x1b[31mred', '\\x1b[31mred'],
    ['the one-byte terminal escape', '\x9b31m', '\\x9b31m'],
    ['NUL and DEL', '\0\x7f', '\\x00\\x7f'],
    ["Unicode's line ends", '\u2028\u2029', '\\u2028\\u2029'],
    ["the tab of Mosquitto's own lines", '\ta/b (QoS 1)', '\ta/b (QoS 1)'],
    ['letters of all languages', 'Füße 温度 🌡', 'Füße 温度 🌡'],
  ];
  for (const [what, text, expected] of cases) {
    test(what, () => assert.equal(harmless(text), expected));
  }
});

describe('cutToBytes', () => {
  test('never more bytes than allowed, never half a character, and no less than possible', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', maxLength: 60 }),
        fc.integer({ min: 4, max: 80 }),
        (text, bytesMax) => {
          const cut = cutToBytes(text, bytesMax);
          assert.ok(text.startsWith(cut));
          assert.ok(Buffer.byteLength(cut) <= bytesMax);
          const next = [...text.slice(cut.length)][0] ?? '';
          if (next !== '') assert.ok(Buffer.byteLength(cut + next) > bytesMax, 'another character had room');
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a text of exactly the length stays whole', () => {
    assert.equal(cutToBytes('é'.repeat(500), LINE_BYTES_MAX).length, 500);
    assert.equal(cutToBytes('é'.repeat(501), LINE_BYTES_MAX).length, 500);
  });
});

describe('timestampPrefix', () => {
  const time = Date.UTC(2023, 10, 14, 22, 13, 20, 999);
  const prefix = (logTimestamp: boolean, logTimestampFormat?: string) =>
    timestampPrefix({ logTimestamp, logTimestampFormat })(time);

  test('whole seconds since 1970', () => assert.equal(prefix(true), '1700000000: '));
  test('nothing without log_timestamp', () => assert.equal(prefix(false, '%Y'), ''));
  test('log_timestamp_format in local time', (t) => {
    const zone = process.env.TZ;
    t.after(() => {
      if (zone === undefined) delete process.env.TZ;
      else process.env.TZ = zone;
    });
    process.env.TZ = 'Asia/Kolkata';
    assert.equal(prefix(true, '%Y-%m-%dT%H:%M:%S'), '2023-11-15T03:43:20: ');
  });
  test('a format that says nothing', () => assert.equal(prefix(true, ''), 'Time error: '));
  test('a line end in the format breaks no line', () => assert.equal(prefix(true, '%Y%n'), '2023\\x0a: '));
  test('follows the clock, forwards and back', () => {
    const at = timestampPrefix({ logTimestamp: true, logTimestampFormat: undefined });
    const seconds = [1_700_000_000_000, 1_700_000_000_500, 1_700_000_001_000, 1_600_000_000_000];
    assert.deepEqual(seconds.map(at), ['1700000000: ', '1700000000: ', '1700000001: ', '1600000000: ']);
  });
});

/** Numbers, lines and guesses: the small parts of reading a configuration. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { leadingInteger, parseInteger } from '../../../src/config/integer.js';
import { configLines, trimSpace } from '../../../src/config/lexer.js';
import { editDistance, nearestWord } from '../../../src/config/nearest-word.js';
import { optionNames } from '../../../src/config/option-schema.js';
import { load } from './config-support.js';

describe('parseInteger reads what strtol with base 0 reads', () => {
  const cases: readonly (readonly [word: string, value: number | string])[] = [
    ['0', 0],
    ['-0', 0],
    ['42', 42],
    ['+42', 42],
    ['-42', -42],
    ['0x1F', 31],
    ['-0X1f', -31],
    ['017', 15],
    ['00', 0],
    ['2147483647', 2147483647],
    ['-2147483648', -2147483648],
    ['2147483648', 'out of range'],
    ['-2147483649', 'out of range'],
    ['99999999999999999999999', 'out of range'],
    ['', 'not a number'],
    ['-', 'not a number'],
    ['0x', 'not a number'],
    ['08', 'not a number'],
    ['1e3', 'not a number'],
    ['1.0', 'not a number'],
    ['12a', 'not a number'],
    ['--1', 'not a number'],
    ['١', 'not a number'],
  ];
  for (const [word, value] of cases) {
    test(JSON.stringify(word), () => assert.equal(parseInteger(word), value));
  }

  test('numbers beyond 32 bits where they are allowed', () => {
    assert.equal(parseInteger('4294967296', Number.MAX_SAFE_INTEGER), 4294967296);
    assert.equal(parseInteger('9007199254740992', Number.MAX_SAFE_INTEGER), 'out of range');
  });

  test('every 32-bit number, in each of its spellings', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0 }), (value) => {
        assert.equal(parseInteger(String(value)), value);
        assert.equal(parseInteger(`0x${value.toString(16)}`), value);
        assert.equal(parseInteger(`0${value.toString(8)}`), value);
      }),
    );
  });
});

test('leadingInteger takes the number at the beginning, or 0', () => {
  for (const [word, value] of [
    ['12', 12],
    ['12s', 12],
    ['-3', -3],
    ['abc', 0],
    ['', 0],
    ['0x10', 0],
    ['99999999999', 2147483647],
  ] as const) {
    assert.equal(leadingInteger(word), value, word);
  }
});

describe('configLines', () => {
  test('numbers lines as an editor does', () => {
    const lines = configLines(Buffer.from('# one\n\na 1\r\n\n  b   2 \n#\nc'));
    assert.deepEqual(
      lines.map(({ number, name, rest }) => [number, name, rest]),
      [
        [3, 'a', '1'],
        [5, 'b', '  2 '],
        [7, 'c', ''],
      ],
    );
  });

  test('marks control characters and broken UTF-8 in a value, not around it', () => {
    const isMalformed = (text: string, encoding: BufferEncoding = 'utf8') =>
      configLines(Buffer.from(text, encoding))[0]?.malformed;
    assert.equal(isMalformed('a b\tc'), true);
    assert.equal(isMalformed('a b\u0000c'), true);
    assert.equal(isMalformed('a b\u0085c'), true);
    assert.equal(isMalformed('a caf\xe9', 'latin1'), true);
    assert.equal(isMalformed('a café\t'), false);
  });

  test('takes any bytes, and no bytes make loading throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) =>
        assert.ok(Array.isArray(load(bytes).messages)),
      ),
    );
  });

  test('no line of known words makes loading throw', () => {
    const word = fc.oneof(
      fc.constantFrom(...optionNames),
      fc.string({ maxLength: 8 }),
      fc.constantFrom('true', '1', '"', '#', '""'),
    );
    const line = fc.array(word, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(' '));
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
        const result = load(lines.join('\n'));
        assert.equal(result.ok, !result.messages.some(({ type }) => type === 'error'));
      }),
    );
  });
});

test('trimSpace takes the spaces of C away, not those of Unicode', () => {
  assert.equal(trimSpace(' \t\r\v\fa b\u00a0 \n'), 'a b\u00a0');
});

describe('nearestWord', () => {
  const cases: readonly (readonly [written: string, meant: string | undefined])[] = [
    ['max_queued_message', 'max_queued_messages'],
    ['max-queued-messages', 'max_queued_messages'],
    ['MAX_QUEUED_MESSAGES', 'max_queued_messages'],
    ['persistance', 'persistence'],
    ['lsitener', 'listener'],
    ['alow_anonymus', 'allow_anonymous'],
    ['pasword_file', 'password_file'],
    ['connection_msg', undefined],
    ['foo', undefined],
    ['x', undefined],
    ['', undefined],
  ];
  for (const [written, meant] of cases) {
    test(JSON.stringify(written), () => assert.equal(nearestWord(written, optionNames), meant));
  }

  test('the only word that begins so is meant', () => {
    assert.equal(nearestWord('info', ['information', 'internal']), 'information');
    assert.equal(nearestWord('in', ['information', 'debug']), undefined);
  });
});

test('editDistance is a distance', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
  fc.assert(
    fc.property(word, word, (one, other) => {
      const distance = editDistance(one, other);
      assert.equal(distance, editDistance(other, one));
      assert.equal(distance === 0, one === other);
      assert.ok(distance <= Math.max(one.length, other.length));
      assert.ok(distance >= Math.abs(one.length - other.length));
    }),
  );
  assert.equal(editDistance('listener', 'lsitener'), 1);
  assert.equal(editDistance('topic', 'toppic'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});

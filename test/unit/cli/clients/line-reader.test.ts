import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LineReader } from '../../../../src/cli/clients/line-reader.js';

function linesOf(chunks: readonly Uint8Array[]): string[] {
  const reader = new LineReader();
  const lines: string[] = [];
  const takeAll = () => {
    for (let line = reader.next(); line !== undefined; line = reader.next())
      lines.push(line.toString('latin1'));
  };
  for (const chunk of chunks) {
    reader.add(Buffer.from(chunk));
    takeAll();
  }
  reader.end();
  takeAll();
  assert.equal(reader.hasLine, false);
  return lines;
}

const bytes = (text: string) => Buffer.from(text, 'latin1');

test('lines', () => {
  const rows: [input: string[], lines: string[]][] = [
    [[], []],
    [['a\n'], ['a']],
    [['a'], ['a']],
    [['\n\n'], ['', '']],
    [['a\n\nb'], ['a', '', 'b']],
    [['a\r\nb\n'], ['a\r', 'b']],
    [['a\0b\nc\0'], ['a\0b', 'c\0']],
    [
      ['a', 'b', 'c\nd'],
      ['abc', 'd'],
    ],
    [
      ['a\n', '\n'],
      ['a', ''],
    ],
    [['', 'a', ''], ['a']],
    [
      ['\n', 'x'],
      ['', 'x'],
    ],
  ];
  for (const [input, lines] of rows)
    assert.deepEqual(linesOf(input.map(bytes)), lines, JSON.stringify(input));
});

test('however the input is cut, the lines are the same', () => {
  const text = fc
    .array(fc.constantFrom('a', '\n', 'é', '\r'), { maxLength: 30 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(text, fc.array(fc.nat(30)), (input, cuts) => {
      const whole = Buffer.from(input);
      const at = [0, ...cuts.map((cut) => Math.min(cut, whole.length)).sort((a, b) => a - b), whole.length];
      const chunks = at.slice(1).map((end, index) => whole.subarray(at[index], end));
      const expected = whole.toString('latin1').split('\n');
      if (expected.at(-1) === '') expected.pop();
      assert.deepEqual(linesOf(chunks), expected);
    }),
  );
});

test('bytes of lines taken are counted with their newlines', () => {
  const reader = new LineReader();
  reader.add(bytes('abc\nde\nf'));
  reader.next();
  assert.equal(reader.bytesTaken, 4);
  reader.next();
  assert.equal(reader.bytesTaken, 7);
  assert.equal(reader.next(), undefined);
  assert.equal(reader.bytesTaken, 7);
});

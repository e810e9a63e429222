/** DER, and what only looks like it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { DerError, DerReader, Tag } from '../../../src/net/der.js';

const reader = (...bytes: number[]) => new DerReader(Uint8Array.from(bytes));
const timeOf = (text: string) => reader(Tag.generalizedTime, text.length, ...Buffer.from(text)).time();

test('elements, one after the other and one in the other', () => {
  const outer = reader(0x30, 6, 0x02, 1, 5, 0x04, 1, 9, 0x05, 0);
  const inner = outer.enter(Tag.sequence);
  assert.deepEqual([...inner.element(Tag.integer)], [0x02, 1, 5]);
  assert.equal(inner.enterOptional(0xa0), undefined);
  assert.deepEqual([...inner.content(Tag.octetString)], [9]);
  inner.finish();
  assert.throws(() => outer.finish(), DerError);
});

test('long forms of a length', () => {
  for (const length of [0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000]) {
    const digits = length < 0x80 ? [] : [...Buffer.from(length.toString(16).padStart(6, '0'), 'hex')];
    while (digits[0] === 0) digits.shift();
    const header = length < 0x80 ? [length] : [0x80 + digits.length, ...digits];
    const bytes = new Uint8Array(2 + digits.length + length);
    bytes.set([0x04, ...header]);
    assert.equal(new DerReader(bytes).content(Tag.octetString).length, length);
  }
});

test('times', () => {
  assert.equal(timeOf('20260229120000Z'.replace('0229', '0228')), Date.UTC(2026, 1, 28, 12));
  for (const text of ['20261301000000Z', '20260101000000', '202601010000Z', '20260101000000.5Z', 'x']) {
    assert.throws(() => timeOf(text), DerError, text);
  }
});

describe('what is not DER', () => {
  const rows: readonly (readonly [name: string, bytes: readonly number[]])[] = [
    ['nothing', []],
    ['another tag', [0x02, 0]],
    ['no length', [0x04]],
    ['a length that is not there', [0x04, 0x81]],
    ['an indefinite length', [0x04, 0x80, 0, 0]],
    ['a length in more bytes than it takes', [0x04, 0x81, 1, 7]],
    ['a length with a zero before it', [0x04, 0x82, 0, 0x80, ...new Array(0x80).fill(0)]],
    ['a length of four bytes', [0x04, 0x84, 1, 0, 0, 0]],
    ['a length beyond the end', [0x04, 2, 1]],
  ];
  for (const [name, bytes] of rows) {
    test(name, () => assert.throws(() => reader(...bytes).content(Tag.octetString), DerError));
  }

  test('a tag of several bytes', () => {
    assert.throws(() => reader(0x3f, 0x81, 0x01, 0).content(0x3f), DerError);
  });

  test('a bit string of half a byte', () => {
    assert.throws(() => reader(0x03, 2, 4, 0xf0).bits(), DerError);
    assert.throws(() => reader(0x03, 0).bits(), DerError);
  });
});

test('whatever the bytes, an element lies within them or there is a DerError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const all = new DerReader(bytes);
      try {
        while (!all.isAtEnd) assert.ok(all.element(all.nextTag!).length >= 2);
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
  );
});

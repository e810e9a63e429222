import assert from 'node:assert/strict';
import { test } from 'node:test';
import { foreignEncoding } from '../../../src/base/foreign-encoding.js';

const TEXT = 'listener 1883\n# für alle\n';

const utf16 = (mark: string, order: 'le' | 'be'): Buffer => {
  const bytes = Buffer.from(`${mark}${TEXT}`, 'utf16le');
  return order === 'le' ? bytes : bytes.swap16();
};

function utf32(order: 'le' | 'be'): Buffer {
  const bytes = Buffer.alloc(4 * (TEXT.length + 1));
  [...`\ufeff${TEXT}`].forEach((character, i) => {
    bytes.writeUInt32LE(character.codePointAt(0)!, 4 * i);
  });
  return order === 'le' ? bytes : bytes.swap32();
}

test('encodings are told from UTF-8', () => {
  for (const order of ['le', 'be'] as const) {
    assert.equal(foreignEncoding(utf16('\ufeff', order)), 'UTF-16', order);
    assert.equal(foreignEncoding(utf16('', order)), 'UTF-16', order);
    assert.equal(foreignEncoding(utf32(order)), 'UTF-32', order);
  }
});

test('everything else may be UTF-8', () => {
  const rows = ['', '\n', 'a', TEXT, `\ufeff${TEXT}`, 'listener\0 1883', '\0'.repeat(3)];
  for (const text of rows) assert.equal(foreignEncoding(Buffer.from(text)), null, JSON.stringify(text));
  assert.equal(foreignEncoding(Buffer.from(TEXT, 'latin1')), null);
});

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeUtf8, isPlainUtf8, isValidUtf8 } from '../../../src/base/utf8.js';
import { bytes } from '../../support/packets/packet-bytes.js';

/** Another decoder's opinion; MQTT forbids U+0000 besides. */
function isValidForAnother(data: Uint8Array): boolean {
  return isUtf8(data) && !data.includes(0);
}

describe('UTF-8', () => {
  // biome-ignore format: one text a line
  const rows: [name: string, hex: string, valid: boolean][] = [
    ['nothing', '', true],
    ['ASCII', "'MQTT'", true],
    ['a control character', '01 1f 7f', true],
    ['[MQTT-1.5.4-2] U+0000', "'a' 00", false],
    ['[MQTT-1.5.4-2] U+0000 in two bytes', 'c080', false],
    ['the first and the last of two bytes', 'c280 dfbf', true],
    ['the first of three bytes', 'e0a080', true],
    ['the last before the surrogates', 'ed9fbf', true],
    ['[MQTT-1.5.4-1] the first surrogate', 'eda080', false],
    ['[MQTT-1.5.4-1] the last surrogate', 'edbfbf', false],
    ['[MQTT-1.5.4-1] a pair of surrogates', 'eda081edb080', false],
    ['the first after the surrogates', 'ee8080', true],
    ['[MQTT-1.5.4-3] a byte order mark', 'efbbbf', true],
    ['U+FFFE and U+FFFF', 'efbfbe efbfbf', true],
    ['the first and the last of four bytes', 'f0908080 f48fbfbf', true],
    ['above U+10FFFF', 'f4908080', false],
    ['four bytes from F5', 'f5808080', false],
    ['five bytes', 'f888808080', false],
    ['FE and FF', 'fe', false],
    ['overlong in two bytes', 'c1bf', false],
    ['overlong in three bytes', 'e09fbf', false],
    ['overlong in four bytes', 'f08fbfbf', false],
    ['a byte that only continues', '80', false],
    ['cut off after one of two', 'c3', false],
    ['cut off after two of three', "'a' e282", false],
    ['cut off after three of four', 'f09f98', false],
    ['not continued', "e2 28 'a'", false],
    ['not continued at the end', "f09f98 'a'", false],
  ];
  for (const [name, hex, valid] of rows) {
    test(`${name}: ${valid ? 'valid' : 'invalid'}`, () => {
      const data = bytes(hex);
      assert.equal(isValidUtf8(data, 0, data.length), valid);
      assert.equal(isValidForAnother(data), valid);
    });
  }

  test('every sequence of two bytes, and of a lead and three more, as another decoder sees it', () => {
    const ends = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
    for (let first = 0; first < 256; first += 1) {
      for (let second = 0; second < 256; second += 1) {
        check(Uint8Array.of(first, second));
        if (first < 0xe0) continue;
        for (const third of ends) {
          check(Uint8Array.of(first, second, third));
          for (const fourth of ends) check(Uint8Array.of(first, second, third, fourth));
        }
      }
    }
    function check(data: Uint8Array): void {
      if (isValidUtf8(data, 0, data.length) !== isValidForAnother(data)) {
        assert.fail(Buffer.from(data).toString('hex'));
      }
    }
  });

  test('only what lies between start and end counts', () => {
    const data = bytes("ff 'a' c3a4 ff");
    assert.equal(decodeUtf8(data, 1, 4), 'aä');
    assert.equal(decodeUtf8(data, 1, 3), undefined);
    assert.equal(decodeUtf8(data, 0, 2), undefined);
    assert.equal(decodeUtf8(data, 2, 2), '');
  });

  test('text comes back as it was, from any kind of byte array', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(!text.includes('\0') && !/\p{Surrogate}/u.test(text));
        const around = Buffer.from(`é${text}é`);
        assert.equal(decodeUtf8(around, 2, around.length - 2), text);
        const plain = new Uint8Array(around);
        assert.equal(decodeUtf8(plain.subarray(1), 1, plain.length - 3), text);
      }),
    );
  });
});

describe('text without control characters and non-characters', () => {
  test('every character of Unicode', () => {
    const unwanted = /[\p{Cc}\p{NChar}]/u;
    for (let codePoint = 0; codePoint <= 0x10ffff; codePoint += 1) {
      if (codePoint >= 0xd800 && codePoint < 0xe000) continue; // halves of characters
      const character = String.fromCodePoint(codePoint);
      const data = Buffer.from(`a${character}b`);
      if (isPlainUtf8(data, 0, data.length) === unwanted.test(character)) {
        assert.fail(`U+${codePoint.toString(16)}`);
      }
    }
  });

  test('what is no UTF-8 is none', () => {
    for (const hex of ['ff', 'c1bf', 'eda080', 'e282', 'f4908080']) {
      const data = bytes(hex);
      assert.equal(isPlainUtf8(data, 0, data.length), false, hex);
    }
  });
});

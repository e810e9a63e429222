import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { copyBytes } from '../../../src/base/copy-bytes.js';

test('bytes are copied to their place, and nothing beside it is touched', () => {
  // Lengths on both sides of the one from which on another way of copying is taken.
  const bytes = fc.uint8Array({ maxLength: 400, size: 'max' });
  fc.assert(
    fc.property(bytes, fc.nat(20), fc.nat(20), (source, skipped, at) => {
      const start = Math.min(skipped, source.length);
      const target = new Uint8Array(source.length + at + 5).fill(0xee);
      const expected = target.slice();
      expected.set(source.slice(start), at);
      copyBytes(source, start, source.length, target, at);
      assert.deepEqual(target, expected);
    }),
  );
});

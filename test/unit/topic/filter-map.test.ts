import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FilterMap } from '../../../src/topic/filter-map.js';
import { assertGrowsLinearly } from '../../support/growth.js';

describe('values by filter', () => {
  test('are those of a map', () => {
    const change = fc.tuple(fc.integer({ min: 0, max: 150 }), fc.boolean());
    fc.assert(
      fc.property(fc.array(change, { maxLength: 1000, size: 'max' }), (changes) => {
        const map = new FilterMap<number>();
        const model = new Map<string, number>();
        for (const [i, [number, isSet]] of changes.entries()) {
          const filter = String(number);
          if (isSet) {
            map.set(filter, i);
            model.set(filter, i);
          } else {
            assert.equal(map.delete(filter), model.delete(filter));
          }
          assert.equal(map.get(filter), model.get(filter));
          assert.equal(map.size, model.size);
        }
        assert.deepEqual([...map.values()].sort(), [...model.values()].sort());
      }),
    );
  });

  test('one that comes and goes costs the same beside many others', () => {
    assertGrowsLinearly(10_000, (count) => {
      const map = new FilterMap<number>();
      for (let i = 0; i < count; i += 1) map.set(`f${i}`, i);
      return () => {
        for (let i = 0; i < count; i += 1) {
          map.set('again', i);
          assert.ok(map.delete('again'));
        }
      };
    });
  });
});

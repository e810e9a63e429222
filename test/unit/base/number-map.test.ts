import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { NumberMap } from '../../../src/base/number-map.js';
import { assertGrowsLinearly } from '../../support/growth.js';

describe('values by numbers', () => {
  test('it does what a Map does, in the order of a Map', () => {
    // Few keys that share places in tables of every size, so that gaps are closed across them and past the end.
    const key = fc.oneof(
      fc.integer({ min: 0, max: 12 }),
      fc.constantFrom(255, 256, 512, 1023, 1024, 65_535, 2 ** 31, 2 ** 48),
    );
    const step = fc.record({ key, kind: fc.constantFrom('set', 'set', 'delete', 'clear') });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const model = new Map<number, number>();
        const map = new NumberMap<number>();
        for (const [value, { key, kind }] of steps.entries()) {
          if (kind === 'set') {
            model.set(key, value);
            map.set(key, value);
          } else if (kind === 'delete') {
            assert.equal(map.delete(key), model.delete(key));
          } else if (value % 10 === 0) {
            model.clear();
            map.clear();
          }
          assert.equal(map.size, model.size);
          assert.equal(map.get(key), model.get(key));
          assert.equal(map.has(key), model.has(key));
        }
        assert.deepEqual(map.keys(), [...model.keys()]);
        assert.deepEqual(map.values(), [...model.values()]);
      }),
    );
  });

  test('all packet identifiers at once, and the same again when they have gone', () => {
    const map = new NumberMap<string>();
    for (let round = 0; round < 2; round += 1) {
      for (let id = 1; id <= 65_535; id += 1) map.set(id, `${round} ${id}`);
      assert.equal(map.size, 65_535);
      assert.equal(map.get(1), `${round} 1`);
      for (let id = 65_535; id >= 1; id -= 1) assert.ok(map.delete(id));
      assert.equal(map.size, 0);
      assert.equal(map.get(1), undefined);
      assert.deepEqual(map.keys(), []);
    }
  });

  test('with very many in flight one more comes and the oldest goes in no time', () => {
    const map = new NumberMap<number>();
    const inFlight = 40_000;
    const start = performance.now();
    for (let i = 0; i < 500_000; i += 1) {
      map.set(i & 0xffff, i);
      if (i >= inFlight) assert.ok(map.delete((i - inFlight) & 0xffff));
    }
    assert.equal(map.size, inFlight);
    assert.ok(performance.now() - start < 5000); // half a minute where it looked at all of them
  });

  test('identifiers chosen to share a place are found without a walk through all', () => {
    const map = new NumberMap<number>();
    for (let i = 0; i < 256; i += 1) map.set(i * 256, i);
    const start = performance.now();
    for (let i = 0; i < 100_000; i += 1) assert.equal(map.get((i & 0xff) * 256), i & 0xff);
    assert.ok(performance.now() - start < 2000);
  });

  test('ranges that want the same places take no longer than ids in a row', () => {
    // 1 to 12,000 and 32,769 to 44,768 in a table of 32,768 places
    const ranges = (count: number, distance: number) => () => {
      const map = new NumberMap<number>();
      for (const first of [1, 1 + distance]) {
        for (let i = 0; i < count; i += 1) map.set(first + i, i);
      }
      for (const first of [1, 1 + distance]) {
        for (let i = 0; i < count; i += 1) assert.ok(map.delete(first + i));
      }
      assert.equal(map.size, 0);
    };
    assertGrowsLinearly(3000, (count) => ranges(count, 32_768));
  });

  test('what has left does not outlive the next young collections', () => {
    const collect = collector();
    const map = new NumberMap<object>();
    for (let id = 1; id <= 100; id += 1) map.set(id, {});
    for (let i = 0; i < 2; i += 1) collect(); // what the map is made of counts as long-lived now
    const before = getHeapStatistics().used_heap_size;
    for (let id = 101; id <= 20_000; id += 1) {
      map.set(id, new Array(50).fill(id));
      map.delete(id - 100);
    }
    for (let i = 0; i < 3; i += 1) collect();
    const kept = getHeapStatistics().used_heap_size - before;
    const wereIn = 19_900 * 50 * 8;
    assert.ok(kept < wereIn / 20, `${kept} of ${wereIn} bytes`); // of a Map more than 6,000,000
  });
});

/** @returns what runs a young collection */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: { type: 'minor' }) => void;
  return () => gc({ type: 'minor' });
}

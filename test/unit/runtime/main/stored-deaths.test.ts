import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StoredDeaths } from '../../../../src/runtime/main/stored-deaths.js';

test('the third death within a minute over the same session counts, and others count by themselves', () => {
  const deaths = new StoredDeaths();
  const results = [
    deaths.died('a', 0),
    deaths.died('b', 1000),
    deaths.died('a', 30_000),
    deaths.died('a', 61_000), // the first one is forgotten
    deaths.died('b', 61_000),
    deaths.died('a', 62_000),
    deaths.died('a', 63_000), // from the beginning
  ];
  assert.deepEqual(results, [false, false, false, false, false, true, false]);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COLLECTING_SIZE_MAX, returnChunk, takeChunk } from '../../../src/base/chunk-pool.js';

test('a chunk has the size asked for, or the next that is large enough', () => {
  const rows: [size: number, atLeast: number, bytes: number][] = [
    [0, 1, 1024],
    [0, 1024, 1024],
    [0, 1025, 4096],
    [1, 10, 4096],
    [0, 16_385, 65_536],
    [COLLECTING_SIZE_MAX, 65_536, 65_536],
    [COLLECTING_SIZE_MAX, 65_537, 262_144],
    [COLLECTING_SIZE_MAX, 1_048_577, 1_048_577],
    [0, 2_000_000, 2_000_000],
  ];
  for (const [size, atLeast, bytes] of rows) assert.equal(takeChunk(size, atLeast).length, bytes);
});

test('a chunk that was given back is lent again, one of an odd size is not', () => {
  const chunk = takeChunk(2, 1);
  returnChunk(chunk);
  assert.equal(takeChunk(2, 1), chunk);
  const odd = takeChunk(0, 2_000_000);
  returnChunk(odd);
  assert.notEqual(takeChunk(0, 2_000_000), odd);
});

test('the pool keeps no more than it needs', () => {
  const chunks = Array.from({ length: 200 }, () => takeChunk(COLLECTING_SIZE_MAX, 1));
  for (const chunk of chunks) returnChunk(chunk);
  const lentAgain = new Set(chunks.map(() => takeChunk(COLLECTING_SIZE_MAX, 1)));
  assert.equal(chunks.filter((chunk) => lentAgain.has(chunk)).length, 64);
});

/** Disks after a power cut: what was synced is there, of the rest anything may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Cut, stateAt } from '../../support/power/power-cut.js';
import type { TracedCall } from '../../support/power/traced-writes.js';
import { Random } from '../../support/random.js';

const write = (start: number, offset: number, text: string, isSynced = false): TracedCall => ({
  kind: 'data',
  start,
  end: start + 1,
  file: 1,
  offset,
  bytes: Buffer.from(text),
  isSynced,
});
const named = (start: number, ...names: [string, number | null][]): TracedCall => ({
  kind: 'names',
  start,
  end: start + 1,
  folder: '.',
  names,
});
const sync = (start: number, of: number | string): TracedCall => ({
  kind: 'sync',
  start,
  end: start + 5,
  of,
});

/** The files with their texts. */
function after(calls: TracedCall[], cut: Partial<Cut>, seed = 1): Record<string, string> {
  const { files } = stateAt(calls, { at: 100, data: 'lost', names: 'lost', ...cut }, new Random(seed));
  return Object.fromEntries([...files].map(([path, { bytes }]) => [path, bytes.toString()]));
}

test('what was written before a sync began is there once that has ended', () => {
  const calls = [named(1, ['a', 1]), sync(3, '.'), write(10, 0, 'one'), sync(20, 1), write(22, 3, 'two')];
  assert.deepEqual(after(calls, { at: 24 }), { a: '' });
  assert.deepEqual(after(calls, { at: 25 }), { a: 'one' });
  assert.deepEqual(after(calls, { at: 25, data: 'there' }), { a: 'onetwo' });
  assert.deepEqual(after(calls, { at: 7 }), {});
});

test('a synced write is there, and nothing that was written before it', () => {
  const calls = [named(1, ['a', 1]), sync(3, '.'), write(10, 0, 'one'), write(20, 3, 'two', true)];
  assert.deepEqual(after(calls, {}), { a: '\0\0\0two' });
});

test("a rename is lost with its folder's sync, and made as a whole", () => {
  const calls = [
    named(1, ['a', 1]),
    named(2, ['b', 2]),
    sync(4, '.'),
    write(10, 0, 'one'),
    sync(20, 1),
    named(30, ['a', null], ['b', 1]),
  ];
  assert.deepEqual(after(calls, {}), { a: 'one', b: '' });
  assert.deepEqual(after(calls, { names: 'there' }), { b: 'one' });
});

test('a torn write is there in whole sectors', () => {
  const calls = [named(1, ['a', 1]), sync(3, '.'), write(10, 0, `${'x'.repeat(512)}${'y'.repeat(512)}z`)];
  const found = new Set<string>();
  for (let seed = 0; seed < 100; seed += 1)
    found.add(after(calls, { data: 'torn' }, seed).a!.replace(/(.)\1+/g, '$1'));
  assert.deepEqual([...found].sort(), ['', '\0y', '\0yz', '\0z', 'x', 'xy', 'xyz', 'x\0z'].sort());
});

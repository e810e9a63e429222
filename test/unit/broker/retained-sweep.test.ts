import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryStore } from '../../../src/broker/memory-store.js';
import { RetainedSweep } from '../../../src/broker/retained-sweep.js';
import { Publication } from '../../../src/mqtt/publication.js';

const minute = 60_000;

function retained(topic: string, expiresAt: number): Publication {
  return Publication.create({ topic, payload: Buffer.from('x'), qos: 0, retain: true, expiresAt });
}

test('expired messages go at the interval, and not before', () => {
  const store = new MemoryStore();
  store.retained.set(retained('for ever', 0));
  store.retained.set(retained('short', minute));
  store.retained.set(retained('$long', 10 * minute));
  const sweep = new RetainedSweep(store, 0);
  sweep.tick(5, 2 * minute);
  assert.equal(store.retained.count, 3);
  sweep.tick(5, 5 * minute);
  assert.equal(store.retained.count, 2);
  sweep.tick(5, 9 * minute);
  sweep.tick(5, 10 * minute);
  assert.equal(store.retained.count, 1);
});

test('without an interval nothing is swept', () => {
  const store = new MemoryStore();
  store.retained.set(retained('short', minute));
  const sweep = new RetainedSweep(store, 0);
  sweep.tick(undefined, 1000 * minute);
  assert.equal(store.retained.count, 1);
});

test('many messages take several seconds', () => {
  const store = new MemoryStore();
  const count = 5000;
  for (let i = 0; i < count; i += 1) store.retained.set(retained(`t/${i}`, minute));
  const sweep = new RetainedSweep(store, 0);
  sweep.tick(1, minute);
  assert.ok(store.retained.count > 0 && store.retained.count < count);
  for (let second = 1; second <= 3; second += 1) sweep.tick(1, minute + second * 1000);
  assert.equal(store.retained.count, 0);
});

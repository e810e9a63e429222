import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Registry } from '../../../src/base/registry.js';
import { type HasSlot, SlotList } from '../../../src/base/slot-list.js';

const name = fc.constantFrom('', 'a', 'b', 'c', 'd', '__proto__');

test('a registry does what a Map does, in the order of a Map', () => {
  const step = fc.record({ name, isSet: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Map<string, number>();
      const registry = new Registry<number>();
      for (const [value, { name, isSet }] of steps.entries()) {
        if (isSet) {
          model.set(name, value);
          registry.set(name, value);
        } else {
          assert.equal(registry.delete(name), model.delete(name));
        }
        assert.equal(registry.size, model.size);
        assert.equal(registry.get(name), model.get(name));
        assert.equal(registry.has(name), model.has(name));
      }
      assert.deepEqual([...registry], [...model]);
      assert.deepEqual([...registry.values()], [...model.values()]);
    }),
  );
});

test('a value of a registry may be removed while all are listed', () => {
  const registry = new Registry<number>();
  for (const [value, name] of ['a', 'b', 'c', 'd'].entries()) registry.set(name, value);
  const seen: string[] = [];
  for (const [name] of registry) {
    seen.push(name);
    registry.delete(name);
    if (name === 'a') registry.delete('c');
  }
  assert.deepEqual(seen, ['a', 'b', 'd']);
  assert.equal(registry.size, 0);
});

test('a list of slots has what a Set would have', () => {
  const step = fc.record({ item: fc.nat({ max: 7 }), isAdd: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const items: HasSlot[] = Array.from({ length: 8 }, () => ({ slot: -1 }));
      const model = new Set<HasSlot>();
      const list = new SlotList<HasSlot>();
      for (const step of steps) {
        const item = items[step.item]!;
        if (step.isAdd && !model.has(item)) {
          model.add(item);
          list.add(item);
        } else {
          model.delete(item);
          list.delete(item);
        }
        assert.equal(list.size, model.size);
        assert.deepEqual(new Set(list), model);
      }
    }),
  );
});

test('what comes and goes while a list is walked changes nothing', () => {
  const list = new SlotList<HasSlot>();
  const items: HasSlot[] = Array.from({ length: 5 }, () => ({ slot: -1 }));
  for (const item of items) list.add(item);
  const seen: HasSlot[] = [];
  for (const item of list) {
    seen.push(item);
    list.delete(item);
    list.add({ slot: -1 });
  }
  assert.deepEqual(seen, items);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RingQueue } from '../../../src/base/ring-queue.js';

type Step = { kind: 'push'; count: number } | { kind: 'shift'; count: number } | { kind: 'filter' | 'clear' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('push'), count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('shift'), count: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('filter', 'clear') }) },
) as fc.Arbitrary<Step>;

const isEven = (item: number): boolean => item % 2 === 0;

test('a ring queue does what an array would do', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const queue = new RingQueue<number>();
      let model: number[] = [];
      let next = 0;
      for (const { kind, ...rest } of steps) {
        const count = 'count' in rest ? rest.count : 0;
        if (kind === 'filter') {
          queue.filter(isEven);
          model = model.filter(isEven);
        } else if (kind === 'clear') {
          queue.clear();
          model = [];
        }
        for (let i = 0; i < count; i += 1) {
          if (kind === 'push') {
            queue.push(next);
            model.push(next);
            next += 1;
          } else {
            assert.equal(queue.shift(), model.shift());
          }
        }
        assert.equal(queue.length, model.length);
        assert.equal(queue.peek(), model[0]);
        assert.deepEqual([...queue], model);
      }
    }),
  );
});

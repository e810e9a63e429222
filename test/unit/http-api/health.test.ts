import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Condition, whatHangs, whatIsNotReady } from '../../../src/http-api/health.js';

const WORKER = { worker: 0, isReady: true, isStalled: false, utilisation: 0.5, clients: 3 };
const WELL: Condition = { isServing: true, storeTrouble: null, workers: [WORKER] };

test('a broker that is well', () => {
  assert.deepEqual([whatHangs(WELL), whatIsNotReady(WELL)], [[], []]);
});

test('each part that is not ready is named', () => {
  const second = { ...WORKER, worker: 1, isReady: false };
  const cases: [Partial<Condition>, string[]][] = [
    [{ isServing: false }, ['the listeners do not accept connections']],
    [{ workers: [] }, ['no worker runs']],
    [{ workers: [WORKER, second] }, ['worker 1 is not ready']],
    [{ storeTrouble: 'the store cannot be written' }, ['the store cannot be written']],
  ];
  for (const [part, reasons] of cases) {
    assert.deepEqual(whatIsNotReady({ ...WELL, ...part }), reasons);
    assert.deepEqual(whatHangs({ ...WELL, ...part }), [], 'a restart would not mend it');
  }
});

test('a worker that stands still is for a restart to mend', () => {
  const stalled = { ...WELL, workers: [WORKER, { ...WORKER, worker: 1, isStalled: true }] };
  assert.deepEqual(whatHangs(stalled), ['worker 1 has stood still']);
  assert.deepEqual(whatIsNotReady(stalled), ['worker 1 has stood still']);
});

import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { StallWatch } from '../../../../src/runtime/main/stall-watch.js';
import { WorkerHandle } from '../../../../src/runtime/main/worker-handle.js';
import { Counter, createCounters } from '../../../../src/sys/counters.js';
import { WorkingRecord } from '../../../../src/sys/working-record.js';

describe('a worker', () => {
  let watch: StallWatch;
  let now: number;
  let logged: string[];

  beforeEach(() => {
    logged = [];
    now = 1000;
    watch = new StallWatch({ mask: 0, write: (type, text) => logged.push(`${type}: ${text}`) });
  });

  function newWorker(number: number): WorkerHandle {
    const { port1, port2 } = new MessageChannel();
    port2.close();
    const entry = new WorkerHandle(
      number,
      port1,
      new Float64Array(createCounters()),
      WorkingRecord.create(),
      [],
    );
    entry.ready = true;
    return entry;
  }

  /** Main looks once a second. @param running the workers that tick meanwhile */
  function pass(seconds: number, entries: WorkerHandle[], running: WorkerHandle[]): void {
    for (let i = 0; i < seconds; i += 1) {
      now += 1000;
      for (const { counters } of running) counters[Counter.ticks]! += 1;
      watch.look(entries, now);
    }
  }

  test('that stands still is told of once, and again when it goes on', () => {
    const [first, second] = [newWorker(0), newWorker(1)];
    pass(3, [first, second], [first, second]);
    pass(9, [first, second], [first]);
    assert.deepEqual([watch.isStalled, logged], [false, []]);
    pass(1, [first, second], [first]);
    assert.deepEqual([watch.isStalled, logged], [true, ['error: Error: Worker 1 has stood still for 10 s.']]);
    pass(50, [first, second], [first]);
    assert.deepEqual([watch.isStalled, logged.length], [true, 1]);
    pass(1, [first, second], [first, second]);
    assert.deepEqual([watch.isStalled, logged[1]], [false, 'notice: Worker 1 goes on, after 61 s.']);
  });

  test('that has died, or is not ready yet, does not stand still', () => {
    const [first, second] = [newWorker(0), newWorker(1)];
    second.ready = false;
    pass(30, [first, second], [first]);
    pass(20, [second], []);
    assert.deepEqual([watch.isStalled, logged], [false, []]);
  });

  test('is not to blame where main itself stood still, or the whole machine', () => {
    const worker = newWorker(0);
    pass(3, [worker], [worker]);
    now += 60_000;
    pass(1, [worker], []);
    assert.deepEqual([watch.isStalled, logged], [false, []]);
    pass(10, [worker], []);
    assert.deepEqual([watch.isStalled, logged.length], [true, 1]);
  });
});

/** Newcomers that wait for a place, in virtual time. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Arrival } from '../../../../src/net/arrival.js';
import { ArrivalQueue } from '../../../../src/runtime/main/arrival-queue.js';

class NamedArrival implements Arrival {
  readonly remoteAddress = '127.0.0.1';
  readonly remotePort = 1;
  isDropped = false;

  take(): number {
    return 7;
  }

  drop(): void {
    this.isDropped = true;
  }
}

function begin(t: TestContext): { queue: ArrivalQueue; refused: Arrival[] } {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const refused: Arrival[] = [];
  return { queue: new ArrivalQueue((arrival) => refused.push(arrival)), refused };
}

test('a newcomer gets a place that becomes free within 20 ms', (t) => {
  const { queue, refused } = begin(t);
  const [first, second] = [new NamedArrival(), new NamedArrival()];
  queue.add(0, first);
  queue.add(1, second);
  t.mock.timers.tick(19);
  assert.equal(
    queue.takeFirst(() => false),
    undefined,
  );
  assert.equal(queue.takeFirst((listener) => listener === 1)?.arrival, second);
  assert.equal(queue.takeFirst(() => true)?.arrival, first);
  t.mock.timers.tick(100);
  assert.deepEqual(refused, []);
});

test('a newcomer is refused if no place becomes free within 20 ms', (t) => {
  const { queue, refused } = begin(t);
  const arrival = new NamedArrival();
  queue.add(0, arrival);
  t.mock.timers.tick(20);
  assert.deepEqual(refused, [arrival]);
  assert.equal(
    queue.takeFirst(() => true),
    undefined,
  );
});

test('a newcomer is refused at once if a hundred wait already', (t) => {
  const { queue, refused } = begin(t);
  for (let i = 0; i < 100; i += 1) queue.add(0, new NamedArrival());
  const arrival = new NamedArrival();
  queue.add(0, arrival);
  assert.deepEqual(refused, [arrival]);
});

test('the connections of newcomers are dropped if the broker ends', (t) => {
  const { queue, refused } = begin(t);
  const arrival = new NamedArrival();
  queue.add(0, arrival);
  queue.close();
  assert.equal(arrival.isDropped, true);
  t.mock.timers.tick(100);
  assert.deepEqual(refused, []);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacedQueue } from '../../../src/base/paced-queue.js';

function paced(perTurn: number) {
  const done: number[] = [];
  const turns: (() => void)[] = [];
  const queue = new PacedQueue<number>({
    perTurn,
    nextTurn: (callback) => turns.push(callback),
    each: (item) => done.push(item),
  });
  /** @returns what is done in the next turn */
  const turn = (): number[] => {
    done.length = 0;
    for (const callback of turns.splice(0)) callback();
    return [...done];
  };
  return { queue, done, turn, turns };
}

test('a few are done at once, the others a few a turn, in their order', () => {
  const { queue, done, turn, turns } = paced(2);
  for (let item = 1; item <= 5; item += 1) queue.push(item);
  assert.deepEqual(done, [1, 2]);
  assert.deepEqual(turn(), [3, 4]);
  queue.push(6);
  assert.deepEqual(done, [3, 4], 'this turn has done its share');
  assert.deepEqual(turn(), [5, 6]);
  assert.deepEqual(turn(), []);
  assert.equal(turns.length, 0, 'nothing is scheduled where nothing waits');
  queue.push(7);
  assert.deepEqual(done, [7]);
});

test('what is pushed while a piece is done waits behind the others', () => {
  const done: string[] = [];
  const queue: PacedQueue<string> = new PacedQueue({
    perTurn: 1,
    nextTurn: () => {},
    each: (item) => {
      done.push(item);
      if (item === 'a') queue.push('after');
    },
  });
  for (const item of ['a', 'b']) queue.push(item);
  queue.drain();
  assert.deepEqual(done, ['a', 'after', 'b']);
});

test('all that waits can be done at once', () => {
  const { queue, done, turn } = paced(1);
  for (let item = 1; item <= 4; item += 1) queue.push(item);
  queue.drain();
  assert.deepEqual(done, [1, 2, 3, 4]);
  assert.deepEqual(turn(), []);
});

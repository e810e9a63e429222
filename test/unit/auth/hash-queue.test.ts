/** The queue of password hashes: never more at once than allowed, in order, and a failure does not block it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HashQueue } from '../../../src/auth/hash-queue.js';

/** Jobs that end when the test says so. */
class Jobs {
  readonly started: number[] = [];
  readonly #ends = new Map<number, () => void>();

  job(id: number): () => Promise<number> {
    return () => {
      this.started.push(id);
      return new Promise((resolve) => this.#ends.set(id, () => resolve(id)));
    };
  }

  async end(id: number): Promise<void> {
    this.#ends.get(id)!();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('runs two at once and the others in the order they came', async () => {
  const queue = new HashQueue({ runningMax: 2, waitingMax: 10 });
  const jobs = new Jobs();
  const results = [1, 2, 3, 4].map((id) => queue.run(jobs.job(id)));
  assert.deepEqual(jobs.started, [1, 2]);
  await jobs.end(2);
  assert.deepEqual(jobs.started, [1, 2, 3]);
  await jobs.end(1);
  assert.deepEqual(jobs.started, [1, 2, 3, 4]);
  await jobs.end(3);
  await jobs.end(4);
  assert.deepEqual(await Promise.all(results), [1, 2, 3, 4]);
  void queue.run(jobs.job(5));
  void queue.run(jobs.job(6));
  assert.deepEqual(jobs.started.slice(4), [5, 6], 'all places are free again');
});

test('says when it is full', async () => {
  const queue = new HashQueue({ runningMax: 1, waitingMax: 1 });
  const jobs = new Jobs();
  void queue.run(jobs.job(1));
  assert.equal(queue.isFull, false);
  void queue.run(jobs.job(2));
  assert.equal(queue.isFull, true);
  await assert.rejects(queue.run(jobs.job(3)), /room/);
  await jobs.end(1);
  assert.equal(queue.isFull, false);
});

test('a job that fails gives its place to the next', async () => {
  const queue = new HashQueue({ runningMax: 1, waitingMax: 10 });
  const failing = queue.run(() => Promise.reject(new Error('no memory')));
  const next = queue.run(() => Promise.resolve('done'));
  await assert.rejects(failing, /no memory/);
  assert.equal(await next, 'done');
});

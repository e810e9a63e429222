/** The queue of password hashes: never more at once than allowed, in order, and a failure does not block it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HashOrder, HashQueue } from '../../../src/auth/hash-queue.js';

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

const one: HashOrder = { address: 'a', username: 'u', goesFirst: false };

test('runs two at once and the others in the order they came', async () => {
  const queue = new HashQueue({ runningMax: 2, waitingMax: 10 });
  const jobs = new Jobs();
  const results = [1, 2, 3, 4].map((id) => queue.run(jobs.job(id), one));
  assert.deepEqual(jobs.started, [1, 2]);
  await jobs.end(2);
  assert.deepEqual(jobs.started, [1, 2, 3]);
  await jobs.end(1);
  assert.deepEqual(jobs.started, [1, 2, 3, 4]);
  await jobs.end(3);
  await jobs.end(4);
  assert.deepEqual(await Promise.all(results), [1, 2, 3, 4]);
  void queue.run(jobs.job(5), one);
  void queue.run(jobs.job(6), one);
  assert.deepEqual(jobs.started.slice(4), [5, 6], 'all places are free again');
});

test('says when it is full', async () => {
  const queue = new HashQueue({ runningMax: 1, waitingMax: 1 });
  const jobs = new Jobs();
  void queue.run(jobs.job(1), one);
  assert.equal(queue.isFull, false);
  void queue.run(jobs.job(2), one);
  assert.equal(queue.isFull, true);
  await assert.rejects(queue.run(jobs.job(3), one), /room/);
  await jobs.end(1);
  assert.equal(queue.isFull, false);
});

test('a job that fails gives its place to the next', async () => {
  const queue = new HashQueue({ runningMax: 1, waitingMax: 10 });
  const failing = queue.run(() => Promise.reject(new Error('no memory')), one);
  const next = queue.run(() => Promise.resolve('done'), one);
  await assert.rejects(failing, /no memory/);
  assert.equal(await next, 'done');
});

test('each address has its share, and each of its users, and what goes first goes first', async () => {
  const queue = new HashQueue({ runningMax: 1, waitingMax: 100 });
  const jobs = new Jobs();
  const add = (id: number, order: Partial<HashOrder>) => void queue.run(jobs.job(id), { ...one, ...order });
  add(0, {});
  for (let id = 1; id <= 4; id += 1) add(id, { address: 'flood', username: 'x' });
  for (let id = 11; id <= 12; id += 1) add(id, { address: 'flood', username: 'y' });
  add(21, { address: 'other' });
  add(22, { address: 'other' });
  add(31, { address: 'flood', goesFirst: true });
  for (let ended = 0; ended < 10; ended += 1) await jobs.end(jobs.started.at(-1)!);
  assert.deepEqual(jobs.started, [0, 31, 1, 21, 11, 22, 2, 12, 3, 4]);
});

/** Slowing down repeated failures, in virtual time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureLimiter } from '../../../src/auth/failure-limiter.js';

const LIMITS = { freeFailures: 2, firstDelayMs: 100, longestDelayMs: 1000, forgetMs: 60_000, keysMax: 3 };

test('delays begin after the free failures, double, and stay at the longest', () => {
  const limiter = new FailureLimiter(LIMITS);
  const delays: number[] = [];
  let now = 0;
  for (let i = 0; i < 9; i += 1) {
    const turnMs = limiter.takeTurn('k', now);
    delays.push(turnMs);
    now += turnMs;
    limiter.failed('k', now);
  }
  assert.deepEqual(delays, [0, 0, 0, 100, 200, 400, 800, 1000, 1000]);
  assert.equal(limiter.takeTurn('other', now), 0, 'others are not slowed');
});

test('the delay counts from the last failure', () => {
  const limiter = new FailureLimiter(LIMITS);
  for (let i = 0; i < 4; i += 1) limiter.failed('k', 0);
  assert.equal(limiter.takeTurn('k', 150), 50);
  for (let i = 0; i < 4; i += 1) limiter.failed('late', 0);
  assert.equal(limiter.takeTurn('late', 250), 0);
});

test('turns of connections that ask at once follow one another, up to the longest delay', () => {
  const limiter = new FailureLimiter(LIMITS);
  for (let i = 0; i < 5; i += 1) limiter.failed('k', 0);
  const turns = Array.from({ length: 5 }, () => limiter.takeTurn('k', 0));
  assert.deepEqual(turns, [400, 800, 1000, 1000, 1000]);
});

test('success forgets everything at once, time one failure after the other', () => {
  const limiter = new FailureLimiter(LIMITS);
  for (let i = 0; i < 5; i += 1) limiter.failed('k', 0);
  limiter.succeeded('k');
  assert.equal(limiter.takeTurn('k', 0), 0);
  limiter.failed('k', 0);
  assert.equal(limiter.takeTurn('k', 0), 0, 'the free failures are free again');

  for (let i = 0; i < 5; i += 1) limiter.failed('slow', 0);
  limiter.failed('slow', 120_000);
  assert.equal(
    limiter.takeTurn('slow', 120_000),
    200,
    'two of six are forgotten, so two are over the free ones',
  );
  assert.equal(limiter.takeTurn('slow', 10_000_000), 0);
});

test('a long attack is forgotten as fast as a short one', () => {
  const limiter = new FailureLimiter(LIMITS);
  for (let i = 0; i < 1000; i += 1) limiter.failed('k', 0);
  limiter.failed('k', 6 * 60_000);
  assert.equal(limiter.takeTurn('k', 6 * 60_000), 0);
});

test('memory is bounded: the key that failed longest ago goes first', () => {
  const limiter = new FailureLimiter(LIMITS);
  for (const key of ['a', 'b', 'c']) for (let i = 0; i < 4; i += 1) limiter.failed(key, 0);
  limiter.failed('a', 1);
  limiter.failed('d', 2);
  assert.equal(limiter.takeTurn('b', 2), 0);
  assert.equal(limiter.takeTurn('a', 2), 399);
  assert.equal(limiter.takeTurn('c', 2), 198);
});

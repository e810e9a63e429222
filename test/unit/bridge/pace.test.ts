/** How fast a backlog leaves, and how old it is said to be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BacklogAge } from '../../../src/bridge/backlog-age.js';
import { DrainPace } from '../../../src/bridge/drain-pace.js';

/** How many messages leave when somebody looks every `stepMs`. */
function leaving(pace: DrainPace, untilMs: number, stepMs: number): number {
  let left = 0;
  for (let nowMs = stepMs; nowMs <= untilMs; nowMs += stepMs) {
    pace.grant(nowMs);
    for (; pace.isOpen && left < 1_000_000; left += 1) pace.take();
  }
  return left;
}

describe('bridge_max_drain_rate', () => {
  for (const [perSecond, stepMs] of [
    [1, 200],
    [3, 200],
    [100, 200],
    [100, 1000],
    [5000, 200],
  ] as const) {
    test(`${perSecond} a second, looked at every ${stepMs} ms`, () => {
      const left = leaving(new DrainPace(perSecond, 0), 10_000, stepMs);
      assert.ok(Math.abs(left - 10 * perSecond) <= 1, `${left} have left`);
    });
  }

  test('0: always open', () => assert.equal(new DrainPace(0, 0).isOpen, true));

  test('what is not used up is not saved for longer than a second', () => {
    const pace = new DrainPace(10, 0);
    pace.grant(3_600_000);
    let left = 0;
    for (; pace.isOpen; left += 1) pace.take();
    assert.equal(left, 10);
  });
});

describe('age of the oldest message', () => {
  test('nothing waits: none', () => assert.equal(new BacklogAge().sample(5, 0, 1000), 0));

  test('grows while nothing leaves, and falls as the oldest ones do', () => {
    const age = new BacklogAge();
    assert.equal(age.sample(0, 10, 1000), 0);
    assert.equal(age.sample(0, 10, 5000), 4000);
    assert.equal(age.sample(0, 30, 6000), 5000);
    assert.equal(age.sample(9, 21, 7000), 6000);
    assert.equal(age.sample(10, 20, 8000), 2000);
    assert.equal(age.sample(30, 0, 9000), 0);
    assert.equal(age.sample(30, 1, 10_000), 0);
  });

  test('stays bounded through a week of one message a second, and true for the oldest', () => {
    const age = new BacklogAge();
    const seconds = 604_800;
    for (let second = 1; second <= seconds; second += 60) age.sample(0, second, second * 1000);
    assert.equal(age.sample(0, seconds, seconds * 1000), (seconds - 1) * 1000);
  });
});

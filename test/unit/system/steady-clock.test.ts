/** A clock that goes on where the machine's clock is set. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SteadyClock } from '../../../src/system/steady-clock.js';

const DAY = 86_400_000;

function setUp() {
  const state = { wall: 1_000_000_000, monotonic: 5 };
  const clock = new SteadyClock(
    () => state.wall,
    () => state.monotonic,
  );
  const pass = (ms: number): void => {
    state.wall += ms;
    state.monotonic += ms;
  };
  return { state, clock, pass };
}

for (const [name, jump] of [
  ['forward', DAY],
  ['back', -DAY],
] as const) {
  test(`set ${name} by a day it is noticed once, and bridged`, () => {
    const { state, clock, pass } = setUp();
    pass(1000);
    assert.equal(clock.check(), 0);
    state.wall += jump;
    assert.equal(clock.now(), 1_000_001_000);
    pass(1000);
    assert.equal(clock.check(), jump);
    assert.equal(clock.now(), 1_000_002_000);
    pass(1000);
    assert.equal(clock.check(), 0);
    assert.equal(clock.bridgedMs, jump);
    assert.equal(clock.now(), 1_000_003_000);
  });
}

test('small corrections are followed', () => {
  const { state, clock, pass } = setUp();
  pass(1000);
  state.wall += 20;
  assert.equal(clock.check(), 0);
  assert.equal(clock.now(), 1_000_001_020);
});

test('a thread that starts after a jump has the same time as the others', () => {
  const { state, clock } = setUp();
  state.wall += DAY;
  clock.check();
  const later = new SteadyClock(
    () => state.wall,
    () => state.monotonic,
  );
  later.bridge(clock.bridgedMs);
  assert.equal(later.now(), clock.now());
  assert.equal(later.check(), 0);
});

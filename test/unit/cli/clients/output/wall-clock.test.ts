import assert from 'node:assert/strict';
import { test } from 'node:test';
import { now } from '../../../../../src/cli/clients/output/wall-clock.js';

test('the time is that of the system, finer, and does not go back', () => {
  const fractions = new Set<number>();
  let last = 0n;
  for (let i = 0; i < 20_000; i += 1) {
    const before = Date.now();
    const { seconds, nanoseconds } = now();
    const after = Date.now();
    const ms = seconds * 1000 + Math.floor(nanoseconds / 1e6);
    assert.ok(ms >= before && ms <= after, `${before} ${ms} ${after}`);
    assert.ok(Number.isInteger(nanoseconds) && nanoseconds >= 0 && nanoseconds < 1e9);
    const ns = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
    assert.ok(ns >= last);
    last = ns;
    fractions.add(nanoseconds % 1e6);
  }
  assert.ok(fractions.size > 100);
});

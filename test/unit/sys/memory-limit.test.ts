import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isFarFrom, memoryState, occupiedOf, PLENTY } from '../../../src/sys/memory-limit.js';

const auto = { bytes: 64_000_000, processBytes: 70_000_000 };
const number = { bytes: 64_000_000, processBytes: null };

describe('memory_limit auto', () => {
  test('clients occupy what is counted for them, but no more than what the process has grown by', () => {
    assert.equal(occupiedOf(50_000_000, auto, 200_000_000), 50_000_000);
    assert.equal(occupiedOf(50_000_000, auto, 90_000_000), 20_000_000);
    assert.equal(occupiedOf(50_000_000, auto, 60_000_000), 0);
  });

  test('below three quarters all are served; from there on clients of an eighth of the limit are slowed', () => {
    assert.equal(memoryState(47_999_999, auto), PLENTY);
    assert.deepEqual(memoryState(48_000_000, auto), {
      slowedFrom: 8_000_000,
      refusesSessions: false,
      isShort: false,
    });
  });

  test('the nearer the limit, the smaller the clients that are slowed', () => {
    assert.deepEqual(memoryState(56_000_001, auto).refusesSessions, true);
    assert.equal(memoryState(56_000_000, auto).slowedFrom, 8_000_000 / 32);
    assert.equal(memoryState(64_000_000, auto).slowedFrom, 8_000_000 / 1024);
    assert.equal(memoryState(640_000_000, auto).slowedFrom, 8_000_000 / 1024);
    assert.equal(memoryState(64_000_000, auto).isShort, false);
    assert.equal(memoryState(64_000_001, auto).isShort, true);
  });

  test('a process that has hardly grown need not be looked at more closely', () => {
    assert.equal(isFarFrom(auto, 117_000_000), true);
    assert.equal(isFarFrom(auto, 118_000_000), false);
  });
});

describe('memory_limit NUMBER', () => {
  test('all are served alike until it is reached [mosq: memory_limit]', () => {
    assert.equal(memoryState(64_000_000, number), PLENTY);
    assert.deepEqual(memoryState(64_000_001, number), { ...PLENTY, isShort: true });
    assert.equal(occupiedOf(50_000_000, number, 0), 50_000_000);
    assert.equal(isFarFrom(number, 0), false);
  });

  test('0 is no limit', () => {
    assert.equal(memoryState(Number.MAX_SAFE_INTEGER, { bytes: 0, processBytes: null }), PLENTY);
  });
});

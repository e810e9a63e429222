import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IdFights } from '../../../../src/runtime/main/id-fights.js';

const start = Date.UTC(2024, 0);

/** A client that loses its id to another connection. */
function loser(port: number, seconds: number, clientId = 'meter') {
  return {
    clientId,
    address: `10.0.0.${port}:${port}`,
    username: 'alice',
    connectedAt: start + seconds * 1000,
  };
}

test('a client that takes its own id over once or twice, after a loss of its network, is no fight', () => {
  const warnings: string[] = [];
  const fights = new IdFights((text) => warnings.push(text));
  for (const seconds of [0, 10, 70, 80, 140]) fights.takenOver(loser(1, seconds), start + seconds * 1000);
  assert.deepEqual(warnings, []);
});

test('in a fight both are named, once a minute', () => {
  const warnings: string[] = [];
  const fights = new IdFights((text) => warnings.push(text));
  for (let seconds = 0; seconds < 180; seconds += 5) {
    fights.takenOver(loser(1 + ((seconds / 5) % 2), seconds), start + (seconds + 5) * 1000);
  }
  assert.equal(warnings.length, 3);
  assert.equal(
    warnings[0],
    'Warning: Client id meter was taken over 3 times within 10 s, at last from 10.0.0.2:2 (connected 2024-01-01T00:00:05.000Z, user alice) and 10.0.0.1:1 (connected 2024-01-01T00:00:10.000Z, user alice). Two clients seem to have this id: give one of them another.',
  );
});

test('whoever makes up ids does not fill the memory, and the oldest are forgotten', () => {
  const warnings: string[] = [];
  const fights = new IdFights((text) => warnings.push(text));
  fights.takenOver(loser(1, 0, 'first'), start);
  fights.takenOver(loser(1, 0, 'first'), start);
  for (let i = 0; i < 1000; i += 1) fights.takenOver(loser(1, 0, `made up ${i}`), start);
  fights.takenOver(loser(1, 0, 'first'), start);
  assert.deepEqual(warnings, []);
  for (let i = 0; i < 2; i += 1) fights.takenOver(loser(1, 0, 'first'), start);
  assert.equal(warnings.length, 1);
});

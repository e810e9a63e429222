import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TABLE_NAMES } from '../../../../src/store/environment.js';
import {
  LAYOUT,
  layoutOf,
  type Migration,
  migrate,
  type RecordMigration,
  UnknownLayoutError,
} from '../../../../src/store/file/migrations.js';
import { openStore } from '../../../support/store/stores.js';

/** A step that rewrites the records of one table. */
function stepOf(from: number, rewrite: RecordMigration): Migration {
  const same = Object.fromEntries(TABLE_NAMES.map((name) => [name, 'same'])) as Migration['records'];
  return { from, records: { ...same, queue: rewrite } };
}

function step(from: number, ran: number[]): Migration {
  return stepOf(from, async (environment) => {
    assert.equal(layoutOf(environment), from);
    ran.push(from);
  });
}

test('a new store gets the layout of today', async (t) => {
  const { environment } = openStore(t);
  assert.equal(layoutOf(environment), undefined);
  await migrate(environment);
  assert.equal(layoutOf(environment), LAYOUT);
  await migrate(environment);
  assert.equal(layoutOf(environment), LAYOUT);
});

test('an old store goes through every step, in order, each once', async (t) => {
  const { environment } = openStore(t);
  await migrate(environment, 1);
  const ran: number[] = [];
  const steps = [step(3, ran), step(1, ran), step(2, ran)];
  await migrate(environment, 4, steps);
  assert.deepEqual(ran, [1, 2, 3]);
  assert.equal(layoutOf(environment), 4);
  await migrate(environment, 4, steps);
  assert.deepEqual(ran, [1, 2, 3]);
});

test('a step that fails is done again at the next start, those before it are not', async (t) => {
  const { environment } = openStore(t);
  await migrate(environment, 1);
  const ran: number[] = [];
  const failing = stepOf(2, () => Promise.reject(new Error('power cut')));
  await assert.rejects(migrate(environment, 3, [step(1, ran), failing]), /power cut/);
  assert.equal(layoutOf(environment), 2);
  await migrate(environment, 3, [step(1, ran), step(2, ran)]);
  assert.deepEqual(ran, [1, 2]);
});

test('a store of a later version is refused', async (t) => {
  const { environment } = openStore(t);
  await migrate(environment, LAYOUT + 1);
  await assert.rejects(migrate(environment), UnknownLayoutError);
});

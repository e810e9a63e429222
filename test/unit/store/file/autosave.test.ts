import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Autosave, ChangeCounter } from '../../../../src/store/file/autosave.js';

function setUp(interval: number, onChanges = false) {
  const state = {
    now: 0,
    saves: 0,
    fail: false,
    bytes: 100 as number | undefined,
    takesMs: 0,
    atOnce: 0,
    mostAtOnce: 0,
  };
  const events: string[] = [];
  const changes = new ChangeCounter();
  const autosave = new Autosave({
    interval,
    onChanges,
    changes,
    now: () => state.now,
    write: async () => {
      state.saves += 1;
      state.atOnce += 1;
      state.mostAtOnce = Math.max(state.mostAtOnce, state.atOnce);
      await turn();
      state.atOnce -= 1;
      state.now += state.takesMs;
      if (state.fail) throw new Error('disk full');
      return state.bytes === undefined ? undefined : { bytes: state.bytes };
    },
    onSaved: ({ finishedAt, bytes }) => events.push(`saved ${bytes} at ${finishedAt}`),
    onFailure: (error) => events.push(error.message),
    onRecovery: () => events.push('recovered'),
  });
  const tickAt = async (now: number) => {
    state.now = now;
    autosave.tick();
    while (autosave.isRunning) await turn();
  };
  return { state, events, changes, autosave, tickAt };
}

describe('autosave_interval', () => {
  test('saves when so many seconds have passed since the last save', async () => {
    const { state, events, tickAt } = setUp(30);
    await tickAt(29_999);
    assert.equal(state.saves, 0);
    await tickAt(30_000);
    assert.equal(state.saves, 1);
    await tickAt(59_999);
    assert.equal(state.saves, 1);
    await tickAt(60_000);
    assert.deepEqual(events, ['saved 100 at 30000', 'saved 100 at 60000']);
  });

  test('of 0 saves only on request', async () => {
    const { state, autosave, tickAt } = setUp(0);
    await tickAt(1e9);
    assert.equal(state.saves, 0);
    assert.equal(await autosave.save(), true);
    assert.equal(state.saves, 1);
  });

  test('can change while the broker runs', async () => {
    const { state, autosave, tickAt } = setUp(1800);
    autosave.configure(10, false);
    await tickAt(10_000);
    assert.equal(state.saves, 1);
  });

  test('becomes longer on a disk that is too slow for it', async () => {
    const { state, tickAt } = setUp(1);
    state.takesMs = 300;
    await tickAt(1000);
    await tickAt(2000);
    assert.equal(state.saves, 1);
    await tickAt(4000);
    assert.equal(state.saves, 2);
  });
});

describe('autosave_on_changes', () => {
  test('saves when so many changes have been counted, and begins to count anew', async () => {
    const { state, changes, tickAt } = setUp(3, true);
    changes.add();
    changes.add();
    await tickAt(1e6);
    assert.equal(state.saves, 0);
    changes.add();
    await tickAt(1e6 + 1000);
    assert.equal(state.saves, 1);
    assert.equal(changes.count, 0);
    await tickAt(2e6);
    assert.equal(state.saves, 1);
  });

  test('counts in all threads', () => {
    const main = new ChangeCounter();
    const worker = new ChangeCounter(main.memory);
    worker.add();
    main.add();
    assert.equal(main.count, 2);
    assert.equal(worker.count, 2);
  });
});

describe('saving', () => {
  test('is done one at a time; who asks meanwhile gets a save of his own', async () => {
    const { state, autosave } = setUp(0);
    const saves = [autosave.save(), autosave.save()];
    autosave.tick();
    assert.equal(state.saves, 1);
    assert.deepEqual(await Promise.all(saves), [true, true]);
    assert.equal(state.saves, 2);
    assert.equal(state.mostAtOnce, 1);
  });

  test('without anything new is no save', async () => {
    const { state, events, autosave } = setUp(0);
    state.bytes = undefined;
    assert.equal(await autosave.save(), true);
    assert.deepEqual(events, []);
    assert.equal(autosave.last, undefined);
    assert.equal(autosave.bytesWritten, 0);
  });

  test('that fails is reported once and tried again every ten seconds', async () => {
    const { state, events, autosave, tickAt } = setUp(1800);
    state.fail = true;
    assert.equal(await autosave.save(), false);
    await tickAt(9_999);
    assert.equal(state.saves, 1);
    await tickAt(10_000);
    assert.equal(state.saves, 2);
    assert.equal(autosave.failing, true);
    state.fail = false;
    await tickAt(20_000);
    assert.equal(autosave.failing, false);
    assert.deepEqual(events, ['disk full', 'recovered', 'saved 100 at 20000']);
    assert.equal(autosave.bytesWritten, 100);
  });
});

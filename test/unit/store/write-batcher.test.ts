import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  Change,
  type Committer,
  WriteBatcher,
  type WriteBatcherOptions,
} from '../../../src/store/write-batcher.js';

/** A disk whose commits the test ends. */
class ManualDisk implements Committer {
  readonly log: string[] = [];
  /** Changes in a transaction. */
  roomFor = Number.POSITIVE_INFINITY;
  #end: ((error?: Error) => void)[] = [];

  prepare(): void {}

  ensureRoom(changes: number): void {
    if (changes > this.roomFor) throw new Error('no room');
  }

  committed(): Promise<void> {
    this.log.push('commit');
    return new Promise((resolve, reject) => {
      this.#end.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  refresh(): void {}

  get commitsUnderWay(): number {
    return this.#end.length;
  }

  async succeed(): Promise<void> {
    this.#end.shift()!();
    await turn();
  }

  async fail(): Promise<void> {
    this.#end.shift()!(new Error('disk full'));
    await turn();
  }
}

class TestChange extends Change {
  override readonly weight = 10;
  value = '';
  commits = 0;
  readonly #disk: ManualDisk;

  constructor(disk: ManualDisk, value: string) {
    super();
    this.#disk = disk;
    this.value = value;
  }

  override write(): void {
    this.#disk.log.push(this.value);
  }

  override committed(): void {
    this.commits += 1;
  }
}

function setUp(options: Partial<WriteBatcherOptions> = {}) {
  const disk = new ManualDisk();
  const batcher = new WriteBatcher(disk, { windowMs: 5, waitedWindowMs: 0, retryMs: 5, ...options });
  const change = (value: string) => new TestChange(disk, value);
  return { disk, batcher, change };
}

/** Waits until the batcher has begun a commit. */
async function commitBegins(disk: ManualDisk): Promise<void> {
  for (let i = 0; disk.commitsUnderWay === 0; i += 1) {
    assert.ok(i < 100_000, 'no commit began');
    await turn();
  }
}

describe('acknowledgements', () => {
  test('wait for the commit of what they stand for', async () => {
    const { disk, batcher, change } = setUp();
    let acknowledged = false;
    const mark = batcher.mark();
    batcher.add(change('a'));
    assert.equal(batcher.changedSince(mark), true);
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    await commitBegins(disk);
    assert.equal(acknowledged, false);
    await disk.succeed();
    assert.equal(acknowledged, true);
    assert.deepEqual(disk.log, ['a', 'commit']);
  });

  test('wait for nothing where nothing changed', () => {
    const { batcher, change } = setUp();
    batcher.add(change('before'));
    const mark = batcher.mark();
    assert.equal(batcher.changedSince(mark), false);
    let acknowledged = false;
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    assert.equal(acknowledged, true);
    batcher.cancel(change('never added'));
  });

  test('come when the change is cancelled, and nothing is written', async () => {
    const { disk, batcher, change } = setUp({ windowMs: 60_000 });
    const mark = batcher.mark();
    const put = change('a');
    batcher.add(put, true);
    let acknowledged = false;
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    await turn();
    assert.equal(acknowledged, false);
    batcher.cancel(put);
    assert.equal(acknowledged, true);
    assert.equal(await batcher.flush(), true);
    assert.deepEqual(disk.log, []);
  });

  test('wait for all changes, the last of which decides', async () => {
    const { disk, batcher, change } = setUp();
    const mark = batcher.mark();
    const patient = change('patient');
    batcher.add(patient, true);
    batcher.add(change('b'));
    let acknowledged = false;
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    batcher.cancel(patient);
    assert.equal(acknowledged, false);
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(acknowledged, true);
  });

  test('of a change noted twice come once, with the value written last', async () => {
    const { disk, batcher, change } = setUp();
    const mark = batcher.mark();
    const put = change('old');
    batcher.add(put);
    put.value = 'new';
    batcher.add(put);
    let acknowledged = 0;
    batcher.whenSettled(mark, () => {
      acknowledged += 1;
    });
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(acknowledged, 1);
    assert.deepEqual(disk.log, ['new', 'commit']);
  });

  test('of a change made again during its commit wait for the next one', async () => {
    const { disk, batcher, change } = setUp();
    const put = change('first');
    batcher.add(put);
    void batcher.flush();
    const mark = batcher.mark();
    put.value = 'second';
    batcher.add(put);
    let acknowledged = false;
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    await disk.succeed();
    assert.equal(acknowledged, false);
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(acknowledged, true);
    assert.deepEqual(disk.log, ['first', 'commit', 'second', 'commit']);
    assert.equal(put.commits, 2);
  });
});

describe('commitsDue', () => {
  test('is reached when all that is dirty or being written is committed', async () => {
    const { disk, batcher, change } = setUp({ windowMs: 60_000 });
    assert.equal(batcher.commitsDue, 0);
    batcher.add(change('a'));
    assert.equal(batcher.commitsDue, 1);
    void batcher.flush();
    assert.equal(batcher.commitsDue, 1);
    batcher.add(change('b'), true);
    assert.equal(batcher.commitsDue, 2);
    await disk.succeed();
    assert.deepEqual([batcher.commits, batcher.commitsDue], [1, 2]);
    void batcher.flush();
    await disk.succeed();
    assert.deepEqual([batcher.commits, batcher.commitsDue], [2, 2]);
  });

  test('counts the transactions that a large one is split into', () => {
    const { batcher, change } = setUp({ windowMs: 60_000 });
    for (let i = 0; i < 50_000; i += 1) batcher.add(change('a'));
    batcher.mark();
    batcher.add(change('b'));
    assert.equal(batcher.commitsDue, 2);
  });
});

describe('grouping', () => {
  test('only one commit is under way, the rest goes into the next', async () => {
    const { disk, batcher, change } = setUp();
    batcher.add(change('a'));
    batcher.whenSettled(0, () => {});
    await commitBegins(disk);
    for (const value of ['b', 'c']) {
      const mark = batcher.mark();
      batcher.add(change(value));
      batcher.whenSettled(mark, () => {});
    }
    await turn();
    await turn();
    assert.equal(disk.commitsUnderWay, 1);
    await disk.succeed();
    await commitBegins(disk);
    await disk.succeed();
    assert.deepEqual(disk.log, ['a', 'commit', 'b', 'c', 'commit']);
    assert.equal(batcher.commits, 2);
    assert.equal(batcher.written, 3);
  });

  test('a patient change waits for the window, a waited one does not', async () => {
    const { disk, batcher, change } = setUp({ windowMs: 60_000 });
    batcher.add(change('patient'), true);
    batcher.whenSettled(0, () => {});
    for (let i = 0; i < 5; i += 1) await turn();
    assert.equal(disk.commitsUnderWay, 0);
    const mark = batcher.mark();
    batcher.add(change('waited'));
    batcher.whenSettled(mark, () => {});
    await commitBegins(disk);
    await disk.succeed();
    assert.deepEqual(disk.log, ['patient', 'waited', 'commit']);
    await batcher.close();
  });

  test('a change nobody waits for follows the last commit at the distance of the window', async () => {
    const { disk, batcher, change } = setUp({ windowMs: 60_000 });
    batcher.add(change('first'));
    await commitBegins(disk);
    await disk.succeed();
    batcher.add(change('second'));
    for (let i = 0; i < 5; i += 1) await turn();
    assert.equal(disk.commitsUnderWay, 0);
    const closed = batcher.close();
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(await closed, true);
  });

  test('a window without end writes on request only, and nobody waits', async () => {
    const { disk, batcher, change } = setUp({ windowMs: Number.POSITIVE_INFINITY, dirtyBytesMax: 25 });
    const mark = batcher.mark();
    batcher.add(change('a'));
    assert.equal(batcher.changedSince(mark), false);
    let acknowledged = false;
    batcher.whenSettled(mark, () => {
      acknowledged = true;
    });
    assert.equal(acknowledged, true);
    batcher.add(change('b'));
    for (let i = 0; i < 5; i += 1) await turn();
    assert.equal(disk.commitsUnderWay, 0);
    batcher.add(change('c')); // beyond dirtyBytesMax
    await commitBegins(disk);
    await disk.succeed();
    assert.deepEqual(disk.log, ['a', 'b', 'c', 'commit']);
  });

  test('a window without end does not pile up what was cancelled or changed again', async () => {
    const { disk, batcher, change } = setUp({ windowMs: Number.POSITIVE_INFINITY });
    const kept = change('kept');
    for (let i = 0; i < 10_000; i += 1) {
      const cancelled = change('cancelled');
      batcher.add(cancelled, true);
      batcher.cancel(cancelled);
      batcher.add(kept);
    }
    assert.ok(batcher.dirty < 3000, `${batcher.dirty} in memory`);
    void batcher.flush();
    await disk.succeed();
    assert.deepEqual(disk.log, ['kept', 'commit']);
  });

  test('a flush during a commit is answered by the next commit', async () => {
    const { disk, batcher, change } = setUp();
    batcher.add(change('a'));
    void batcher.flush();
    batcher.add(change('b'));
    let flushed = false;
    const flush = batcher.flush().then(() => {
      flushed = true;
    });
    await disk.succeed();
    assert.equal(flushed, false);
    await commitBegins(disk);
    await disk.succeed();
    await flush;
    assert.deepEqual(disk.log, ['a', 'commit', 'b', 'commit']);
  });

  test('more changes than one transaction takes are split at a mark, in their order', async () => {
    const { disk, batcher, change } = setUp();
    for (let i = 0; i < 50_001; i += 1) {
      if (i % 3 === 0) batcher.mark();
      batcher.add(change(`${i}`));
    }
    batcher.mark();
    batcher.add(change('last'));
    let acknowledged = false;
    batcher.whenSettled(0, () => {
      acknowledged = true;
    });
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(acknowledged, false);
    await commitBegins(disk);
    await disk.succeed();
    assert.equal(acknowledged, true);
    const first = disk.log.indexOf('commit');
    assert.equal(first % 3, 0, 'at a mark');
    assert.ok(first > 49_900 && first <= 50_000);
    const expected = [...Array.from({ length: 50_001 }, (_, i) => `${i}`), 'last', 'commit'];
    assert.deepEqual([...disk.log.slice(0, first), ...disk.log.slice(first + 1)], expected);
  });

  test('what finds no room as a whole is written in pieces, and what finds none at all is not put', async () => {
    const errors: string[] = [];
    const { disk, batcher, change } = setUp({ onFailure: ({ message }) => errors.push(message) });
    disk.roomFor = 100;
    for (let i = 0; i < 256; i += 1) {
      batcher.mark();
      batcher.add(change(`${i}`));
    }
    const flushed = batcher.flush();
    for (let i = 0; i < 4; i += 1) await disk.succeed();
    assert.equal(await flushed, true);
    assert.equal(disk.log.indexOf('commit'), 64);
    assert.equal(disk.log.length, 256 + 4);
    disk.roomFor = 0;
    batcher.add(change('last'));
    assert.equal(await batcher.flush(), false);
    assert.deepEqual(errors, ['no room']);
    assert.equal(disk.log.length, 256 + 4);
    disk.roomFor = 1;
    const last = batcher.flush();
    await disk.succeed();
    assert.equal(await last, true);
  });
});

describe('a disk that fails', () => {
  test('keeps changes in their order and who waits for them, and tries again', async () => {
    const events: string[] = [];
    const { disk, batcher, change } = setUp({
      onFailure: (error) => events.push(error.message),
      onRecovery: () => events.push('recovered'),
    });
    batcher.add(change('a'));
    const kept = change('b');
    batcher.add(kept);
    let acknowledged = false;
    batcher.whenSettled(0, () => {
      acknowledged = true;
    });
    await commitBegins(disk);
    kept.value = 'b again';
    batcher.add(kept);
    batcher.add(change('c'));
    await disk.fail();
    assert.deepEqual(events, ['disk full']);
    assert.equal(batcher.failing, true);
    assert.equal(acknowledged, false);
    await commitBegins(disk);
    await disk.fail();
    await commitBegins(disk);
    await disk.succeed();
    assert.deepEqual(events, ['disk full', 'recovered']);
    assert.equal(acknowledged, true);
    assert.equal(batcher.failing, false);
    const attempt = ['a', 'b again', 'c', 'commit'];
    assert.deepEqual(disk.log, ['a', 'b', 'commit', ...attempt, ...attempt]);
  });

  test('holds up nothing that follows, where what failed was cancelled', async () => {
    const { disk, batcher, change } = setUp();
    disk.roomFor = 0;
    const failed = change('failed');
    batcher.add(failed);
    assert.equal(await batcher.flush(), false);
    batcher.cancel(failed);
    disk.roomFor = 1;
    assert.equal(await batcher.flush(), true);
    batcher.add(change('next'));
    await commitBegins(disk);
    assert.deepEqual(disk.log, ['next', 'commit']);
  });

  test('makes flush and close say so', async () => {
    const { disk, batcher, change } = setUp();
    batcher.add(change('a'));
    const flush = batcher.flush();
    await disk.fail();
    assert.equal(await flush, false);
    const closed = batcher.close();
    await commitBegins(disk);
    await disk.fail();
    assert.equal(await closed, false);
  });
});

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { Publication } from '../../../../src/mqtt/publication.js';
import { RetainedTails } from '../../../../src/store/retained/retained-tails.js';
import type { RetainedWalk } from '../../../../src/store/retained/retained-walk.js';
import type { Store } from '../../../../src/store/store.js';
import { topicMatchesFilter } from '../../../../src/topic/topic-filter.js';
import { assertGrowsLinearly } from '../../../support/growth.js';
import { message, openStore, publication, text } from '../../../support/store/stores.js';

function all(walk: RetainedWalk, limit = 1000): string[] {
  const topics: string[] = [];
  for (let calls = 0; !walk.done; calls += 1) {
    assert.ok(calls < 10_000, 'the walk does not end');
    const before = topics.length;
    walk.next(limit, ({ topic }) => topics.push(topic));
    assert.ok(topics.length - before <= limit);
  }
  return topics;
}

async function fill(store: Store, topics: Iterable<string>): Promise<void> {
  for (const topic of topics) store.retained.set(publication(topic, topic));
  assert.equal(await store.flush(), true);
}

describe('a retained message', () => {
  test('is read back before and after its commit', async (t) => {
    const store = openStore(t);
    const kept = message('a/b', 'payload', { properties: Buffer.from([1, 1]), qos: 2, originUsername: 'u' });
    store.retained.set(Publication.fromStored(kept));
    assert.deepEqual(store.retained.get('a/b')?.toStored(), kept);
    assert.deepEqual(all(store.retained.match('a/+')), ['a/b']);
    await store.flush();
    assert.deepEqual(store.retained.get('a/b')?.toStored(), kept);
    assert.deepEqual(all(store.retained.match('a/+')), ['a/b']);
    assert.equal(store.retained.count, 1);
  });

  test('is replaced and cleared', async (t) => {
    const store = openStore(t);
    await fill(store, ['a', 'b']);
    store.retained.set(publication('a', 'new'));
    store.retained.clear('b');
    assert.equal(text(store.retained.get('a')!.payload()), 'new');
    assert.equal(store.retained.get('b'), undefined);
    assert.deepEqual(all(store.retained.match('#')), ['a']);
    await store.flush();
    assert.equal(text(store.retained.get('a')!.payload()), 'new');
    assert.equal(store.retained.get('b'), undefined);
    assert.deepEqual(all(store.retained.match('#')), ['a']);
  });

  test('that is set and cleared within a window leaves nothing', async (t) => {
    const store = openStore(t);
    store.retained.set(publication('a'));
    store.retained.clear('a');
    await store.flush();
    assert.deepEqual(counts(store), [0, 0, 0]);
  });

  test('ends when it expires, and is removed when that is noticed', async (t) => {
    let now = 1000;
    const store = openStore(t, { now: () => now });
    store.retained.set(publication('a', 'short', { expiresAt: 2000 }));
    store.retained.set(publication('b', 'long', { expiresAt: 9000 }));
    await store.flush();
    now = 2000;
    assert.equal(store.retained.get('a'), undefined);
    assert.deepEqual(all(store.retained.match('#')), ['b']);
    await store.close(); // waits for the removal
    const again = openStore(t, { path: store.environment.path, now: () => now });
    await tailsOf(again).finished();
    assert.deepEqual(counts(again), [1, 1, 0]);
  });

  test('that is set anew just when it was found expired stays', async (t) => {
    let now = 1000;
    const store = openStore(t, { now: () => now });
    const other = openStore(t, { path: store.environment.path, now: () => now });
    store.retained.set(publication('a', 'short', { expiresAt: 2000 }));
    await store.flush();
    now = 2000;
    assert.equal(store.retained.get('a'), undefined); // its removal is on the way
    other.retained.set(publication('a', 'new'));
    await other.flush();
    await store.flush();
    store.refresh();
    assert.equal(text(store.retained.get('a')!.payload()), 'new');
  });

  test('has its tail restored where another thread cleared the topic in between', async (t) => {
    const store = openStore(t);
    const other = openStore(t, { path: store.environment.path });
    await fill(store, ['x/y']);
    other.retained.clear('x/y');
    store.retained.set(publication('x/y', 'again'));
    await Promise.all([other.flush(), store.flush()]);
    await store.flush();
    store.refresh();
    const left = store.retained.get('x/y') === undefined ? [] : ['x/y'];
    assert.deepEqual(all(store.retained.match('+/y')), left);
    assert.deepEqual(all(store.retained.match('x/+')), left);
  });
});

/** Messages, tails, and notes of tails to be looked at. */
const counts = ({ environment }: Store) =>
  (['retained', 'retainedTails', 'tailNotes'] as const).map((table) => environment.entryCount(table));

const tailsOf = ({ environment }: Store) => new RetainedTails(environment);

describe('tails', () => {
  test('are noted at first, all topics of a transaction in one record, and brought in line later', async (t) => {
    const store = openStore(t);
    await fill(store, ['a/x', 'b/x', 'c/y']);
    assert.deepEqual(counts(store), [3, 0, 1]);
    assert.deepEqual(all(store.retained.match('+/x')), ['a/x', 'b/x']);
    await tailsOf(store).finished();
    store.refresh();
    assert.deepEqual(counts(store), [3, 3, 0]);
    assert.deepEqual(all(store.retained.match('+/x')), ['a/x', 'b/x']);
  });

  test('wait until a second has passed without new topics', async (t) => {
    const store = openStore(t);
    const tails = tailsOf(store);
    await fill(store, ['a/x', 'b/x']);
    tails.tick();
    await fill(store, ['c/x']);
    tails.tick();
    await fill(store, ['c/x']); // not new
    assert.deepEqual(counts(store), [3, 0, 2]);
    tails.tick();
    await tails.stop();
    store.refresh();
    assert.deepEqual(counts(store), [3, 3, 0]);
  });

  test('do not wait for quiet for ever', async (t) => {
    const store = openStore(t);
    const tails = tailsOf(store);
    for (let second = 0; second < 12; second += 1) {
      await fill(store, [`${second}/x`]);
      tails.tick();
    }
    await tails.stop(); // after its current step
    store.refresh();
    assert.ok(store.environment.entryCount('retainedTails') >= 10);
  });

  test('do not wait where some megabytes of topics have come', async (t) => {
    const store = openStore(t);
    const tails = tailsOf(store);
    const name = 'x'.repeat(1000);
    await fill(
      store,
      Array.from({ length: 4300 }, (_, i) => `${i}/${name}`),
    );
    tails.tick();
    await tails.stop(); // after its current step
    store.refresh();
    assert.ok(store.environment.entryCount('retainedTails') > 0);
  });

  test('are as many for the second message of a topic, and one less when it is cleared', async (t) => {
    const store = openStore(t);
    await fill(store, ['a/x', 'b/x']);
    await tailsOf(store).finished();
    await fill(store, ['a/x']);
    assert.deepEqual(counts(store), [2, 2, 0]);
    store.retained.clear('a/x');
    store.retained.clear('c/x'); // was never there
    await store.flush();
    assert.deepEqual(counts(store), [1, 2, 1]);
    assert.deepEqual(all(store.retained.match('+/x')), ['b/x']);
    await tailsOf(store).finished();
    store.refresh();
    assert.deepEqual(counts(store), [1, 1, 0]);
  });

  test('that another thread has noted are looked at', async (t) => {
    const store = openStore(t);
    const other = openStore(t, { path: store.environment.path });
    await fill(other, ['a/x', '$SYS/x', 'b/y']);
    assert.deepEqual(all(store.retained.match('+/x')), ['a/x']);
  });

  test('that are noted twice, by threads that set and clear, come out as the last one left it', async (t) => {
    const store = openStore(t);
    const other = openStore(t, { path: store.environment.path });
    await fill(store, ['a/x']);
    other.retained.clear('a/x');
    await other.flush();
    await fill(store, ['a/x']);
    other.retained.clear('a/x');
    await other.flush();
    await tailsOf(store).finished();
    store.refresh();
    assert.deepEqual(counts(store), [0, 0, 0]);
  });

  test('of many topics are brought in line in steps, and by the next start where a stop came between', async (t) => {
    const store = openStore(t);
    const topics = Array.from({ length: 12_000 }, (_, i) => `${i}/${i % 7}`);
    await fill(store, topics);
    const tails = tailsOf(store);
    const work = tails.finished();
    await tails.stop();
    await work;
    await store.close();
    const again = openStore(t, { path: store.environment.path });
    assert.ok(again.environment.entryCount('retainedTails') < topics.length);
    const expected = topics.filter((topic) => topic.endsWith('/3'));
    assert.deepEqual(all(again.retained.match('+/3')).sort(), expected.sort());
    await tailsOf(again).finished();
    again.refresh();
    assert.deepEqual(counts(again), [12_000, 12_000, 0]);
    assert.deepEqual(all(again.retained.match('+/3')).sort(), expected.sort());
  });
});

describe('a tail stays where its topic is set anew', () => {
  /** The transaction of `store` that is begun next ends when `go` is called: its thread is slow, say. */
  function hold({ environment }: Store): { go: () => void } {
    const { put, remove, committed } = environment;
    const writes: (() => void)[] = [];
    let go = () => {};
    const gone = new Promise<void>((resolve) => {
      go = resolve;
    });
    environment.put = (...args) => void writes.push(() => put.apply(environment, args));
    environment.remove = (...args) => void writes.push(() => remove.apply(environment, args));
    environment.committed = async () => {
      await gone;
      Object.assign(environment, { put, remove, committed });
      for (const write of writes) write();
      await committed.call(environment);
    };
    return { go: () => go() };
  }

  /** `other` sets `x/y` in a commit that ends after `store` has cleared it, and its note has been worked off. */
  async function setWhileCleared(t: TestContext) {
    const store = openStore(t);
    const other = openStore(t, { path: store.environment.path });
    await fill(store, ['x/y']);
    await tailsOf(store).finished();
    const { go } = hold(other);
    const set = fill(other, ['x/y']);
    store.retained.clear('x/y');
    await store.flush();
    await tailsOf(store).finished();
    const finish = async (): Promise<void> => {
      go();
      await set;
      await other.flush();
    };
    return { other, finish };
  }

  test('by a thread that had not seen yet that another one cleared it', async (t) => {
    const { other, finish } = await setWhileCleared(t);
    await finish();
    assert.deepEqual(all(other.retained.match('+/y')), ['x/y']);
  });

  test('by a slow thread that sets it once more meanwhile', async (t) => {
    const { other, finish } = await setWhileCleared(t);
    other.retained.set(publication('x/y', 'again')); // dirty while the first commit is under way
    await finish();
    assert.deepEqual(all(other.retained.match('+/y')), ['x/y']);
  });

  test('by a thread that had not seen yet that another one removed what has expired', async (t) => {
    let now = 1000;
    const store = openStore(t, { now: () => now });
    const other = openStore(t, { path: store.environment.path, now: () => now });
    store.retained.set(publication('x/y', 'short', { expiresAt: 2000 }));
    await store.flush();
    await tailsOf(store).finished();
    now = 2000;
    const { go } = hold(other);
    const set = fill(other, ['x/y']);
    assert.equal(store.retained.get('x/y'), undefined);
    assert.deepEqual(all(store.retained.match('#')), []);
    await store.environment.inTransaction(() => {}, 0, 0); // the removal is before it
    go();
    await set;
    assert.deepEqual(all(other.retained.match('+/y')), ['x/y']);
  });
});

describe('matching', () => {
  const levels = ['', 'a', 'b', 'ab', 'c', '$x', 'é', 'a\u0001'];
  const anyLevel = fc.constantFrom(...levels);
  const anyTopic = fc.array(anyLevel, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const anyFilter = fc
    .tuple(fc.array(fc.oneof(anyLevel, fc.constant('+')), { maxLength: 4 }), fc.boolean())
    .filter(([parts, hash]) => parts.length > 0 || hash)
    .map(([parts, hash]) => [...parts, ...(hash ? ['#'] : [])].join('/'));

  test('finds what the filter matches, on disk and not yet there, each once', async (t) => {
    const store = openStore(t);
    let stored: string[] = [];
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(anyTopic, { maxLength: 40 }),
        fc.uniqueArray(anyTopic, { maxLength: 10 }),
        fc.array(anyFilter, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 1, max: 7 }),
        async (onDisk, changed, filters, limit) => {
          for (const topic of stored) store.retained.clear(topic);
          await fill(store, onDisk);
          const expected = new Set(onDisk);
          changed.forEach((topic, index) => {
            if (index % 2 === 0) store.retained.clear(topic);
            else store.retained.set(publication(topic));
            if (index % 2 === 0) expected.delete(topic);
            else expected.add(topic);
          });
          stored = [...onDisk, ...changed];
          for (const filter of filters) {
            const wanted = [...expected].filter((topic) => topicMatchesFilter(topic, filter)).sort();
            assert.deepEqual(all(store.retained.match(filter), limit).sort(), wanted, filter);
          }
          assert.deepEqual(all(store.retained.all(), limit).sort(), [...expected].sort());
        },
      ),
      { numRuns: 150 },
    );
  });

  test('finds topics whose keys are cut', async (t) => {
    const store = openStore(t);
    const long = 'l'.repeat(1000);
    const topics = [
      `${long}/${long}/a`,
      `${long}/${long}/b`,
      `a/${long}/${long}/${long}`,
      `${'x/'.repeat(199)}${long}${long}`,
      `$top/${long}${long}`,
      'a/short/one',
    ];
    await fill(store, topics);
    const filters = [
      '#',
      '+/+/a',
      '+/+/b',
      `${long}/#`,
      `${long}/+/a`,
      `${long}/${long}/a`,
      'a/+/+/+',
      'a/#',
    ];
    filters.push(
      `+/${long}/+`,
      `${'+/'.repeat(199)}+`,
      '$top/#',
      '$top/+',
      `+/${long}/a`,
      `a/${long}/${long}/${long}`,
    );
    for (const filter of filters) {
      const wanted = topics.filter((topic) => topicMatchesFilter(topic, filter)).sort();
      assert.deepEqual(all(store.retained.match(filter)).sort(), wanted, filter.slice(0, 20));
    }
    for (const topic of topics) assert.equal(store.retained.get(topic)?.topic, topic);
    for (const topic of topics) store.retained.clear(topic);
    await store.flush();
    assert.equal(store.environment.entryCount('retained') + store.environment.entryCount('retainedTails'), 0);
  });
});

describe('the cost of matching', () => {
  /** 30 sites × 30 devices × 30 values, and some topics of other depths. */
  function* topics() {
    for (let site = 0; site < 30; site += 1) {
      yield `site${site}`;
      for (let device = 0; device < 30; device += 1) {
        yield `site${site}/device${device}`;
        for (let value = 0; value < 30; value += 1) yield `site${site}/device${device}/value${value}`;
      }
    }
  }

  const table: [string, number, number][] = [
    // filter, matches, most keys that may be touched
    ['site1/device1/value1', 1, 2],
    ['site1/device1/+', 30, 31],
    ['site1/device1/#', 31, 40],
    ['site1/#', 931, 940],
    ['site1', 1, 2],
    ['+/+/value7', 900, 902], // one more for each call after the first
    ['+/device3/value7', 30, 31],
    ['+', 30, 31],
    ['+/device3', 30, 31],
    ['site3/+/value7', 30, 600], // forward, 30 devices: a few steps and a jump each
    ['+/device3/+', 900, 1500], // 30 sites: a few steps and a jump each
    ['none/+/+', 0, 1],
    ['+/+/none', 0, 1],
    ['+/none/+', 0, 600],
    ['+/+/+/+', 0, 1],
  ];

  test('is bounded by what can match', async (t) => {
    const store = openStore(t);
    await fill(store, topics());
    await tailsOf(store).finished();
    assert.equal(store.retained.count, 27_930);
    for (const [filter, matches, touchedMax] of table) {
      const walk = store.retained.match(filter);
      assert.equal(all(walk).length, matches, filter);
      assert.ok(walk.touched <= touchedMax, `${filter} touched ${walk.touched} keys, ${touchedMax} at most`);
    }
  });

  test('goes over the index that has fewer keys if a filter begins and ends with as many literal levels', async (t) => {
    const store = openStore(t);
    await fill(
      store,
      (function* () {
        for (let i = 0; i < 3000; i += 1) yield `x/${i}/value`;
        for (let i = 0; i < 3; i += 1) yield `x/${i}/rare`;
        for (let i = 0; i < 3; i += 1) yield `few/${i}/value`;
      })(),
    );
    await tailsOf(store).finished();
    for (const filter of ['x/+/rare', 'few/+/value']) {
      const walk = store.retained.match(filter);
      assert.equal(all(walk).length, 3, filter);
      assert.ok(walk.touched <= 5, `${filter} touched ${walk.touched} keys`);
    }
  });

  test('of what is not on disk yet grows with its number', (t) => {
    const store = openStore(t);
    assertGrowsLinearly(5000, (count) => {
      for (let i = 0; i < count; i += 1) store.retained.set(publication(`u/${i}`));
      const walk = store.retained.match('u/#');
      return () => {
        let found = 0;
        while (!walk.done) walk.next(16, () => void (found += 1));
        assert.ok(found >= count);
      };
    });
  });

  test('is spread over several calls where it is large', async (t) => {
    const store = openStore(t);
    await fill(store, topics());
    const walk = store.retained.match('+/+/+');
    let first = 0;
    walk.next(100, () => {
      first += 1;
    });
    assert.equal(first, 100);
    assert.ok(walk.touched < 200);
    assert.equal(all(walk).length, 27_000 - 100);
  });
});

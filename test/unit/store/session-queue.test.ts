import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Residence } from '../../../src/session/keeper.js';
import type { QueueEntry } from '../../../src/store/queue-entry.js';
import type { Store } from '../../../src/store/store.js';
import type { StoredSession } from '../../../src/store/stored-session.js';
import { delivery, message, openStore, session, text } from '../../support/stores.js';

const LARGE = 'p'.repeat(300);

const RESIDENCES: readonly Residence[] = ['passing', 'waiting', 'stored'];

function append(store: Store, to: StoredSession, payload: string, residence?: Residence): QueueEntry {
  return to.outgoing.append(store.keep(message('t', payload)), delivery(), residence);
}

function payloads(entries: QueueEntry[]): string[] {
  return entries.map((entry) => text(entry.message.payload));
}

/** The store as the next start finds it. */
async function reopen(t: Parameters<typeof openStore>[0], store: Store): Promise<Store> {
  await store.close();
  return openStore(t, { path: store.environment.path });
}

describe('a queue', () => {
  test('gives its messages in their order, on disk or not yet', async (t) => {
    const store = openStore(t);
    const queue = store.sessions.create(session('c')).outgoing;
    const add = (payload: string) => queue.append(store.keep(message('t', payload)), delivery());
    add('1');
    add('2');
    await store.flush();
    add('3');
    assert.deepEqual(payloads(queue.read(0, 10)), ['1', '2', '3']);
    assert.deepEqual(payloads(queue.read(0, 2)), ['1', '2']);
    assert.deepEqual(payloads(queue.read(queue.read(0, 2)[1]!.sequence, 10)), ['3']);
    assert.deepEqual(payloads(queue.read(3, 10)), []);
  });

  test('is as it was after a restart, and goes on', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const kept = message('topic', 'body', { properties: Buffer.from([1, 1]), qos: 2, expiresAt: 5_000_000 });
    one.outgoing.append(
      store.keep(kept),
      delivery({ qos: 2, retain: true, dup: true, subscriptionIds: [7, 300] }),
    );
    append(store, one, 'second');
    const again = await reopen(t, store);
    const { stored, outgoing, incoming } = again.sessions.load('c')!;
    assert.deepEqual(outgoing, {
      inFlight: [],
      waiting: 2,
      waitingQos0: 0,
      waitingBytes: 10,
      lastSequence: 2,
    });
    assert.deepEqual(incoming, {
      inFlight: [],
      waiting: 0,
      waitingQos0: 0,
      waitingBytes: 0,
      lastSequence: 0,
    });
    const [first] = stored.outgoing.read(0, 10);
    assert.deepEqual(first!.message, kept);
    assert.equal(first!.retain, true);
    assert.equal(first!.dup, true);
    assert.deepEqual(first!.subscriptionIds, [7, 300]);
    append(again, stored, 'third');
    assert.deepEqual(payloads(stored.outgoing.read(0, 10)), ['body', 'second', 'third']);
  });

  test('keeps states, and leaves out what is in flight when it is read on', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const [a, b] = ['a', 'b', 'c'].map((payload) => append(store, one, payload));
    await store.flush();
    a!.update({ state: 'awaiting PUBREC', packetId: 9 });
    b!.update({ state: 'awaiting PUBACK', packetId: 10, dup: true });
    assert.deepEqual(payloads(one.outgoing.read(0, 10)), ['c']);
    const again = await reopen(t, store);
    const { stored, outgoing } = again.sessions.load('c')!;
    assert.deepEqual(
      outgoing.inFlight.map(({ state, packetId, dup }) => ({ state, packetId, dup })),
      [
        { state: 'awaiting PUBREC', packetId: 9, dup: false },
        { state: 'awaiting PUBACK', packetId: 10, dup: true },
      ],
    );
    assert.equal(outgoing.waiting, 1);
    assert.deepEqual(payloads(stored.outgoing.read(0, 10)), ['c']);
  });

  test('drops the content of a message after its PUBREC', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const entry = append(store, one, LARGE);
    await store.flush();
    entry.update({ state: 'awaiting PUBCOMP' });
    const again = await reopen(t, store);
    const [left] = again.sessions.load('c')!.outgoing.inFlight;
    assert.equal(left!.message.payload.length, 0);
    assert.equal(left!.message.topic, 't');
    assert.equal(left!.payloadBytes, 300);
  });

  test('writes nothing for a message that is removed within the window', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    await store.flush();
    const { commits } = store.statistics();
    let acknowledged = false;
    const mark = store.mark();
    const entry = append(store, one, 'x', 'passing');
    store.whenSettled(mark, () => {
      acknowledged = true;
    });
    assert.equal(acknowledged, false);
    entry.remove();
    assert.equal(acknowledged, true);
    assert.deepEqual(one.outgoing.read(0, 10), []);
    await store.flush();
    assert.equal(store.statistics().commits, commits);
    assert.equal(store.environment.entryCount('queue'), 0);
  });

  test('keeps both directions apart', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const held = delivery({ state: 'awaiting PUBREL', packetId: 5, qos: 2 });
    const received = one.incoming.append(store.keep(message('in', 'i')), held);
    append(store, one, 'o');
    await store.flush();
    const again = await reopen(t, store);
    const { stored, incoming, outgoing } = again.sessions.load('c')!;
    assert.deepEqual(payloads(incoming.inFlight), ['i']);
    assert.equal(incoming.inFlight[0]!.packetId, 5);
    assert.equal(outgoing.waiting, 1);
    incoming.inFlight[0]!.remove();
    await again.flush();
    assert.equal(again.environment.entryCount('queue'), 1);
    assert.deepEqual(payloads(stored.outgoing.read(0, 10)), ['o']);
    assert.equal(received.sequence, 1);
  });

  test('goes on behind a record that has rotted, and reports it', async (t) => {
    const damage: string[] = [];
    const store = openStore(t, { onDamage: (error) => damage.push(error.message) });
    const one = store.sessions.create(session('c'));
    const entries: QueueEntry[] = [];
    for (const payload of ['1', '2', '3']) {
      entries.push(append(store, one, payload, 'stored'));
      await store.flush(); // each has a record of its own
    }
    const { environment } = store;
    environment.put(environment.tables.queue, one.outgoing.keyOf(entries[1]!.sequence), Buffer.from([9, 9]));
    await environment.committed();
    store.refresh();
    assert.deepEqual(payloads(one.outgoing.read(0, 10)), ['1', '3']);
    assert.equal(damage.length, 1);
  });
});

describe('a message in several queues', () => {
  async function shareAmongThree(
    store: Store,
  ): Promise<{ sessions: StoredSession[]; entries: QueueEntry[] }> {
    const sessions = ['a', 'b', 'c'].map((clientId) => store.sessions.create(session(clientId)));
    const kept = store.keep(message('t', LARGE));
    const entries = sessions.map((one) => one.outgoing.append(kept, delivery()));
    await store.flush();
    return { sessions, entries };
  }

  const counts = ({ environment }: Store) =>
    (['messages', 'references', 'queue'] as const).map((table) => environment.entryCount(table));

  test('is stored once, and removed with its last reference', async (t) => {
    const store = openStore(t);
    const { sessions, entries } = await shareAmongThree(store);
    assert.deepEqual(counts(store), [1, 3, 3]);
    for (const one of sessions) assert.deepEqual(payloads(one.outgoing.read(0, 1)), [LARGE]);
    entries[0]!.remove();
    entries[1]!.remove();
    await store.flush();
    assert.deepEqual(counts(store), [1, 1, 1]);
    entries[2]!.remove();
    await store.flush();
    await store.flush(); // the message follows its references
    assert.deepEqual(counts(store), [0, 0, 0]);
  });

  test('is removed also where its queues have come to different threads', async (t) => {
    const first = openStore(t);
    await shareAmongThree(first);
    await first.close();
    const stores = [1, 2, 3].map(() => openStore(t, { path: first.environment.path }));
    const entries = ['a', 'b', 'c'].map(
      (id, i) => stores[i]!.sessions.load(id)!.stored.outgoing.read(0, 1)[0]!,
    );
    assert.deepEqual(payloads(entries), [LARGE, LARGE, LARGE]);
    for (const entry of entries) entry.remove();
    await Promise.all(stores.map((store) => store.flush()));
    await Promise.all(stores.map((store) => store.flush()));
    stores[0]!.refresh();
    assert.deepEqual(counts(stores[0]!), [0, 0, 0]);
  });

  test('is kept by the queues themselves where it is small, or where only one is left', async (t) => {
    const store = openStore(t);
    const sessions = ['a', 'b'].map((clientId) => store.sessions.create(session(clientId)));
    const small = store.keep(message('t', 'small'));
    for (const one of sessions) one.outgoing.append(small, delivery());
    const large = store.keep(message('t', LARGE));
    const [first] = sessions.map((one) => one.outgoing.append(large, delivery()));
    first!.remove();
    await store.flush();
    assert.deepEqual(counts(store), [0, 0, 2]); // a record a queue
  });

  test('gives up its reference when its content is dropped', async (t) => {
    const store = openStore(t);
    const { entries } = await shareAmongThree(store);
    for (const entry of entries) entry.update({ state: 'awaiting PUBCOMP', packetId: 1 });
    await store.flush();
    await store.flush();
    assert.deepEqual(counts(store), [0, 0, 3]);
  });

  test('is written anew where it comes into a queue later', async (t) => {
    const store = openStore(t);
    const { sessions, entries } = await shareAmongThree(store);
    const moved = store.sessions.create(session('d'));
    const again = store.keep(entries[0]!.message);
    moved.outgoing.append(again, delivery());
    for (const one of sessions) one.end();
    await store.flush();
    await store.close();
    const later = openStore(t, { path: store.environment.path });
    assert.deepEqual(payloads(later.sessions.load('d')!.stored.outgoing.read(0, 5)), [LARGE]);
  });
});

describe('any order of changes', () => {
  interface Model {
    payload: string;
    entry: QueueEntry;
    inFlight: boolean;
    /** Its entry was not kept by who appended it. */
    isOnDisk: boolean;
  }

  type Step = { what: 'append' | 'send' | 'remove' | 'flush' | 'reopen' | 'read' | 'turn'; pick: number };
  const anyStep: fc.Arbitrary<Step> = fc.record({
    what: fc.constantFrom(
      'append',
      'append',
      'append',
      'send',
      'remove',
      'remove',
      'flush',
      'reopen',
      'read',
      'turn',
    ),
    pick: fc.nat(1000),
  });

  test('leaves the queue that a list would be', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), async (steps) => {
        let store = openStore(t);
        let one = store.sessions.create(session('c'));
        let list: Model[] = [];
        let count = 0;
        const check = () => {
          const waiting = list.filter(({ inFlight }) => !inFlight).map(({ payload }) => payload);
          assert.deepEqual(payloads(one.outgoing.read(0, 1000)), waiting);
          const half = list[list.length >> 1];
          if (half === undefined) return;
          const after = list.filter(
            ({ entry, inFlight }) => !inFlight && entry.sequence > half.entry.sequence,
          );
          const read = one.outgoing.read(half.entry.sequence, 3);
          assert.deepEqual(
            payloads(read),
            after.slice(0, 3).map(({ payload }) => payload),
          );
        };
        const take = (pick: number): Model | undefined => {
          const model = list[pick % Math.max(1, list.length)];
          if (model?.isOnDisk) model.entry = one.outgoing.read(model.entry.sequence - 1, 1)[0]!;
          if (model) model.isOnDisk = false;
          return model;
        };
        for (const { what, pick } of steps) {
          const chosen = what === 'send' || what === 'remove' ? take(pick) : undefined;
          switch (what) {
            case 'append': {
              count += 1;
              const payload = `${count} ${pick % 2 === 0 ? LARGE : ''}`;
              const residence = RESIDENCES[pick % 3];
              const entry = append(store, one, payload, residence);
              list.push({ payload, entry, inFlight: false, isOnDisk: residence === 'stored' });
              break;
            }
            case 'send':
              chosen?.entry.update({ state: 'awaiting PUBACK', packetId: 1 });
              if (chosen) chosen.inFlight = true;
              break;
            case 'remove':
              chosen?.entry.remove();
              list = list.filter((item) => item !== chosen);
              break;
            case 'flush':
              assert.equal(await store.flush(), true);
              break;
            case 'turn':
              void store.flush();
              await new Promise(setImmediate);
              break;
            case 'reopen': {
              store = await reopen(t, store);
              const loaded = store.sessions.load('c')!;
              one = loaded.stored;
              const entries = [...loaded.outgoing.inFlight, ...one.outgoing.read(0, 1000)];
              entries.sort((a, b) => a.sequence - b.sequence);
              assert.deepEqual(
                payloads(entries),
                list.map(({ payload }) => payload),
              );
              assert.equal(loaded.outgoing.waiting, list.filter(({ inFlight }) => !inFlight).length);
              list.forEach((item, index) => {
                item.entry = entries[index]!;
              });
              break;
            }
            case 'read':
              check();
          }
        }
        check();
        await store.close();
      }),
      { numRuns: 60 },
    );
  });
});

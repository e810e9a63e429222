import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AssertionError } from '../../../../src/base/assert.js';
import type { Residence } from '../../../../src/session/session-storage.js';
import { LmdbBrokerStore } from '../../../../src/store/broker-store.js';
import type { QueueEntry } from '../../../../src/store/sessions/queue-entry.js';
import type { StoredSession } from '../../../../src/store/sessions/stored-session.js';
import type { Store } from '../../../../src/store/store.js';
import { BrokerFixture } from '../../../support/brokers/broker-fixture.js';
import { delivery, message, openStore, session, text } from '../../../support/store/stores.js';

const LARGE = 'p'.repeat(300);

function append(store: Store, to: StoredSession, payload: string, residence?: Residence): QueueEntry {
  return to.outgoing.append(store.sharedMessage(message('t', payload)), delivery(), residence);
}

function payloads(entries: QueueEntry[]): string[] {
  return entries.map((entry) => text(entry.message.payload));
}

/** The store as the next start finds it. */
async function reopen(t: Parameters<typeof openStore>[0], store: Store): Promise<Store> {
  await store.close();
  return openStore(t, { path: store.environment.path });
}

describe('an entry', () => {
  test('that is gone is not changed, and a second removal does nothing', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const fresh = append(store, one, 'fresh');
    const recorded = append(store, one, 'recorded');
    fresh.remove();
    await store.flush();
    recorded.remove();
    for (const entry of [fresh, recorded]) {
      entry.remove();
      assert.equal(entry.isGone, true);
      assert.throws(() => entry.update({ state: 'awaiting PUBACK', packetId: 1 }), AssertionError);
      assert.throws(() => entry.updateLater('awaiting PUBACK', 1), AssertionError);
    }
    await store.flush();
    assert.equal(store.environment.entryCount('queue'), 0);
  });

  test('is in no record until its first write', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('c'));
    const entry = append(store, one, 'a');
    const recordOf = ({ record }: QueueEntry) => record?.first;
    assert.equal(recordOf(entry), undefined);
    await store.flush();
    assert.equal(recordOf(entry), entry.sequence);
    one.end();
    assert.throws(() => append(store, one, 'b'), AssertionError);
  });
});

describe('a queue', () => {
  test('gives its messages in their order, on disk or not yet', async (t) => {
    const store = openStore(t);
    const queue = store.sessions.create(session('c')).outgoing;
    const add = (payload: string) => queue.append(store.sharedMessage(message('t', payload)), delivery());
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
      store.sharedMessage(kept),
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
    const received = one.incoming.append(store.sharedMessage(message('in', 'i')), held);
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
    const kept = store.sharedMessage(message('t', LARGE));
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
    const small = store.sharedMessage(message('t', 'small'));
    for (const one of sessions) one.outgoing.append(small, delivery());
    const large = store.sharedMessage(message('t', LARGE));
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
    const again = store.sharedMessage(entries[0]!.message);
    moved.outgoing.append(again, delivery());
    for (const one of sessions) one.end();
    await store.flush();
    await store.close();
    const later = openStore(t, { path: store.environment.path });
    assert.deepEqual(payloads(later.sessions.load('d')!.stored.outgoing.read(0, 5)), [LARGE]);
  });
});

test('a QoS 2 message is not gone before it is in the queue of its receiver, however much there is to write', async (t) => {
  const store = openStore(t);
  const one = store.sessions.create(session('c'));
  const held = delivery({ state: 'awaiting PUBREL', packetId: 5, qos: 2 });
  const received = ['1', '2'].map((payload) =>
    one.incoming.append(store.sharedMessage(message('t', payload)), held),
  );
  await store.flush(); // both are in one record
  const mark = store.mark();
  received[0]!.remove();
  append(store, one, '1');
  // As the next start finds it, if the process is killed just after the first transaction.
  const left = new Promise<string[]>((resolve) => {
    store.whenSettled(mark, () => {
      const next = openStore(t, { path: store.environment.path }).sessions.load('c')!;
      resolve([...payloads(next.incoming.inFlight), ...payloads(next.stored.outgoing.read(0, 10))].sort());
    });
  });
  for (let i = 0; i < 50_000; i += 1) store.retained.clear('t'); // a burst
  store.mark();
  received[1]!.remove();
  append(store, one, '2');
  assert.deepEqual(await left, ['1', '2']);
});

test('a mark of a session within a publish does not part what is noted of it from its message', async (t) => {
  const store = openStore(t);
  const { broker } = new BrokerFixture({ store: new LmdbBrokerStore(store) });
  const one = store.sessions.create(session('c'));
  await store.flush();
  for (let i = 0; i < 49_999; i += 1) store.retained.clear('t'); // a burst
  const mark = store.mark();
  const messageId = one.incoming.keyOf(1).toString('hex');
  broker.store.isNewTo('c', { messageId, isElsewhere: true });
  const left = new Promise<string[]>((resolve) => {
    store.whenSettled(mark, () => {
      const next = openStore(t, { path: store.environment.path });
      assert.equal(next.deliveryNotes.has(messageId, 'c'), true);
      resolve(payloads(next.sessions.load('c')!.stored.outgoing.read(0, 10)));
    });
  });
  broker.markWithin();
  append(store, one, '1');
  assert.deepEqual(await left, ['1']);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { SubscriptionRecord } from '../../../../src/model/session-record.js';
import type { TableName } from '../../../../src/store/environment.js';
import type { Store } from '../../../../src/store/store.js';
import { delivery, message, openFillableStore, openStore, session } from '../../../support/store/stores.js';

function subscription(filter: string, fields: Partial<SubscriptionRecord> = {}): SubscriptionRecord {
  return {
    filter,
    qos: 1,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0,
    subscriptionId: 0,
    ...fields,
  };
}

const SESSION_TABLES: TableName[] = [
  'sessions',
  'subscriptions',
  'queue',
  'messages',
  'references',
  'garbage',
];

function leftovers({ environment }: Store): Record<string, number> {
  environment.refresh();
  const counts = SESSION_TABLES.map((table) => [table, environment.entryCount(table)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count > 0));
}

/** Until everything that follows from changes is written: removals are done step by step. */
async function settle(store: Store): Promise<void> {
  await store.flush();
  await store.sessions.sweepingFinished();
  while (store.statistics().dirty > 0) await store.flush();
}

describe('a session', () => {
  test('comes back with its subscriptions', async (t) => {
    const store = openStore(t);
    const will = { message: message('will', 'gone'), delay: 30, expiry: 60, dueAt: 0 };
    const record = session('client', { username: 'bob', protocolVersion: 4, lastPacketId: 77, will });
    const stored = store.sessions.create(record);
    const subscriptions = [
      subscription('a/#', {
        qos: 2,
        noLocal: true,
        retainAsPublished: true,
        retainHandling: 2,
        subscriptionId: 300,
      }),
      subscription('$share/group/b'),
      subscription('x'.repeat(5000)),
    ];
    for (const one of [...subscriptions, subscription('gone')]) stored.subscribe(one);
    stored.unsubscribe('gone');
    await store.close();
    const again = openStore(t, { path: store.environment.path });
    assert.deepEqual([...again.sessions.list()], [record]);
    const loaded = again.sessions.load('client')!;
    assert.deepEqual(loaded.stored.record, record);
    const byFilter = (a: SubscriptionRecord, b: SubscriptionRecord) => (a.filter < b.filter ? -1 : 1);
    assert.deepEqual(loaded.subscriptions.sort(byFilter), subscriptions.sort(byFilter));
    assert.equal(again.sessions.load('nobody'), undefined);
  });

  test('keeps its latest state', async (t) => {
    const store = openStore(t);
    const stored = store.sessions.create(session('client'));
    stored.subscribe(subscription('a', { qos: 0 }));
    await store.flush();
    stored.update({ expiresAt: 99, disconnectedAt: 9, lastPacketId: 3 });
    stored.update({ lastPacketId: 4 });
    stored.subscribe(subscription('a', { qos: 2 }));
    await store.close();
    const again = openStore(t, { path: store.environment.path });
    const loaded = again.sessions.load('client')!;
    assert.deepEqual(
      loaded.stored.record,
      session('client', { expiresAt: 99, disconnectedAt: 9, lastPacketId: 4 }),
    );
    assert.deepEqual(loaded.subscriptions, [subscription('a', { qos: 2 })]);
  });

  test('leaves nothing when it ends', async (t) => {
    const store = openStore(t);
    const stored = store.sessions.create(session('client'));
    const other = store.sessions.create(session('other'));
    const kept = store.sharedMessage(message('t', 'p'.repeat(500)));
    for (const one of [stored, other]) {
      one.subscribe(subscription('a'));
      one.outgoing.append(kept, delivery());
    }
    await store.flush();
    assert.equal(store.sessions.count, 2);
    stored.outgoing.append(store.sharedMessage(message('t')), delivery());
    stored.end();
    await settle(store);
    assert.deepEqual(leftovers(store), {
      sessions: 1,
      subscriptions: 1,
      queue: 1,
      messages: 1,
      references: 1,
    });
    other.end();
    await settle(store);
    assert.deepEqual(leftovers(store), {});
  });

  test('that ends before it was written is never written', async (t) => {
    const store = openStore(t);
    const stored = store.sessions.create(session('client'));
    stored.subscribe(subscription('a'));
    stored.outgoing.append(store.sharedMessage(message('t')), delivery());
    stored.end();
    await settle(store);
    assert.equal(store.statistics().commits, 0);
  });

  test('that ends while it is being written leaves nothing', async (t) => {
    const store = openStore(t);
    const stored = store.sessions.create(session('client'));
    stored.subscribe(subscription('a'));
    const flushed = store.flush();
    stored.outgoing.append(store.sharedMessage(message('t')), delivery());
    stored.end();
    await flushed;
    await settle(store);
    assert.deepEqual(leftovers(store), {});
  });

  test('that begins anew has nothing of the old one', async (t) => {
    const store = openStore(t);
    const old = store.sessions.create(session('client', { username: 'old' }));
    old.subscribe(subscription('old'));
    old.outgoing.append(store.sharedMessage(message('t', 'old')), delivery());
    await store.flush();
    old.end();
    const fresh = store.sessions.create(session('client', { username: 'new' }));
    fresh.subscribe(subscription('new'));
    fresh.outgoing.append(store.sharedMessage(message('t', 'new')), delivery());
    await settle(store);
    assert.deepEqual(leftovers(store), { sessions: 1, subscriptions: 1, queue: 1 });
    await store.close();
    const again = openStore(t, { path: store.environment.path });
    const loaded = again.sessions.load('client')!;
    assert.equal(loaded.stored.record.username, 'new');
    assert.deepEqual(loaded.subscriptions, [subscription('new')]);
    assert.equal(loaded.outgoing.waiting, 1);
  });

  test('replaces what an earlier run stored under its client id', async (t) => {
    const store = openStore(t);
    store.sessions.create(session('client')).subscribe(subscription('old'));
    await store.close();
    const again = openStore(t, { path: store.environment.path });
    again.sessions.create(session('client'));
    await settle(again);
    assert.deepEqual(leftovers(again), { sessions: 1 });
  });

  test('with a long queue is removed in steps, and the next start goes on with it', async (t) => {
    const store = openStore(t);
    const stored = store.sessions.create(session('client'));
    const kept = message('t', 'x'.repeat(2000)); // has a record of its own
    for (let i = 0; i < 3500; i += 1) stored.outgoing.append(store.sharedMessage(kept), delivery());
    await store.flush();
    stored.end();
    await store.flush();
    await store.close(); // stops after the first step at the latest
    const again = openStore(t, { path: store.environment.path });
    assert.equal(again.sessions.load('client'), undefined);
    assert.equal(again.environment.entryCount('garbage'), 1);
    assert.ok(again.environment.entryCount('queue') >= 1500);
    again.resumeSweeping();
    await settle(again);
    assert.deepEqual(leftovers(again), {});
  });
});

describe('what an ended session leaves', () => {
  test('does not keep a store from closing whose disk is full', async (t) => {
    const { store, disk } = openFillableStore(t);
    const one = store.sessions.create(session('client'));
    one.outgoing.append(store.sharedMessage(message('t')), delivery());
    await store.flush();
    one.end();
    await store.flush(); // its queue is being removed
    disk.isFull = true;
    assert.equal(await store.close(), false);
  });

  test('includes messages that nobody refers to, where a kill came before their removal', async (t) => {
    const { store, disk } = openFillableStore(t);
    const large = store.sharedMessage(message('t', 'p'.repeat(300)));
    const sessions = ['a', 'b'].map((clientId) => store.sessions.create(session(clientId)));
    const entries = sessions.map(({ outgoing }) => outgoing.append(large, delivery()));
    await store.flush();
    for (const entry of entries) entry.remove();
    const removed = store.flush();
    disk.isFull = true;
    await removed;
    const next = openStore(t, { path: store.environment.path });
    assert.deepEqual(leftovers(next), { sessions: 2, messages: 1 });
    next.resumeSweeping();
    await settle(next);
    assert.deepEqual(leftovers(next), { sessions: 2 });
  });

  test('does not come back when one of its messages is released late', async (t) => {
    const store = openStore(t);
    const one = store.sessions.create(session('client'));
    const held = delivery({ state: 'awaiting PUBREL', packetId: 5, qos: 2 });
    const [first] = [1, 2].map(() => one.incoming.append(store.sharedMessage(message('t')), held));
    first!.nameForOthers();
    await store.flush(); // both are in one record
    one.end();
    await settle(store);
    assert.deepEqual(leftovers(store), {});
    first!.remove();
    await settle(store);
    assert.deepEqual(leftovers(store), {});
  });
});

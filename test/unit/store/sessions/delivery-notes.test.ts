/** Notes about who has a message that another thread keeps: there as long as the message is. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LmdbBrokerStore } from '../../../../src/store/broker-store.js';
import type { SessionQueue } from '../../../../src/store/sessions/session-queue.js';
import { delivery, message, openStore, session } from '../../../support/store/stores.js';

const receiver = 'subscriber t';

function notesIn(store: ReturnType<typeof openStore>): number {
  store.refresh();
  return store.environment.entryCount('deliveries');
}

function appendTo(store: ReturnType<typeof openStore>, queue: SessionQueue) {
  return queue.append(store.sharedMessage(message('t')), delivery({ state: 'awaiting PUBREL', qos: 2 }));
}

test('a receiver is new once, on every thread, until the message is gone', async (t) => {
  const here = openStore(t);
  const there = openStore(t, { path: here.environment.path });
  const entry = appendTo(here, here.sessions.create(session('publisher')).incoming);
  await here.flush();
  const once = { messageId: entry.nameForOthers(), isElsewhere: true };
  const elsewhere = new LmdbBrokerStore(there);
  assert.equal(elsewhere.isNewTo(receiver, once), true);
  assert.equal(elsewhere.isNewTo(receiver, once), false, 'before the commit');
  assert.equal(elsewhere.isNewTo('another', once), true);
  await there.flush();
  here.refresh();
  const ofTheSender = new LmdbBrokerStore(here);
  const own = { ...once, isElsewhere: false };
  assert.equal(ofTheSender.isNewTo(receiver, own), false);
  assert.equal(ofTheSender.isNewTo('third', own), true);
  assert.equal(ofTheSender.isNewTo('third', own), true, 'the thread that stores the message writes no notes');
  assert.equal(notesIn(here), 2);
  entry.remove();
  await here.flush();
  assert.equal(notesIn(here), 0);
});

test('notes made before a restart go with the message', async (t) => {
  const first = openStore(t);
  const { environment } = first;
  const entry = appendTo(first, first.sessions.create(session('publisher')).incoming);
  const neighbour = appendTo(first, first.sessions.create(session('neighbour')).incoming);
  for (const each of [entry, neighbour])
    new LmdbBrokerStore(first).isNewTo(receiver, { messageId: each.nameForOthers(), isElsewhere: true });
  await first.close();
  const second = openStore(t, { path: environment.path });
  assert.equal(notesIn(second), 2);
  const [loaded] = second.sessions.load('publisher')!.incoming.inFlight;
  assert.equal(loaded!.wasForwarded, true);
  loaded!.remove();
  await second.flush();
  assert.equal(notesIn(second), 1);
});

test('notes go with the session of the publisher', async (t) => {
  const store = openStore(t);
  const publisher = store.sessions.create(session('publisher'));
  const entry = appendTo(store, publisher.incoming);
  new LmdbBrokerStore(store).isNewTo(receiver, { messageId: entry.nameForOthers(), isElsewhere: true });
  await store.flush();
  publisher.end();
  await store.flush();
  await store.sessions.sweepingFinished();
  await store.flush();
  assert.equal(notesIn(store), 0);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LmdbBrokerStore } from '../../../src/store/broker-store.js';
import { message, openStore, publication, session } from '../../support/store/stores.js';

/** Long enough that nothing is written by itself. */
const groupCommitMs = 60_000;

test('whenRetained waits for retained messages, and has them written without waiting for the window', async (t) => {
  const store = openStore(t, { groupCommitMs });
  const brokerStore = new LmdbBrokerStore(store);
  brokerStore.retained.set(publication('kept', 'x'));
  let isRetained = false;
  const retained = new Promise<void>((resolve) =>
    brokerStore.whenRetained(() => {
      isRetained = true;
      resolve();
    }),
  );
  assert.equal(isRetained, false);
  await retained;
  assert.equal(store.statistics().commits, 1);
  assert.equal(store.retained.count, 1);
});

test('whenRetained does not wait for queues and sessions', async (t) => {
  const store = openStore(t, { groupCommitMs });
  const brokerStore = new LmdbBrokerStore(store);
  brokerStore.retained.set(publication('kept', 'x'));
  await store.flush();
  const { outgoing } = store.sessions.create(session('away'));
  const delivery = { packetId: 0, qos: 1, retain: false, dup: false, subscriptionIds: [] } as const;
  outgoing.append(store.sharedMessage(message('queued')), { state: 'queued', ...delivery });
  let isRetained = false;
  brokerStore.whenRetained(() => {
    isRetained = true;
  });
  assert.equal(isRetained, true);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StoredMessage } from '../../../src/model/message.js';
import type { WholeSession } from '../../../src/model/queued-record.js';
import type { DatabaseContent } from '../../../src/mosquitto-db/content.js';
import { readDatabase } from '../../../src/mosquitto-db/to-model.js';
import { exportContent, importContent } from '../../../src/store/transfer.js';
import { readSample, SAMPLE_NAMES, SAMPLES_READ_AT } from '../../support/store/mosquitto-db-samples.js';
import { message, openStore, session } from '../../support/store/stores.js';

for (const name of SAMPLE_NAMES) {
  test(`what ${name} holds comes out of a store as it went in`, async (t) => {
    const { content } = readDatabase(readSample(name), SAMPLES_READ_AT);
    const store = openStore(t, { now: () => SAMPLES_READ_AT });
    await importContent(store, content);
    assert.deepEqual(sorted(exportContent(store)), sorted(content));
  });
}

test('a message in many queues is one object again', async (t) => {
  const shared = message('t', 'p'.repeat(1000));
  const queued = {
    direction: 'outgoing',
    state: 'queued',
    packetId: 0,
    qos: 1,
    retain: false,
    dup: false,
    subscriptionIds: [],
    message: shared,
  } as const;
  const sessions: WholeSession[] = ['a', 'b', 'c'].map((clientId) => ({
    session: session(clientId),
    subscriptions: [],
    queue: [queued, queued],
  }));
  const store = openStore(t);
  await importContent(store, { retained: [], sessions });
  assert.equal(store.environment.entryCount('messages'), 1);
  const exported = exportContent(store).sessions.flatMap(({ queue }) =>
    queue.map((record) => record.message),
  );
  assert.equal(exported.length, 6);
  assert.equal(new Set(exported).size, 1);
  assert.deepEqual(exported[0], shared);
});

function sorted({ retained, sessions }: DatabaseContent): unknown {
  const byName = <T>(items: readonly T[], name: (item: T) => string) =>
    items.toSorted((a, b) => (name(a) < name(b) ? -1 : 1));
  const plain = (stored: StoredMessage) => ({
    ...stored,
    payload: Buffer.from(stored.payload),
    properties: Buffer.from(stored.properties),
  });
  return {
    retained: byName(retained, ({ topic }) => topic).map(plain),
    sessions: byName(sessions, (whole) => whole.session.clientId).map((whole) => ({
      session: whole.session,
      subscriptions: byName(whole.subscriptions, ({ filter }) => filter),
      queue: whole.queue.map((record) => ({ ...record, message: plain(record.message) })),
    })),
  };
}

/** Records carry a checksum: one that has changed is not taken for another message, but set aside and counted. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeliveryState } from '../../../src/model/queued-record.js';
import { crc32, isSealed, seal, tableCrc32 } from '../../../src/store/checksum.js';
import type { TableName } from '../../../src/store/environment.js';
import { LAYOUT, layoutOf, migrate } from '../../../src/store/file/migrations.js';
import { checkStore } from '../../../src/store/file/store-check.js';
import { SEALED } from '../../../src/store/record-bytes.js';
import { encodeQueue, QueueReader, withoutMissing } from '../../../src/store/sessions/queue-records.js';
import type { Store } from '../../../src/store/store.js';
import { delivery, message, openStore, publication, session, text } from '../../support/store/stores.js';

test('the checksum is CRC-32, with Node of any version', () => {
  assert.equal(tableCrc32(Buffer.from('123456789'), 9), 0xcbf43926);
  assert.equal(crc32(Buffer.from('123456789'), 9), 0xcbf43926);
});

test('the tables and zlib agree, whatever the length', () => {
  const bytes = Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 31) & 0xff));
  for (let end = 0; end <= bytes.length; end += 1) assert.equal(crc32(bytes, end), tableCrc32(bytes, end));
});

test('each change of a sealed record shows', () => {
  const record = seal(Buffer.concat([Buffer.from('a record of some length'), Buffer.alloc(4)]));
  assert.ok(isSealed(record));
  for (let bit = 0; bit < record.length * 8; bit += 1) {
    const changed = Buffer.from(record);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    assert.ok(!isSealed(changed), `bit ${bit}`);
  }
  assert.ok(!isSealed(record.subarray(1)));
  assert.ok(!isSealed(Buffer.alloc(0)));
});

/** One record in each of the tables that have checksums. */
async function fill(store: Store): Promise<void> {
  await migrate(store.environment);
  store.retained.set(publication('kept', 'retained'));
  const shared = store.sharedMessage(message('stored', 'x'.repeat(500)));
  for (const clientId of ['a', 'b']) {
    const stored = store.sessions.create(session(clientId));
    const qos = 1;
    const retainHandling = 0;
    stored.subscribe({
      filter: 'stored',
      qos,
      noLocal: false,
      retainAsPublished: false,
      retainHandling,
      subscriptionId: 0,
    });
    stored.outgoing.append(shared, delivery(), 'stored');
  }
  await store.flush();
}

const TABLES: readonly TableName[] = ['retained', 'sessions', 'subscriptions', 'queue', 'messages'];

/** Replaces the first record of a table. */
async function replaceFirst(
  store: Store,
  table: TableName,
  change: (record: Buffer) => Buffer,
): Promise<void> {
  const { environment } = store;
  environment.refresh();
  const [first] = environment.tables[table].getRange({ limit: 1 });
  environment.put(environment.tables[table], first!.key, change(Buffer.from(first!.value)));
  await environment.committed();
  environment.refresh();
}

/** Reads all there is. */
function readAll(store: Store): void {
  store.retained.get('kept');
  store.retained.match('#').next(10, () => {});
  for (const { clientId } of [...store.sessions.list()])
    store.sessions.load(clientId)?.stored.outgoing.read(0, 10);
}

describe('a bit that flips', () => {
  for (const table of TABLES) {
    test(`in a record of ${table} is told, and the record set aside`, async (t) => {
      const damages: string[] = [];
      const store = openStore(t, { onDamage: ({ message }) => damages.push(message) });
      await fill(store);
      await replaceFirst(store, table, (record) => {
        record[record.length >> 1]! ^= 0x10;
        return record;
      });
      const report = await checkStore(store.environment);
      assert.equal(report.damagedRecords, 1);
      readAll(store);
      readAll(store);
      assert.deepEqual(damages, ['its checksum is wrong']);
      while (store.damaged === 0) {
        await delay(5);
        store.refresh();
      }
      const { damaged } = store.environment.tables;
      const [place] = [...damaged.getKeys({})];
      assert.ok(Buffer.from(place!).toString('latin1').startsWith(`${table}\0`));
    });
  }

  test('does not set aside what another thread has written meanwhile', async (t) => {
    const store = openStore(t);
    await fill(store);
    await replaceFirst(store, 'retained', (record) => {
      record[3]! ^= 1;
      return record;
    });
    const other = openStore(t, { path: store.environment.path });
    assert.equal(store.retained.get('kept'), undefined);
    other.retained.set(publication('kept', 'new'));
    await other.flush();
    await delay(20);
    store.refresh();
    assert.equal(text(store.retained.get('kept')!.payload()), 'new');
  });
});

test('what is sound is read in each way, and nothing is set aside', async (t) => {
  const damages: string[] = [];
  const store = openStore(t, { onDamage: ({ message }) => damages.push(message) });
  await fill(store);
  let found = 0;
  store.retained.match('#').next(10, () => {
    found += 1;
  });
  readAll(store);
  assert.equal(found, 1);
  assert.deepEqual(damages, []);
});

test('a rescued queue holds nothing in flight with packet identifier 0', () => {
  const entry = (sequence: number, state: DeliveryState, packetId: number) => ({
    ...delivery({ state, packetId }),
    sequence,
    payloadBytes: 1,
    publication: publication('topic'),
    sharedId: null,
  });
  const entries = [
    entry(1, 'queued', 0),
    entry(2, 'awaiting PUBACK', 0),
    entry(3, 'awaiting PUBREL', 0),
    entry(4, 'awaiting PUBACK', 7),
  ];
  const rescued = withoutMissing(encodeQueue(entries, 1), 1, () => false)!;
  const found: string[] = [];
  for (const reader = new QueueReader(rescued, 1); reader.next(); reader.content())
    found.push(`${reader.sequence} ${reader.state} ${reader.packetId}`);
  assert.deepEqual(found, ['1 queued 0', '2 queued 0', '4 awaiting PUBACK 7']);
});

test('a store of layout 2, without checksums, is read and gets them with each change', async (t) => {
  const store = openStore(t);
  await fill(store);
  const { environment } = store;
  for (const table of TABLES) {
    for (const { key, value } of [...environment.tables[table].getRange({})]) {
      const plain = Buffer.from(value.subarray(0, value.length - 4));
      assert.equal(plain[0], SEALED);
      plain[0] = table === 'queue' ? 2 : 1;
      environment.put(environment.tables[table], key, plain);
    }
  }
  environment.put(environment.tables.meta, Buffer.from('layout'), Buffer.from('2'));
  await environment.committed();
  environment.refresh();
  const before = await checkStore(environment);
  assert.equal(before.damagedRecords, 0);
  assert.equal(before.unsealedRecords, 1 + 2 + 2 + 2 + 1);
  await migrate(environment);
  assert.equal(layoutOf(environment), LAYOUT);
  assert.equal(text(store.retained.get('kept')!.payload()), 'retained');
  const [queued] = store.sessions.load('a')!.stored.outgoing.read(0, 1);
  assert.equal(queued!.message.payload.length, 500);
  store.retained.set(publication('kept', 'again'));
  await store.flush();
  const after = await checkStore(environment);
  assert.equal(after.unsealedRecords, before.unsealedRecords - 1);
});

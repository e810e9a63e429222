/** Stores and messages for tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { StoredMessage } from '../../../src/model/message.js';
import { SESSION_NEVER_EXPIRES, type SessionRecord } from '../../../src/model/session-record.js';
import { Publication } from '../../../src/mqtt/publication.js';
import type { DeliveryFields } from '../../../src/session/session-storage.js';
import { Store, type StoreOptions } from '../../../src/store/store.js';
import { afterTest } from '../cleanup.js';

/** A folder of the test's own, removed with it. */
export function temporaryFolder(t: TestContext, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, 'midge-store-'));
  afterTest(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function openStore(t: TestContext, options: Partial<StoreOptions> = {}): Store {
  const path = options.path ?? join(temporaryFolder(t), 'live.mdb');
  const store = new Store({ path, mode: 'autosave', now: () => 1_000_000, ...options });
  let closed = false;
  const close = store.close.bind(store);
  store.close = () => {
    closed = true;
    return close();
  };
  afterTest(t, () => (closed ? undefined : store.close()));
  return store;
}

/** A store whose commits fail while `isFull`, as on a full disk: nothing of them is written. */
export function openFillableStore(
  t: TestContext,
  options: Partial<StoreOptions> = {},
): { store: Store; disk: { isFull: boolean } } {
  const store = openStore(t, options);
  const { environment } = store;
  const { put, remove, committed, inTransaction } = environment;
  const disk = { isFull: false };
  environment.put = (...args) => (disk.isFull ? undefined : put.apply(environment, args));
  environment.remove = (...args) => (disk.isFull ? undefined : remove.apply(environment, args));
  const fail = async () => {
    await turn();
    throw new Error('no space left on device');
  };
  environment.committed = () => (disk.isFull ? fail() : committed.call(environment));
  environment.inTransaction = (...args) => (disk.isFull ? fail() : inTransaction.apply(environment, args));
  return { store, disk };
}

export function message(topic: string, payload = 'x', fields: Partial<StoredMessage> = {}): StoredMessage {
  return {
    topic,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    properties: Buffer.alloc(0),
    expiresAt: 0,
    originClientId: 'publisher',
    originUsername: '',
    originListener: '',
    ...fields,
  };
}

/** The same as it is on its way through the broker. */
export function publication(...fields: Parameters<typeof message>): Publication {
  return Publication.fromStored(message(...fields));
}

export function session(clientId: string, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    clientId,
    username: undefined,
    protocolVersion: 5,
    sessionExpiry: SESSION_NEVER_EXPIRES,
    expiresAt: 0,
    disconnectedAt: 0,
    lastPacketId: 0,
    will: undefined,
    ...fields,
  };
}

export function delivery(fields: Partial<DeliveryFields> = {}): DeliveryFields {
  return { state: 'queued', packetId: 0, qos: 1, retain: false, dup: false, subscriptionIds: [], ...fields };
}

export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** Imports and exports the whole content of a store: for `mosquitto.db` files and for `midge db`. */

import type { StoredMessage } from '../model/message.js';
import type { QueuedRecord, WholeSession } from '../model/queued-record.js';
import type { DatabaseContent } from '../mosquitto-db/content.js';
import { Publication } from '../mqtt/publication.js';
import type { QueueEntry } from './sessions/queue-entry.js';
import type { SessionQueue } from './sessions/session-queue.js';
import type { LoadedSession } from './sessions/session-store.js';
import type { SharedMessage } from './sessions/shared-messages.js';
import type { Store } from './store.js';

/** Records between two commits. */
const BATCH = 10_000;

/** Adds everything to a store. Sessions replace those with the same client id. */
export async function importContent(store: Store, content: DatabaseContent): Promise<void> {
  const shared = new Map<StoredMessage, SharedMessage>();
  let records = 0;
  const count = async () => {
    records += 1;
    if (records % BATCH === 0) await flush(store);
  };
  for (const message of content.retained) {
    store.retained.set(Publication.fromStored(message));
    await count();
  }
  for (const { session, subscriptions, queue } of content.sessions) {
    const stored = store.sessions.create(session);
    for (const subscription of subscriptions) stored.subscribe(subscription);
    for (const record of queue) {
      const message = shared.get(record.message) ?? store.sharedMessage(record.message);
      shared.set(record.message, message);
      stored[record.direction].append(message, record, 'stored');
      await count();
    }
  }
  await flush(store);
}

async function flush(store: Store): Promise<void> {
  if (!(await store.flush())) throw new Error(`the store at ${store.environment.path} cannot be written`);
}

/** Everything that a store holds; a message that several queues share is one object. */
export function exportContent(store: Store): DatabaseContent {
  const retained: StoredMessage[] = [];
  const add = (message: Publication) => retained.push(message.toOwned().toStored());
  for (const walk = store.retained.all(); !walk.done; ) walk.next(1000, add);
  const messages = new Map<string, StoredMessage>();
  const sessions: WholeSession[] = [];
  for (const { clientId } of [...store.sessions.list()]) {
    const loaded = store.sessions.load(clientId);
    if (loaded !== undefined) sessions.push(wholeSession(loaded, messages));
  }
  return { retained, sessions };
}

function wholeSession(
  { stored, subscriptions, incoming, outgoing }: LoadedSession,
  messages: Map<string, StoredMessage>,
): WholeSession {
  const entries = (queue: SessionQueue, inFlight: QueueEntry[]) =>
    [...inFlight, ...queue.read(0, Number.POSITIVE_INFINITY)].sort((a, b) => a.sequence - b.sequence);
  const queue = [
    ...entries(stored.incoming, incoming.inFlight).map((entry) => recordOf(entry, 'incoming', messages)),
    ...entries(stored.outgoing, outgoing.inFlight).map((entry) => recordOf(entry, 'outgoing', messages)),
  ];
  return { session: stored.record, subscriptions, queue };
}

function recordOf(
  entry: QueueEntry,
  direction: QueuedRecord['direction'],
  messages: Map<string, StoredMessage>,
): QueuedRecord {
  const { state, packetId, qos, retain, dup, subscriptionIds } = entry;
  const sharedId = entry.sharedId?.toString('hex');
  const message = (sharedId === undefined ? undefined : messages.get(sharedId)) ?? entry.message;
  if (sharedId !== undefined) messages.set(sharedId, message);
  return { direction, state, packetId, qos, retain, dup, subscriptionIds, message };
}

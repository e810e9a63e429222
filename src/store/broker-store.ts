/** Adapts the store to the port of the broker core: publications in, publications out. */

import type { BrokerStore, RetainedCursor, RetainedMessages } from '../broker/ports.js';
import type { RestoredSession } from '../broker/session-path.js';
import type { SessionRecord, SubscriptionRecord } from '../model/session-record.js';
import type { StandIn } from '../model/store-mode.js';
import type { Once, Publication } from '../mqtt/publication.js';
import type {
  DeliveryFields,
  MessageStorage,
  Residence,
  SessionStorage,
  StoredDelivery,
} from '../session/session-storage.js';
import type { RetainedStore } from './retained/retained-store.js';
import type { SessionQueue } from './sessions/session-queue.js';
import { SharedMessage } from './sessions/shared-messages.js';
import type { StoredSession } from './sessions/stored-session.js';
import type { Store } from './store.js';

export class LmdbBrokerStore implements BrokerStore {
  readonly knowsSessions: boolean = true;
  readonly retained: StoredRetained;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    this.retained = new StoredRetained(store);
  }

  get memoryBytes(): number {
    return this.#store.environment.memoryBytes;
  }

  mark(): number {
    return this.#store.mark();
  }

  markWithin(): number {
    return this.#store.markWithin();
  }

  changedSince(mark: number): boolean {
    return this.#store.changedSince(mark);
  }

  whenSettled(mark: number, callback: () => void): void {
    this.#store.whenSettled(mark, callback);
  }

  isNewTo(receiver: string, { messageId, isElsewhere }: Once): boolean {
    const { deliveryNotes } = this.#store;
    if (deliveryNotes.has(messageId, receiver)) return false;
    if (isElsewhere) deliveryNotes.add(messageId, receiver);
    return true;
  }

  whenRetained(callback: () => void): void {
    this.#store.whenReadable(this.retained.commitsDue, callback);
  }

  refresh(): void {
    this.#store.refresh();
  }

  createSession(record: SessionRecord): SessionStorage {
    return new StoredSessionStorage(this.#store.sessions.create(record));
  }

  relyOnEnd(clientId: string): void {
    this.#store.sessions.relyOnEnd(clientId);
  }

  /** Takes up a session that was stored before. */
  loadSession(clientId: string): RestoredSession | undefined {
    const loaded = this.#store.sessions.load(clientId);
    if (loaded === undefined) return undefined;
    const { stored, subscriptions, incoming, outgoing } = loaded;
    return {
      record: stored.record,
      storage: new StoredSessionStorage(stored),
      subscriptions,
      contents: { ...outgoing, received: incoming.inFlight },
    };
  }
}

/** In memory, for the store that cannot be used: what is changed is never settled. */
export class StandInStore extends LmdbBrokerStore {
  override readonly knowsSessions: boolean;

  constructor(store: Store, standIn: StandIn) {
    super(store);
    this.knowsSessions = standIn === 'copy';
  }

  override whenSettled(mark: number, callback: () => void): void {
    if (!this.changedSince(mark)) callback();
  }
}

class StoredSessionStorage implements SessionStorage {
  readonly outgoing: MessageStorage;
  readonly incoming: MessageStorage;
  readonly #stored: StoredSession;

  constructor(stored: StoredSession) {
    this.#stored = stored;
    this.outgoing = new StoredQueue(stored.outgoing);
    this.incoming = new StoredQueue(stored.incoming);
  }

  update(fields: Partial<Omit<SessionRecord, 'clientId'>>): void {
    this.#stored.update(fields);
  }

  subscribe(subscription: SubscriptionRecord): void {
    this.#stored.subscribe(subscription);
  }

  unsubscribe(filter: string): void {
    this.#stored.unsubscribe(filter);
  }

  relyOnSubscriptions(): void {
    this.#stored.relyOnSubscriptions();
  }

  end(): void {
    this.#stored.end();
  }
}

class StoredQueue implements MessageStorage {
  readonly #queue: SessionQueue;

  constructor(queue: SessionQueue) {
    this.#queue = queue;
  }

  /** All queues that get the publication share what the store makes of it. */
  append(publication: Publication, delivery: DeliveryFields, residence: Residence): StoredDelivery {
    let shared = publication.record as SharedMessage | null;
    if (shared === null) {
      shared = new SharedMessage(residence === 'stored' ? publication.toSlab() : publication.toOwned());
      publication.record = shared;
    } else if (residence !== 'stored') {
      shared.publication = publication.toOwned(); // it stays, so it must not hold a slab
    }
    return this.#queue.append(shared, delivery, residence);
  }

  read(sequence: number, limit: number): StoredDelivery[] {
    return this.#queue.read(sequence, limit);
  }

  relyOnRemovals(): void {
    this.#queue.relyOnRemovals();
  }
}

class StoredRetained implements RetainedMessages {
  /** For `Store.whenReadable`. */
  commitsDue = 0;
  readonly #store: Store;
  readonly #retained: RetainedStore;

  constructor(store: Store) {
    this.#store = store;
    this.#retained = store.retained;
  }

  get count(): number {
    return this.#retained.count;
  }

  get memoryBytes(): number {
    return this.#retained.memoryBytes;
  }

  payloadLengthOf(topic: string): number {
    return this.#retained.get(topic)?.payloadLength ?? -1;
  }

  set(message: Publication): void {
    this.#retained.set(message);
    this.commitsDue = this.#store.commitsDue;
  }

  clear(topic: string): void {
    this.#retained.clear(topic);
    this.commitsDue = this.#store.commitsDue;
  }

  match(filter: string): RetainedCursor {
    return this.#retained.match(filter);
  }

  sweep(): RetainedCursor {
    return this.#retained.all();
  }
}

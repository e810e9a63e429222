/** A session of this thread in the store: its record, its subscriptions, its two queues. */
import { NO_BYTES } from '../../base/no-bytes.js';
import type { SessionRecord, SubscriptionRecord } from '../../model/session-record.js';
import { sessionsKey, subscriptionKey } from '../keys.js';
import { Change } from '../write-batcher.js';
import { type QueueContext, SessionQueue } from './session-queue.js';
import { encodeSession, encodeSubscription } from './session-records.js';
import type { SessionSweeper } from './session-sweeper.js';

export interface SessionContext extends QueueContext {
  sweeper: SessionSweeper;
  /** The positions of ends of sessions that are not committed, by client id. */
  ends: Map<string, number>;
}

/** Every method makes changes, for which `Store.whenSettled` waits. */
export class StoredSession extends Change {
  override readonly weight = 500;
  /** To be changed by `update` only. */
  readonly record: Readonly<SessionRecord>;
  /** QoS 2 messages of the client that wait for their PUBREL. */
  readonly incoming: SessionQueue;
  /** Messages to the client. */
  readonly outgoing: SessionQueue;
  readonly #context: SessionContext;
  readonly #key: Buffer;
  /** The number of a session that is stored under this client id and has to go. */
  #replaced: Buffer | null;
  /** What is on disk of it, or on its way there. */
  #onDisk: 'nothing' | 'session' | 'end';
  readonly #subscriptions = new Map<string, SubscriptionChange>();
  /** The position of the change that ended the session; 0 = it has not ended. */
  #endedAt = 0;
  /** The position of the last change of a subscription. */
  #subscriptionsChangedAt = 0;

  constructor(
    context: SessionContext,
    record: SessionRecord,
    key: Buffer,
    origin: { stored: boolean; replaced: Buffer | null },
  ) {
    super();
    this.#context = context;
    this.record = record;
    this.#key = key;
    this.#onDisk = origin.stored ? 'session' : 'nothing';
    this.#replaced = origin.replaced;
    this.incoming = new SessionQueue(context, key, 'incoming');
    this.outgoing = new SessionQueue(context, key, 'outgoing');
  }

  relyOnSubscriptions(): void {
    this.#context.batcher.relyOn(this.#subscriptionsChangedAt);
  }

  update(fields: Partial<Omit<SessionRecord, 'clientId'>>): void {
    Object.assign(this.record, fields);
    this.#context.batcher.add(this);
  }

  /** Adds a subscription, or replaces the one with the same filter. */
  subscribe(subscription: SubscriptionRecord): void {
    this.#changeSubscription(subscription.filter, subscription);
  }

  unsubscribe(filter: string): void {
    this.#changeSubscription(filter, null);
  }

  /** The session is over; all that belongs to it is removed, a large queue little by little. */
  end(): void {
    const { batcher, ends } = this.#context;
    this.incoming.cancelAll();
    this.outgoing.cancelAll();
    batcher.supersede(this.#subscriptions.values());
    if (this.#onDisk === 'nothing' && this.#replaced === null) {
      batcher.supersede([this]);
      this.#endedAt = batcher.position;
      return;
    }
    batcher.add(this);
    this.#endedAt = batcher.position;
    ends.set(this.record.clientId, this.#endedAt);
  }

  override get bytes(): number {
    return 500 + (this.record.will?.message.payload.length ?? 0);
  }

  override get grows(): boolean {
    return this.#endedAt === 0 && this.#onDisk === 'nothing';
  }

  override write(): void {
    const { environment } = this.#context;
    const { sessions, garbage } = environment.tables;
    const key = sessionsKey(this.record.clientId);
    if (this.#replaced !== null) environment.put(garbage, this.#replaced, NO_BYTES);
    if (this.#endedAt > 0) {
      environment.remove(sessions, key);
      environment.put(garbage, this.#key, NO_BYTES);
      this.#onDisk = 'end';
    } else {
      environment.put(sessions, key, encodeSession(this.record, this.#key));
      this.#onDisk = 'session';
    }
  }

  override committed(): void {
    const { sweeper, ends } = this.#context;
    if (this.#replaced !== null) sweeper.sweep(this.#replaced);
    this.#replaced = null;
    if (this.#onDisk !== 'end') return;
    sweeper.sweep(this.#key);
    if (ends.get(this.record.clientId) === this.#endedAt) ends.delete(this.record.clientId);
  }

  #changeSubscription(filter: string, subscription: SubscriptionRecord | null): void {
    let change = this.#subscriptions.get(filter);
    if (change === undefined) {
      change = new SubscriptionChange(this.#context, subscriptionKey(this.#key, filter), () => {
        this.#subscriptions.delete(filter);
      });
      this.#subscriptions.set(filter, change);
    }
    change.subscription = subscription;
    this.#context.batcher.add(change);
    this.#subscriptionsChangedAt = this.#context.batcher.position;
  }
}

/** A subscription that is not settled. */
class SubscriptionChange extends Change {
  override readonly weight = 300;
  /** `null` = unsubscribed. */
  subscription: SubscriptionRecord | null = null;
  readonly #context: SessionContext;
  readonly #key: Buffer;
  readonly #onSettled: () => void;

  constructor(context: SessionContext, key: Buffer, onSettled: () => void) {
    super();
    this.#context = context;
    this.#key = key;
    this.#onSettled = onSettled;
  }

  override get grows(): boolean {
    return this.subscription !== null;
  }

  override write(): void {
    const { environment } = this.#context;
    const { subscriptions } = environment.tables;
    if (this.subscription === null) environment.remove(subscriptions, this.#key);
    else environment.put(subscriptions, this.#key, encodeSubscription(this.subscription));
  }

  override committed(): void {
    if (this.settled) this.#onSettled();
  }
}

/** A client's subscription to one topic filter, as routing sees it. */
import type { SubscriptionRecord } from '../model/session-record.js';
import type { Qos, SubscriptionRequest } from '../mqtt/packets.js';
import type { Session } from './session.js';

export class Subscription {
  readonly session: Session;
  /** As the client sent it, with `$share/GROUP/` where it is shared. */
  readonly filter: string;
  /** What it is sent is stored: whoever publishes waits for that before acknowledging. */
  readonly durable: boolean;
  qos: Qos = 0;
  noLocal = false;
  retainAsPublished = false;
  /** The MQTT 5.0 subscription identifier in the form in which it is delivered; `null` = none. */
  identifiers: readonly number[] | null = null;

  constructor(session: Session, filter: string) {
    this.session = session;
    this.filter = filter;
    this.durable = session.keeper !== null;
  }

  /** As it is stored. */
  toRecord(retainHandling: 0 | 1 | 2): SubscriptionRecord {
    const { filter, qos, noLocal, retainAsPublished } = this;
    return {
      filter,
      qos,
      noLocal,
      retainAsPublished,
      retainHandling,
      subscriptionId: this.identifiers?.[0] ?? 0,
    };
  }

  /** As it was stored. */
  static fromRecord(session: Session, record: SubscriptionRecord): Subscription {
    const subscription = new Subscription(session, record.filter);
    subscription.update(record, record.subscriptionId);
    return subscription;
  }

  /** Subscribing to the same filter again replaces the options [MQTT-3.8.4-3]. */
  update(request: SubscriptionRequest, identifier: number): void {
    this.qos = request.qos;
    this.noLocal = request.noLocal;
    this.retainAsPublished = request.retainAsPublished;
    this.identifiers = identifier === 0 ? null : [identifier];
  }
}

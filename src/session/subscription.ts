/** A client's subscription to one topic filter, as routing sees it. */
import type { SubscriptionRecord } from '../model/session-record.js';
import type { ProtocolVersion, Qos, SubscriptionRequest } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';

/** What a client may do [mosq: acl_file]. */
export interface TopicRights {
  canRead(topic: string): boolean;
}

/** The session that a subscription belongs to, as routing sees it. */
export interface SubscribedSession {
  readonly clientId: string;
  readonly version: ProtocolVersion;
  /** `null`: the client may read everything. */
  readonly rights: TopicRights | null;
  /** What is delivered to it outlives the process if this is not `null`. */
  readonly storage: object | null;
  readonly subscriptions: ReadonlyMap<string, Subscription>;
  /** Number of the last message routed here, if overlapping subscriptions are to give one copy. */
  lastSerial: number;
  /** The highest QoS of the subscriptions that match that message. */
  highestQos: Qos;
  /** The identifiers of the subscriptions that match that message; `null` = none. */
  matchedIdentifiers: number[] | null;
  /** Whether one of the subscriptions that match that message wants its retain flag. */
  matchedRetain: boolean;
  /** @param shared the subscription, if it is a shared one: another member may get the message instead */
  deliver(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void;
}

export class Subscription {
  readonly session: SubscribedSession;
  /** As the client sent it, with `$share/GROUP/` if it is shared. */
  readonly filter: string;
  /** What it is sent is stored: whoever publishes waits for that before acknowledging. */
  readonly durable: boolean;
  /** Its place in the route table's list of the filter, written by that only. */
  slot = 0;
  qos: Qos = 0;
  noLocal = false;
  retainAsPublished = false;
  /** The MQTT 5.0 subscription identifier in the form in which it is delivered; `null` = none. */
  identifiers: readonly number[] | null = null;

  constructor(session: SubscribedSession, filter: string) {
    this.session = session;
    this.filter = filter;
    this.durable = session.storage !== null;
  }

  /**
   * The QoS with which a message is delivered: the lower one of the message's and the granted one (hot path).
   * @param upgrade `upgrade_outgoing_qos`: always the granted one
   */
  deliveredQos(published: Qos, upgrade: boolean): Qos {
    return upgrade || this.qos < published ? this.qos : published;
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
  static fromRecord(session: SubscribedSession, record: SubscriptionRecord): Subscription {
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

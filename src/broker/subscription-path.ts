/** One subscription of one session: the session's list, its storage, the routes; for clients and for bridges. */
import type { Qos, SubscriptionRequest } from '../mqtt/packets.js';
import type { Interest } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import { Subscription } from '../session/subscription.js';
import type { Broker } from './broker.js';

export interface SubscribeOptions {
  /** The MQTT 5.0 subscription identifier; 0 = none. */
  identifier: number;
  /** The highest QoS that is granted. */
  qosMax: Qos;
}

/**
 * Subscribes, or gives a subscription that is there other options [MQTT-3.8.4-3].
 * @param changes gets what the other workers have to know
 */
export function subscribe(
  broker: Broker,
  session: Session,
  request: SubscriptionRequest,
  { identifier, qosMax }: SubscribeOptions,
  changes: Interest[],
): { subscription: Subscription; isNew: boolean } {
  const { filter } = request;
  const known = session.subscriptions.get(filter);
  const subscription = known ?? new Subscription(session, filter);
  subscription.update(request, identifier);
  if (subscription.qos > qosMax) subscription.qos = qosMax;
  if (known === undefined) {
    session.subscriptions.set(filter, subscription);
    const change = broker.routes.add(subscription);
    if (change !== null) changes.push(change);
  }
  session.storage?.subscribe(subscription.toRecord(request.retainHandling));
  return { subscription, isNew: known === undefined };
}

/**
 * @param changes gets what the other workers have to know
 * @returns false if there is no such subscription
 */
export function unsubscribe(broker: Broker, session: Session, filter: string, changes: Interest[]): boolean {
  const subscription = session.subscriptions.get(filter);
  if (subscription === undefined) {
    session.storage?.relyOnSubscriptions();
    return false;
  }
  session.subscriptions.delete(filter);
  session.storage?.unsubscribe(filter);
  const change = broker.routes.remove(subscription);
  if (change !== null) changes.push(change);
  return true;
}

/**
 * From a message and its route to everybody who gets it (hot path): this worker's own subscriptions, the members of
 * shared groups whose turn it is, and the other workers.
 */
import type { Once, Publication } from '../mqtt/publication.js';
import type { Route } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import { DOLLAR } from '../topic/topic-name.js';
import type { Broker } from './broker.js';
import { answerControl, isControlTopic } from './control-api.js';

/**
 * Sends a message to everyone it is for, on this worker and the others.
 * @param from the publisher's session; `null` for the broker's own messages, and for those of another worker
 * @returns whether any subscription matched
 */
export function routePublication(
  broker: Broker,
  route: Route,
  publication: Publication,
  from: Session | null,
): boolean {
  if (route.topic.charCodeAt(0) === DOLLAR && isControlTopic(route.topic)) {
    answerControl(broker, publication, from);
    return true;
  }
  if (publication.retain) broker.setRetained(publication);
  deliverLocally(broker, route, publication, from);
  let dropped = 0;
  const { groups } = route;
  for (let i = 0; i < groups.length; i += 1) {
    const next = groups[i]!.nextReader(publication.topic);
    if (typeof next === 'number') dropped += broker.cluster.forwardToGroup(publication, next, groups[i]!.key);
    else if (next !== undefined) deliverToMember(broker, publication, next);
  }
  if (route.remote !== 0 || publication.retain) dropped += broker.cluster.forward(publication, route.remote);
  if (dropped > 0) broker.droppedCongested(dropped);
  return route.subscriptions.length > 0 || route.remote !== 0 || groups.length > 0;
}

/** Publishes a will. @param from the session of its client, if there is one */
export function publishOf(broker: Broker, publication: Publication, from: Session | null): void {
  routePublication(broker, broker.routes.routeOf(publication.topic), publication, from);
}

/** Publishes a message of the broker itself. */
export function publishOwn(broker: Broker, publication: Publication): void {
  publishOf(broker, publication, null);
}

/** To this worker's own subscriptions. */
export function deliverLocally(
  broker: Broker,
  route: Route,
  publication: Publication,
  from: Session | null,
): void {
  const { subscriptions } = route;
  const { upgradeOutgoingQos, allowDuplicateMessages } = broker.settings;
  const { once } = publication;
  if (!allowDuplicateMessages) findMatches(broker, subscriptions, from);
  for (let i = 0; i < subscriptions.length; i += 1) {
    const subscription = subscriptions[i]!;
    const { session } = subscription;
    if (subscription.noLocal && session === from) continue;
    let { retainAsPublished, identifiers } = subscription;
    if (!allowDuplicateMessages) {
      if (session.lastSerial !== broker.serial || session.highestQos !== subscription.qos) continue;
      session.lastSerial = 0; // has its copy
      retainAsPublished = session.matchedRetain;
      identifiers = session.matchedIdentifiers;
    }
    const qos = subscription.deliveredQos(publication.qos, upgradeOutgoingQos);
    const retain = publication.retain && retainAsPublished;
    if (once !== null && qos === 2 && !isNewTo(broker, subscription, once)) continue;
    session.deliver(publication, qos, retain, identifiers, null);
  }
}

/** Only what is stored can be known to have been delivered, and can come back after a crash. */
function isNewTo(broker: Broker, { session, filter }: Subscription, once: Once): boolean {
  return session.storage === null || broker.store.isNewTo(`${session.clientId} ${filter}`, once);
}

/**
 * A client with several subscriptions that match gets one copy, with the highest QoS of them [MQTT 3.1.1, MQTT-3.3.5-1]
 * [MQTT-3.3.4-2] and the identifiers of all [MQTT-3.3.4-4] [mosq: allow_duplicate_messages].
 */
function findMatches(broker: Broker, subscriptions: readonly Subscription[], from: Session | null): void {
  broker.serial += 1;
  for (let i = 0; i < subscriptions.length; i += 1) {
    const { session, qos, identifiers, retainAsPublished, noLocal } = subscriptions[i]!;
    if (noLocal && session === from) continue;
    if (session.lastSerial !== broker.serial) {
      session.lastSerial = broker.serial;
      session.highestQos = qos;
      session.matchedRetain = retainAsPublished;
      session.matchedIdentifiers = identifiers === null ? null : identifiers.slice();
      continue;
    }
    if (qos > session.highestQos) session.highestQos = qos;
    if (retainAsPublished) session.matchedRetain = true;
    if (identifiers === null) continue;
    if (session.matchedIdentifiers === null) session.matchedIdentifiers = identifiers.slice();
    else session.matchedIdentifiers.push(identifiers[0]!);
  }
}

/** To the member of a shared group whose turn it is. */
export function deliverToMember(broker: Broker, publication: Publication, member: Subscription): void {
  const qos = member.deliveredQos(publication.qos, broker.settings.upgradeOutgoingQos);
  const retain = publication.retain && member.retainAsPublished;
  member.session.deliver(publication, qos, retain, member.identifiers, member);
}

/** A member of a shared subscription is gone: another one gets its message [MQTT-4.8.2-5]. */
export function deliverToGroup(broker: Broker, publication: Publication, groupKey: string): void {
  const next = broker.routes.group(groupKey)?.nextReader(publication.topic);
  if (typeof next === 'number') broker.cluster.forwardToGroup(publication, next, groupKey);
  else if (next !== undefined) deliverToMember(broker, publication, next);
}

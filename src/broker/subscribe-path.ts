/**
 * SUBSCRIBE and UNSUBSCRIBE: the session's list, the routes, the other workers' knowledge of them, then the
 * acknowledgement, then retained messages.
 */
import * as lines from '../log/mosquitto-lines.js';
import type { Qos, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from '../mqtt/packets.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import type { Interest } from '../routing/route-table.js';
import type { Subscription } from '../session/subscription.js';
import { parseSharedFilter } from '../topic/topic-filter.js';
import { isTopicText } from '../topic/topic-name.js';
import type { Connection } from './connection.js';
import { subscribe, unsubscribe } from './subscription-path.js';

/** What a filter costs, in the units of `Connection.spend`. */
const FILTER_UNITS = 4;

/** Filters of one packet that are worked on in one turn of the event loop. */
const FILTERS_A_TURN = 64;

/** Subscriptions of one packet of which the delivery of retained messages begins in one turn. */
const RETAINED_A_TURN = 512;

export function receiveSubscribe(connection: Connection, packet: SubscribePacket): void {
  const { broker } = connection;
  if (broker.logs('debug')) broker.log.write('debug', lines.receivedSubscribe(connection.clientId));
  if (!takesAnswer(connection, 'SUBSCRIBE', packet.subscriptions.length)) return;
  const { subscriptions, packetId } = packet;
  const wantRetained: Subscription[] = [];
  const reasonCodes: number[] = [];
  let refusedAny = false;
  const identifier = packet.properties.subscriptionIdentifiers?.[0] ?? 0;
  const answer = (): void => {
    if (!connection.isConnected) return;
    connection.sender.send({ type: 'suback', packetId, reasonCodes, properties: {} });
    if (broker.logs('debug')) broker.log.write('debug', lines.sendingSuback(connection.clientId));
    sendRetained(connection, wantRetained, 0);
  };
  connection.spend(FILTER_UNITS * Math.min(subscriptions.length, FILTERS_A_TURN));
  connection.inSteps(() => {
    const changes: Interest[] = [];
    const mark = broker.store.mark();
    const end = Math.min(subscriptions.length, reasonCodes.length + FILTERS_A_TURN);
    for (let i = reasonCodes.length; i < end; i += 1) {
      const request = subscriptions[i]!;
      if (hasUnnamedGroup(request.filter)) {
        reasonCodes.push(ReasonCode.topicFilterInvalid);
        broker.log.write('information', lines.unnamedShareGroup(connection.clientId, request.filter));
        continue;
      }
      const filter = withMountPoint(connection, request.filter);
      if (filter === null) {
        reasonCodes.push(ReasonCode.topicFilterInvalid);
        broker.log.write('information', lines.subscriptionTooLong(connection.clientId));
        continue;
      }
      if (connection.acl !== null && !connection.acl.canSubscribe(filter)) {
        reasonCodes.push(ReasonCode.notAuthorized);
        if (broker.logs('subscribe'))
          broker.log.write('subscribe', lines.subscriptionDenied(connection.clientId, request.filter));
        continue;
      }
      if (hasAllSubscriptions(connection, filter)) {
        reasonCodes.push(ReasonCode.quotaExceeded);
        if (!refusedAny) broker.log.write('notice', lines.tooManySubscriptions(connection.clientId));
        refusedAny = true;
        continue;
      }
      if (refusesForMemory(connection, filter)) {
        reasonCodes.push(ReasonCode.quotaExceeded);
        if (!refusedAny) broker.log.write('notice', lines.subscriptionOverMemory(connection.clientId));
        refusedAny = true;
        continue;
      }
      const { subscription, isNew } = subscribeClient(connection, filter, request, identifier, changes);
      reasonCodes.push(subscription.qos);
      if (parseSharedFilter(subscription.filter) === undefined && wantsRetained(request, isNew))
        wantRetained.push(subscription);
      logSubscribed(connection, request, subscription);
    }
    broker.changed();
    // The answer waits until every worker delivers to these filters.
    const isLast = end === subscriptions.length;
    const barrier = (done: () => void) => broker.cluster.barrier(changes, done);
    connection.acknowledgements.add(mark, 0, isLast ? answer : nothing, barrier);
    return isLast;
  });
}

/** @param from where the subscriptions begin that are still to get their retained messages */
function sendRetained(connection: Connection, subscriptions: readonly Subscription[], from: number): void {
  const { broker, sender } = connection;
  const end = Math.min(subscriptions.length, from + RETAINED_A_TURN);
  for (let i = from; i < end; i += 1) {
    const subscription = subscriptions[i]!;
    sender.retainedDelivery.add(subscription, () => broker.matchRetained(subscription.filter));
  }
  sender.pump();
  if (end < subscriptions.length) {
    connection.inNextTurn(() => sendRetained(connection, subscriptions, end));
  }
}

/** A part of a packet's work is stored: the answer comes behind the last one. */
function nothing(): void {}

/** SUBACK and UNSUBACK of MQTT 5.0 in front of their reason codes: packet id, and the length of no properties. */
const ANSWER_HEAD = 3;

/** A client that does not take the answer is disconnected before anything is changed for it [MQTT-3.1.2-24]. */
function takesAnswer(
  connection: Connection,
  type: 'SUBSCRIBE' | 'UNSUBSCRIBE',
  reasonCodes: number,
): boolean {
  if (connection.sender.takes(ANSWER_HEAD + reasonCodes)) return true;
  connection.fault(ReasonCode.packetTooLarge, lines.protocolFault.answerTooLarge(type));
  return false;
}

/** A share name has at least one character [MQTT-4.8.2-1]; Mosquitto takes none, too. */
function hasUnnamedGroup(filter: string): boolean {
  return filter.startsWith('$share//');
}

/** The client may have no further subscription [max_subscriptions]. */
function hasAllSubscriptions({ broker, session }: Connection, filter: string): boolean {
  const { maxSubscriptions } = broker.settings;
  if (maxSubscriptions === 0 || session.subscriptions.size < maxSubscriptions) return false;
  return !session.subscriptions.has(filter);
}

/** [memory_limit] */
function refusesForMemory(connection: Connection, filter: string): boolean {
  const { broker, session } = connection;
  if (!broker.memory.isTight || session.subscriptions.has(filter)) return false;
  if (session.restraint !== 'none') connection.slowDown();
  return broker.memory.isShort || session.restraint === 'refused';
}

function subscribeClient(
  connection: Connection,
  filter: string,
  request: SubscriptionRequest,
  identifier: number,
  changes: Interest[],
): { subscription: Subscription; isNew: boolean } {
  const { broker, session, listener, isBridge } = connection;
  // Another broker's bridge is not sent its own messages, and sees the retain flag [mosq: try_private].
  const noLocal = isBridge || request.noLocal;
  const retainAsPublished = isBridge || request.retainAsPublished;
  const options = { identifier, qosMax: listener.maxQos as Qos };
  return subscribe(broker, session, { ...request, filter, noLocal, retainAsPublished }, options, changes);
}

/** [MQTT-3.3.1-9] to [MQTT-3.3.1-11] */
function wantsRetained({ retainHandling }: SubscriptionRequest, isNew: boolean): boolean {
  return retainHandling === 0 || (retainHandling === 1 && isNew);
}

export function receiveUnsubscribe(connection: Connection, packet: UnsubscribePacket): void {
  const { broker, session } = connection;
  if (broker.logs('debug')) broker.log.write('debug', lines.receivedUnsubscribe(connection.clientId));
  if (!takesAnswer(connection, 'UNSUBSCRIBE', packet.filters.length)) return;
  const { filters, packetId } = packet;
  const reasonCodes: number[] = [];
  const answer = (): void => {
    if (!connection.isConnected) return;
    connection.sender.send({ type: 'unsuback', packetId, reasonCodes, properties: {} });
    if (broker.logs('debug')) broker.log.write('debug', lines.sendingUnsuback(connection.clientId));
  };
  connection.spend(FILTER_UNITS * Math.min(filters.length, FILTERS_A_TURN));
  connection.inSteps(() => {
    const mark = broker.store.mark();
    const changes: Interest[] = [];
    const end = Math.min(filters.length, reasonCodes.length + FILTERS_A_TURN);
    for (let i = reasonCodes.length; i < end; i += 1) {
      const filter = filters[i]!;
      if (connection.acl !== null && !connection.acl.canUnsubscribe(filter)) {
        reasonCodes.push(ReasonCode.notAuthorized);
      } else {
        const existed = unsubscribe(broker, session, filter, changes);
        reasonCodes.push(existed ? ReasonCode.success : ReasonCode.noSubscriptionExisted);
      }
      if (broker.logs('debug')) broker.log.write('debug', lines.unsubscribeFilter(filter));
      if (broker.logs('unsubscribe')) {
        broker.log.write('unsubscribe', lines.unsubscribed(connection.clientId, filter));
      }
    }
    broker.cluster.announce(changes);
    broker.changed();
    const isLast = end === filters.length;
    connection.acknowledgements.add(mark, 0, isLast ? answer : nothing);
    return isLast;
  });
}

/**
 * [mosq: mount_point]; UNSUBSCRIBE has to name the whole filter, as with Mosquitto.
 * @returns `null` if the two together are too long for a filter, or have too many levels
 */
function withMountPoint({ listener }: Connection, filter: string): string | null {
  const { mountPoint } = listener;
  if (mountPoint === undefined) return filter;
  const joined = mountPoint + filter;
  return isTopicText(joined) ? joined : null;
}

function logSubscribed(
  connection: Connection,
  request: SubscriptionRequest,
  subscription: Subscription,
): void {
  const { broker, clientId } = connection;
  if (broker.logs('debug')) broker.log.write('debug', lines.subscribeFilter(request.filter, request.qos));
  if (broker.logs('subscribe')) {
    broker.log.write('subscribe', lines.subscribed(clientId, subscription.qos, subscription.filter));
  }
}

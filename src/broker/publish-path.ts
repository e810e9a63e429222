/**
 * The way of one PUBLISH through a worker (hot path): read by offset, checked, resolved to a route, written into
 * the outgoing buffers of the local subscribers and the batches for the other workers, acknowledged.
 */
import { isUtf8 } from 'node:buffer';
import { OPEN_ACL } from '../auth/acl-check.js';
import { decodeUtf8 } from '../base/utf8.js';
import { LogMask } from '../log/log.js';
import * as lines from '../log/mosquitto-lines.js';
import { decodePacket } from '../mqtt/decode.js';
import { PacketError } from '../mqtt/packet-error.js';
import { NO_ALIAS, type Publication, readPublish } from '../mqtt/publication.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import { ReceivedAliases, resolveAlias } from '../mqtt/topic-aliases.js';
import type { Route } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { DOLLAR, hasTooManyLevels } from '../topic/topic-name.js';
import type { Acknowledgements, AckTarget } from './acknowledgements.js';
import type { Broker } from './broker.js';
import type { Connection } from './connection.js';
import { beginRelease, releaseTakesTime } from './release-path.js';
import { routePublication } from './route-publication.js';

/** Nodes of the tree of filters that any topic may cost, and how many of the others are a unit of `Connection.spend`. */
const NODES_FREE = 256;
const NODES_A_UNIT = 32;

/** A PUBLISH packet has arrived. What is wrong with it closes the connection. */
export function receivePublish(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  const { broker } = connection;
  const publication = broker.incoming;
  const fault = readPublish(publication, buffer, start, bodyStart, end, connection.version, broker.now);
  if (fault !== 0) {
    refuseMalformed(connection, buffer, start, bodyStart, end);
    return;
  }
  if (publication.topicStart === publication.topicEnd || publication.topicAlias !== NO_ALIAS) {
    if (publication.topicAlias === NO_ALIAS) {
      refuseMalformed(connection, buffer, start, bodyStart, end);
      return;
    }
    if (!namesTopic(connection, publication)) return;
  }
  if (connection.mountPoint.length > 0) prependMountPoint(connection, publication);
  const route = broker.routes.route(publication.buffer, publication.topicStart, publication.topicEnd);
  if (route === null) {
    refuseTopic(connection, buffer, start, bodyStart, end);
    return;
  }
  if (broker.routes.nodesWalked >= NODES_FREE) chargeWalk(connection);
  publication.topic = route.topic;
  publication.origin = connection.clientId;
  publication.originUsername = connection.username ?? '';
  publication.originListener = connection.listenerKey;
  if (publication.qos > connection.listener.maxQos) {
    connection.refuseQos();
    return;
  }
  if (publication.retain && !broker.settings.retainAvailable) {
    connection.refuseRetain();
    return;
  }
  const { counters } = broker;
  counters[Counter.publishReceived]! += 1;
  counters[Counter.publishBytesReceived]! += publication.payloadEnd - publication.payloadStart;
  if ((broker.log.mask & LogMask.debug) !== 0) logReceived(connection, publication);

  const refusal = refusalOf(connection, publication, route);
  if (refusal === ReasonCode.quotaExceeded && publication.qos > 0 && connection.version !== 5) {
    // It cannot be told, and an acknowledgement would be a lie.
    connection.refuseOutOfMemory();
    return;
  }
  if (publication.qos === 0) {
    if (refusal === 0) routePublication(broker, route, publication, connection.session);
    else if (refusal === ReasonCode.payloadFormatInvalid) connection.refuse(refusal);
  } else if (publication.qos === 1) {
    const mark = broker.store.mark();
    let reason = refusal;
    if (refusal === 0 && !routePublication(broker, route, publication, connection.session)) {
      reason = ReasonCode.noMatchingSubscribers;
    }
    connection.acknowledgements.acknowledge(mark, route.durable, 'puback', publication.packetId, reason);
    if (route.workers !== 0) connection.heedCongestion(route.workers);
  } else {
    receiveQos2(connection, publication, refusal);
  }
}

/** The topic was not in the cache, and many filters had to be looked at: that counts for the client's share of the turn. */
function chargeWalk(connection: Connection): void {
  const { routes } = connection.broker;
  connection.spend(routes.nodesWalked / NODES_A_UNIT);
  routes.nodesWalked = 0;
}

/** The decoder finds the same fault once more, and has the words for it. */
function refuseMalformed(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  const error = decodePacket(buffer, start, bodyStart, end, connection.version, 'client');
  if (error instanceof PacketError) connection.refusePacket(error);
  else connection.fault(ReasonCode.malformedPacket, 'PUBLISH packet with invalid topic.'); // behind a mount point
}

/**
 * No route is found for a topic that is malformed, which ends the connection, or has only more levels than are taken:
 * MQTT 5.0 can be told that, with QoS 0 by DISCONNECT alone [MQTT 5.0, 4.13.2].
 */
function refuseTopic(
  connection: Connection,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
): void {
  const { broker, version } = connection;
  const publication = broker.incoming;
  const { topicStart, topicEnd, qos, packetId } = publication;
  const topic = decodeUtf8(publication.buffer, topicStart, topicEnd);
  if (version !== 5 || topic === undefined || !hasTooManyLevels(topic)) {
    refuseMalformed(connection, buffer, start, bodyStart, end);
    return;
  }
  if (qos === 0) {
    connection.fault(ReasonCode.topicNameInvalid, 'PUBLISH packet with invalid topic.');
    return;
  }
  publication.topic = topic;
  connection.logPublish(lines.refusedPublish, publication, 'topic has too many levels');
  const type = qos === 1 ? 'puback' : 'pubrec';
  connection.acknowledgements.acknowledge(
    broker.store.mark(),
    0,
    type,
    packetId,
    ReasonCode.topicNameInvalid,
  );
}

/** Whether an acknowledgement of the message may wait for the store. */
function isStored({ qos, retain }: Publication, { durable, subscriptions }: Route): boolean {
  if (qos === 0) return false;
  return qos === 2 || retain || durable !== 0 || subscriptions.some((subscription) => subscription.durable);
}

/** So large a retained message may take the place of a smaller one, even if there is no room for those of new topics. */
const SMALL_UPDATE_BYTES = 256;

/** [memory_limit] */
function refusesForMemory(connection: Connection, { topic, retain, payloadLength }: Publication): boolean {
  const { broker, session } = connection;
  const { memory } = broker;
  if (session.restraint !== 'none') connection.slowDown();
  if (memory.isShort || session.restraint === 'refused') return true;
  if (!memory.refusesRetained || !retain || payloadLength <= 0) return false;
  const lengthBefore = broker.retainedLengthOf(topic);
  if (lengthBefore >= 0 && payloadLength <= Math.max(lengthBefore, SMALL_UPDATE_BYTES)) return false;
  connection.slowDown();
  memory.retainedRefused(connection.clientId, broker.now);
  return true;
}

/** Why a well-formed message is not taken: a reason code for its acknowledgement, 0 = it is. */
function refusalOf(connection: Connection, publication: Publication, route: Route): number {
  const { broker } = connection;
  const { messageSizeLimit } = broker.settings;
  if (broker.memory.isTight && refusesForMemory(connection, publication)) {
    broker.counters[Counter.publishDropped]! += 1;
    broker.counters[Counter.dropMemory]! += 1;
    return ReasonCode.quotaExceeded;
  }
  if (broker.storeIsFull && connection.version === 5 && isStored(publication, route)) {
    broker.counters[Counter.publishDropped]! += 1;
    broker.counters[Counter.dropStoreFull]! += 1;
    return ReasonCode.quotaExceeded;
  }
  if (messageSizeLimit > 0 && publication.payloadLength > messageSizeLimit) {
    connection.logPublish(lines.droppedTooLargePublish, publication);
    return ReasonCode.packetTooLarge;
  }
  const { acl } = connection;
  // Without rules only the broker's own topics, which begin with `$`, are out of bounds.
  if (
    acl === null
      ? route.topic.charCodeAt(0) === DOLLAR && !OPEN_ACL.canWrite(route.topic)
      : !acl.canWrite(route.topic)
  ) {
    connection.logPublish(lines.deniedPublish, publication);
    connection.broker.denials.denied(
      connection.clientId,
      route.topic,
      acl ?? OPEN_ACL,
      connection.broker.now,
    );
    return ReasonCode.notAuthorized;
  }
  if (publication.payloadIsText && !isUtf8(publication.payload())) {
    connection.logPublish(lines.refusedPublish, publication, 'payload is not the text it is said to be');
    return ReasonCode.payloadFormatInvalid;
  }
  return 0;
}

/**
 * A QoS 2 message waits for its PUBREL, and is routed then. The same packet again is answered and not doubled
 * [MQTT-4.3.3-10]. The same packet id with other content replaces the one that waits, as with Mosquitto: a device that
 * has restarted, and whose session goes on, begins with its first packet id again.
 */
function receiveQos2(connection: Connection, publication: Publication, refusal: number): void {
  const { broker, session } = connection;
  const { packetId } = publication;
  if (refusal !== 0) {
    connection.acknowledgements.acknowledge(broker.store.mark(), 0, 'pubrec', packetId, refusal);
    return;
  }
  const mark = broker.store.mark();
  const waiting = session.inbound.find(packetId);
  if (waiting === undefined) {
    if (!hasRoomForUnreleased(connection)) {
      refuseUnreleased(connection, mark, packetId);
      return;
    }
    if (
      session.inbound.receivedCount + 1 >= connection.receiveMaximum &&
      !connection.staysWithinReceiveMaximum()
    ) {
      return;
    }
    session.inbound.receive(packetId, publication);
  } else if (!sameMessage(waiting, publication)) {
    broker.log.write('warning', lines.reusedMessageId(packetId, connection.clientId));
    session.inbound.receive(packetId, publication);
  } else {
    session.inbound.relyOn(packetId);
  }
  connection.acknowledgements.acknowledge(mark, 0, 'pubrec', packetId, 0);
}

/** Beyond the window as many may wait for their PUBREL as for a client [mosq: max_queued_messages]. */
function hasRoomForUnreleased({ broker, session }: Connection): boolean {
  const { maxInflightMessages, maxQueuedMessages } = broker.settings;
  if (maxInflightMessages === 0 || maxQueuedMessages === 0) return true;
  return session.inbound.unreleasedCount < maxInflightMessages + maxQueuedMessages;
}

/** An older client cannot be told: it is closed, as an acknowledgement would be a lie. */
function refuseUnreleased(connection: Connection, mark: number, packetId: number): void {
  const { broker } = connection;
  broker.counters[Counter.publishDropped]! += 1;
  broker.counters[Counter.dropQueueFull]! += 1;
  if (connection.version === 5) {
    connection.acknowledgements.acknowledge(mark, 0, 'pubrec', packetId, ReasonCode.quotaExceeded);
  } else {
    connection.refuse(ReasonCode.quotaExceeded);
  }
}

function sameMessage(a: Publication, b: Publication): boolean {
  return a.topic === b.topic && a.retain === b.retain && Buffer.compare(a.payload(), b.payload()) === 0;
}

/** Who sends messages with QoS 2: a client's connection, or another broker's over a bridge. */
export interface Releaser extends AckTarget {
  readonly broker: Broker;
  readonly session: Session;
  readonly acknowledgements: Acknowledgements;
  /** Stops reading while the links to these workers are congested. */
  heedCongestion(workers: number): void;
}

/** PUBREL: the message goes to its subscribers, once. */
export function releasePublication(connection: Releaser, packetId: number): void {
  const { broker, session } = connection;
  const mark = broker.store.mark();
  const isStored = session.storage !== null;
  const publication = isStored ? session.inbound.find(packetId) : session.inbound.release(packetId);
  const route =
    publication === undefined
      ? null
      : broker.routes.route(publication.buffer, publication.topicStart, publication.topicEnd);
  if (publication === undefined || route === null) {
    session.inbound.release(packetId);
    connection.acknowledgements.acknowledge(mark, 0, 'pubcomp', packetId, 0);
    return;
  }
  const isExpired = publication.expiresAt !== 0 && publication.expiresAt <= broker.now;
  if (isStored && !isExpired && releaseTakesTime(broker, session, packetId, route)) {
    releaseInSteps(connection, packetId, publication, route);
    return;
  }
  if (isStored) session.inbound.release(packetId);
  if (isExpired) {
    // Its time was over before the client released it [MQTT-3.3.2-5]; the exchange ends as usual [MQTT-4.3.3-13].
    broker.counters[Counter.publishDropped]! += 1;
    broker.counters[Counter.dropExpired]! += 1;
    connection.acknowledgements.acknowledge(mark, 0, 'pubcomp', packetId, 0);
    return;
  }
  routePublication(broker, route, publication, session);
  connection.acknowledgements.acknowledge(mark, route.durable, 'pubcomp', packetId, 0);
  if (route.workers !== 0) connection.heedCongestion(route.workers);
}

/** Other workers store the message first. A PUBREL that is repeated meanwhile starts no second release. */
function releaseInSteps(
  connection: Releaser,
  packetId: number,
  publication: Publication,
  route: Route,
): void {
  const { broker, session } = connection;
  const sendPubcomp = () => {
    if (connection.isConnected) connection.sendAck('pubcomp', packetId, 0);
  };
  connection.acknowledgements.add(broker.store.mark(), 0, sendPubcomp, (done, failed) =>
    beginRelease(broker, session, { packetId, publication, route }, { done, failed }),
  );
  connection.heedCongestion(route.workers);
}

/** @returns false if the topic alias is not one that the client may use, or has set; the connection is closed then */
function namesTopic(connection: Connection, publication: Publication): boolean {
  connection.aliases ??= new ReceivedAliases(connection.listener.maxTopicAlias);
  const reasonCode = resolveAlias(connection.aliases, publication);
  if (reasonCode === 0) return true;
  connection.fault(reasonCode, lines.protocolFault.invalidTopicAlias(publication.topicAlias));
  return false;
}

/** [mosq: mount_point] */
function prependMountPoint(connection: Connection, publication: Publication): void {
  const { buffer, topicStart, topicEnd } = publication;
  publication.replaceTopic(Buffer.concat([connection.mountPoint, buffer.subarray(topicStart, topicEnd)]));
}

function logReceived(connection: Connection, publication: Publication): void {
  connection.logPublish(lines.receivedPublish, publication);
}

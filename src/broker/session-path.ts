/** The life of a session: stored, restored after a start, discarded, expired, ended. */
import { listenerIndex, listenerKey } from '../config/listener-key.js';
import * as lines from '../log/mosquitto-lines.js';
import type { SessionRecord, SubscriptionRecord, WillRecord } from '../model/session-record.js';
import { hasPlainTexts } from '../mqtt/plain-texts.js';
import type { Interest } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import type { SessionStorage, StoredContents, StoredDelivery } from '../session/session-storage.js';
import { Subscription, type TopicRights } from '../session/subscription.js';
import { Counter } from '../sys/counters.js';
import type { Broker } from './broker.js';
import { deliverToGroup } from './route-publication.js';
import { publishDelayedWill } from './will-path.js';
import { restoredWill } from './wills.js';

/** A session as the store gives it back. */
export interface RestoredSession {
  record: Readonly<SessionRecord>;
  storage: SessionStorage;
  subscriptions: readonly SubscriptionRecord[];
  contents: StoredContents;
}

/** What of a session's record is new when its client connects; the rest follows from the session. */
type ConnectFields = Partial<Pick<SessionRecord, 'will' | 'isSending'>>;

/** The client is connected: what is stored of its session is brought up to date, or storing it begins. */
export function storeConnected(broker: Broker, session: Session, connect: ConnectFields): void {
  const { clientId, username, version, expiryInterval, listener } = session;
  const fields = {
    username,
    listener: listener === null ? undefined : listenerKey(broker.settings.listeners[listener]!),
    protocolVersion: version,
    sessionExpiry: expiryInterval,
    expiresAt: 0,
    disconnectedAt: 0,
    lastPacketId: session.outbound.lastPacketId,
    will: undefined,
    ...connect,
  };
  if (session.storage !== null) {
    session.storage.update(fields);
  } else if (session.outlivesConnection) {
    const storage = broker.store.createSession({ clientId, ...fields });
    if (storage !== null) session.storeIn(storage);
  }
}

/** A client went away and its session stays: until when is stored. */
export function storeDisconnected(broker: Broker, session: Session): void {
  const endsAt = broker.sessionEndsAt(session);
  session.storage?.update({
    sessionExpiry: session.expiryInterval,
    disconnectedAt: session.disconnectedAt,
    expiresAt: Number.isFinite(endsAt) ? endsAt : 0,
    isSending: session.outbound.isInDoubt,
    lastPacketId: session.outbound.lastPacketId,
    will: undefined,
  });
}

/** Takes up a stored session, as at a start. */
export function restoreSession(broker: Broker, restored: RestoredSession): void {
  const { record, storage, subscriptions } = restored;
  const contents = { ...restored.contents, received: withPlainTexts(broker, restored.contents.received) };
  const session = broker.createSession(record.clientId, record.protocolVersion);
  session.username = record.username;
  session.listener = listenerIndex(broker.settings.listeners, record.listener);
  session.rights = broker.rightsWhileAway(session);
  session.expiryInterval = record.sessionExpiry;
  // It was connected when the broker ended: its time begins now.
  session.disconnectedAt = record.disconnectedAt || broker.now;
  session.restore(storage, contents, record.lastPacketId, record.isSending === true);
  for (const subscriptionRecord of subscriptions) {
    const subscription = Subscription.fromRecord(session, subscriptionRecord);
    session.subscriptions.set(subscription.filter, subscription);
    broker.routes.add(subscription);
  }
  if (record.will !== undefined) restoreWill(broker, session, record.will);
  if (record.disconnectedAt === 0) storage.update({ disconnectedAt: session.disconnectedAt });
}

function restoreWill(broker: Broker, session: Session, record: WillRecord): void {
  const will = restoredWill(record, session);
  if (!hasPlainTexts(will.publication)) {
    broker.undeliverable(will.publication);
    session.storage!.update({ will: undefined });
    return;
  }
  broker.delayedWills.add(session.clientId, will, record.dueAt || broker.now + record.delay * 1000);
}

/** Those of a client's QoS 2 messages that others take; the rest is removed. */
function withPlainTexts(broker: Broker, received: readonly StoredDelivery[]): StoredDelivery[] {
  return received.filter((entry) => {
    const { publication } = entry;
    if (hasPlainTexts(publication)) return true;
    broker.undeliverable(publication);
    entry.remove();
    return false;
  });
}

/** Ends a session, and with it this worker's claim to the client id. */
export function endSession(broker: Broker, session: Session): void {
  if (broker.sessions.get(session.clientId) !== session) return;
  removeSession(broker, session);
  giveUpClientId(broker, session.clientId);
}

/** This worker's claim to the client id is over, once it is stored that the session is. */
export function giveUpClientId(broker: Broker, clientId: string): void {
  whenEnded(broker, clientId, () => {
    if (!broker.sessions.has(clientId)) broker.directory.sessionEnded(clientId);
  });
}

/**
 * Calls back once it is stored that earlier sessions of the client id are over. Before that no other worker may begin
 * one: this worker's transaction would remove it, or a kill bring the old one back.
 */
export function whenEnded(broker: Broker, clientId: string, callback: () => void): void {
  const { store } = broker;
  const mark = store.markWithin();
  store.relyOnEnd(clientId);
  if (store.changedSince(mark)) store.whenSettled(mark, callback);
  else callback();
}

/** Subscriptions of one session that end in one turn of the event loop. */
const REMOVALS_A_TURN = 500;

/** Those of a session that has ended: as long as some of its subscriptions are still there, they are passed over. */
const NO_RIGHTS: TopicRights = { canRead: () => false };

/** Its subscriptions go; shared messages that it had not acknowledged go to other members. */
export function removeSession(broker: Broker, session: Session): void {
  broker.sessions.delete(session.clientId);
  broker.reportDrops(session, 'while it was away');
  session.storage?.end();
  session.rights = NO_RIGHTS;
  removeSubscriptions(broker, session.subscriptions);
  for (const { publication, subscription } of session.outbound.takeBackShared()) {
    deliverToGroup(broker, publication, subscription.filter);
  }
}

/** Many at once would hold up other clients: the rest goes in the next turns. */
function removeSubscriptions(broker: Broker, subscriptions: Map<string, Subscription>): void {
  const changes: Interest[] = [];
  let removed = 0;
  for (const [filter, subscription] of subscriptions) {
    subscriptions.delete(filter);
    const change = broker.routes.remove(subscription);
    if (change !== null) changes.push(change);
    removed += 1;
    if (removed === REMOVALS_A_TURN) break;
  }
  broker.cluster.announce(changes);
  if (subscriptions.size > 0) broker.nextTurn(() => removeSubscriptions(broker, subscriptions));
}

/** The client connected to another worker with a clean start: what this worker has of it is over. */
export function discardSession(broker: Broker, clientId: string): void {
  const session = broker.sessions.get(clientId);
  session?.peer?.takenOver(false);
  publishDelayedWill(broker, clientId);
  if (session !== undefined) removeSession(broker, session);
}

/** Its client has been away for longer than the session lasts. */
export function expireSession(broker: Broker, session: Session): void {
  removeExpired(broker, session);
  giveUpClientId(broker, session.clientId);
}

/** Sessions whose time was over while the broker was not running must not be served. */
export function expireSessions(broker: Broker): void {
  for (const session of broker.sessions.values()) {
    if (broker.hasExpired(session)) expireSession(broker, session);
  }
}

/** An expired session goes; the claim to its client id stays with the connection that has come too late for it. */
export function removeExpired(broker: Broker, session: Session): void {
  publishDelayedWill(broker, session.clientId);
  broker.counters[Counter.sessionsExpired]! += 1;
  if (broker.settings.connectionMessages) {
    broker.log.write('notice', lines.expiringClient(session.clientId));
  }
  removeSession(broker, session);
}

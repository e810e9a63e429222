/** Releases QoS 2 messages that concern other workers, step by step: `releases.ts` shows the steps. */
import { assert } from '../base/assert.js';
import type { Publication } from '../mqtt/publication.js';
import type { Route } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import { DOLLAR } from '../topic/topic-name.js';
import type { Broker } from './broker.js';
import type { Release, Released, ReleaseWaiter } from './releases.js';
import { deliverLocally, deliverToGroup, deliverToMember } from './route-publication.js';

/** Whether the message that is released may concern what other workers store, now or in an earlier attempt. */
export function releaseTakesTime(broker: Broker, session: Session, packetId: number, route: Route): boolean {
  if (session.storage === null) return false;
  const entry = session.inbound.findEntry(packetId);
  if (entry === null || route.topic.charCodeAt(0) === DOLLAR) return false;
  return route.durable !== 0 || entry.wasForwarded || broker.releases.has(session);
}

/** Begins the release, or joins it if it is under way. */
export function beginRelease(
  broker: Broker,
  session: Session,
  released: Released,
  waiter: ReleaseWaiter,
): void {
  const entry = session.inbound.findEntry(released.packetId);
  assert(entry !== null, 'a message that is released in steps is stored');
  const underWay = broker.releases.find(session, entry);
  if (underWay !== undefined) {
    underWay.waiters.push(waiter);
    return;
  }
  const release: Release = {
    ...released,
    entry,
    isRepeated: entry.wasForwarded,
    missing: 1,
    members: [],
    waiters: [waiter],
  };
  broker.releases.add(session, release);
  sendToWorkers(broker, session, release);
  release.missing -= 1;
  completeReady(broker, session);
}

function sendToWorkers(broker: Broker, session: Session, release: Release): void {
  const { cluster } = broker;
  const { publication, route, entry } = release;
  publication.once = { messageId: entry.nameForOthers(), isElsewhere: true };
  chooseMembers(broker, release);
  if (route.remote !== 0) cluster.forward(publication, route.remote);
  publication.once = null;
  const stored = () => {
    assert(release.missing > 0, 'a worker stores a released message once');
    release.missing -= 1;
    completeReady(broker, session);
  };
  const failed = () => fail(broker, session, release);
  release.missing += cluster.whenStored(route.workers, stored, failed);
}

function chooseMembers(broker: Broker, { publication, route, entry, isRepeated, members }: Release): void {
  const { cluster, store } = broker;
  const once = { messageId: entry.nameForOthers(), isElsewhere: false };
  for (const group of route.groups) {
    if (isRepeated && !store.isNewTo(group.key, once)) continue;
    const next = group.nextReader(publication.topic);
    if (typeof next === 'number') cluster.forwardToGroup(publication, next, group.key);
    else if (next !== undefined) members.push(next);
  }
}

function completeReady(broker: Broker, session: Session): void {
  let ready = broker.releases.takeReady(session);
  while (ready !== undefined) {
    complete(broker, session, ready);
    ready = broker.releases.takeReady(session);
  }
}

/** Everything in here is one transaction. */
function complete(broker: Broker, session: Session, release: Release): void {
  const { packetId, publication, entry, isRepeated, members, waiters } = release;
  broker.refreshNow();
  const mark = broker.store.mark();
  if (session.inbound.findEntry(packetId) === entry) session.inbound.release(packetId);
  else entry.remove(); // the session has ended, or the client has used the packet id again
  publication.once = isRepeated ? { messageId: entry.nameForOthers(), isElsewhere: false } : null;
  if (publication.retain) broker.setRetained(publication);
  deliverLocally(broker, broker.routes.routeOf(publication.topic), publication, session);
  publication.once = null;
  for (const member of members) deliverToChosen(broker, publication, member);
  const done = () => {
    for (const waiter of waiters) waiter.done();
  };
  if (broker.store.changedSince(mark)) broker.store.whenSettled(mark, done);
  else done();
}

function deliverToChosen(broker: Broker, publication: Publication, member: Subscription): void {
  if (member.session.subscriptions.get(member.filter) === member)
    deliverToMember(broker, publication, member);
  else deliverToGroup(broker, publication, member.filter); // it has left meanwhile
}

/** The message stays stored, and its client releases it again on its next connection. */
function fail(broker: Broker, session: Session, release: Release): void {
  broker.releases.remove(session, release);
  for (const waiter of release.waiters) waiter.failed();
  release.waiters = [];
  completeReady(broker, session);
}

/**
 * QoS 2 messages on their way from a session that is kept to subscribers that other workers keep: nothing may be lost
 * or doubled, though two workers commit at different times. So the publisher's worker goes on keeping the message
 * until the others have it.
 *
 *   PUBREL ─► to the other workers ─► stored there, with notes for whom ─► here, in one transaction: the message is
 *   no longer kept, its notes are gone, this worker's subscribers have it ─► PUBCOMP
 *
 * A crash before the last transaction leaves the message kept, its publisher releases it again, and the notes show
 * who has it already. Messages of one session complete in the order of their release.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { Publication } from '../mqtt/publication.js';
import type { Route } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import type { KeptEntry } from '../session/session-storage.js';
import type { Subscription } from '../session/subscription.js';
import type { Broker } from './broker.js';
import { deliverLocally } from './publish-path.js';

const DOLLAR = 0x24;

/** What is to be released. */
export interface Released {
  packetId: number;
  publication: Publication;
  route: Route;
}

/** Who waits for the end of it. */
export interface ReleaseWaiter {
  done: () => void;
  /** A worker died; the client has to release it again. */
  failed: () => void;
}

interface Release extends Released {
  entry: KeptEntry;
  /** It was tried before, maybe by an earlier process: some may have it. */
  isRepeated: boolean;
  /** Workers that have not stored it yet. */
  missing: number;
  /** Members of shared groups here whose turn it is. */
  members: Subscription[];
  waiters: ReleaseWaiter[];
}

export class Releases {
  readonly #broker: Broker;
  /** By session, in the order of their release. */
  readonly #pending = new Map<Session, RingQueue<Release>>();

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Whether the message that is released may concern what other workers store, now or in an earlier attempt. */
  takesTime(session: Session, packetId: number, route: Route): boolean {
    if (session.keeper === null) return false;
    const entry = session.receivedEntry(packetId);
    if (entry === null || route.topic.charCodeAt(0) === DOLLAR) return false;
    return route.durable !== 0 || entry.wasReleased || this.#pending.has(session);
  }

  /** Begins the release, or joins it if it is under way. */
  begin(session: Session, released: Released, waiter: ReleaseWaiter): void {
    const entry = session.receivedEntry(released.packetId)!;
    const queue = this.#queueOf(session);
    for (const release of queue) {
      if (release.entry !== entry) continue;
      release.waiters.push(waiter);
      return;
    }
    const isRepeated = entry.wasReleased;
    const release: Release = {
      ...released,
      entry,
      isRepeated,
      missing: 1,
      members: [],
      waiters: [waiter],
    };
    queue.push(release);
    this.#sendToWorkers(session, release);
    release.missing -= 1;
    this.#completeReady(session);
  }

  #queueOf(session: Session): RingQueue<Release> {
    let queue = this.#pending.get(session);
    if (queue === undefined) {
      queue = new RingQueue();
      this.#pending.set(session, queue);
    }
    return queue;
  }

  #sendToWorkers(session: Session, release: Release): void {
    const { cluster } = this.#broker;
    const { publication, route, entry } = release;
    publication.once = { messageId: entry.release(), isElsewhere: true };
    this.#chooseMembers(release);
    if (route.remote !== 0) cluster.forward(publication, route.remote);
    publication.once = null;
    const stored = () => {
      release.missing -= 1;
      this.#completeReady(session);
    };
    const failed = () => this.#fail(session, release);
    release.missing += cluster.whenStored(route.workers, stored, failed);
  }

  #chooseMembers({ publication, route, entry, isRepeated, members }: Release): void {
    const { cluster, store } = this.#broker;
    const once = { messageId: entry.release(), isElsewhere: false };
    for (const group of route.groups) {
      if (isRepeated && !store.isNewTo(group.key, once)) continue;
      const next = group.nextReader(publication.topic);
      if (typeof next === 'number') cluster.forwardToGroup(publication, next, group.key);
      else if (next !== undefined) members.push(next);
    }
  }

  #completeReady(session: Session): void {
    const queue = this.#pending.get(session);
    if (queue === undefined) return;
    while (queue.peek()?.missing === 0) this.#complete(session, queue.shift()!);
    if (queue.length === 0) this.#pending.delete(session);
  }

  /** Everything in here is one transaction. */
  #complete(session: Session, { packetId, publication, entry, isRepeated, members, waiters }: Release): void {
    const broker = this.#broker;
    broker.refreshNow();
    const mark = broker.store.mark();
    if (session.receivedEntry(packetId) === entry) session.release(packetId);
    else entry.remove(); // the session has ended, or the client has used the packet id anew
    publication.once = isRepeated ? { messageId: entry.release(), isElsewhere: false } : null;
    if (publication.retain) broker.keepRetained(publication);
    deliverLocally(broker, broker.routes.routeOf(publication.topic), publication, session);
    publication.once = null;
    for (const member of members) this.#deliverToMember(publication, member);
    const done = () => {
      for (const waiter of waiters) waiter.done();
    };
    if (broker.store.changedSince(mark)) broker.store.whenSettled(mark, done);
    else done();
  }

  #deliverToMember(publication: Publication, member: Subscription): void {
    if (member.session.subscriptions.get(member.filter) === member)
      this.#broker.deliver(publication, member, true);
    else this.#broker.deliverToGroup(publication, member.filter); // it has left meanwhile
  }

  /** The message stays kept, and its client releases it again on its next connection. */
  #fail(session: Session, release: Release): void {
    this.#pending.get(session)?.filter((other) => other !== release);
    for (const waiter of release.waiters) waiter.failed();
    release.waiters = [];
    this.#completeReady(session);
  }
}

/**
 * QoS 2 messages from a stored session to stored sessions of other workers. No message may be lost or doubled, though
 * two workers commit at different times. So the publisher's worker stores the message until the others have it.
 *
 *   PUBREL ─► to the other workers ─► stored there, with notes for whom ─► here, in one transaction: the message is
 *   not stored any more, its notes are gone, this worker's subscribers have it ─► PUBCOMP
 *
 * After a crash before the last transaction the message is still stored, its publisher releases it again, and the
 * delivery notes show who has it already. Messages of one session complete in the order of their release.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { Publication } from '../mqtt/publication.js';
import type { Route } from '../routing/route-table.js';
import type { Session } from '../session/session.js';
import type { StoredDelivery } from '../session/session-storage.js';
import type { Subscription } from '../session/subscription.js';

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

export interface Release extends Released {
  entry: StoredDelivery;
  /** It was tried before, maybe by an earlier process: some may have it. */
  isRepeated: boolean;
  /** Workers that have not stored it yet. */
  missing: number;
  /** Members of shared groups here whose turn it is. */
  members: Subscription[];
  waiters: ReleaseWaiter[];
}

/** The messages under way, by session, in the order of their release; `release-path.ts` moves them on. */
export class Releases {
  readonly #pending = new Map<Session, RingQueue<Release>>();

  has(session: Session): boolean {
    return this.#pending.has(session);
  }

  /** The release of this message, if it is under way. */
  find(session: Session, entry: StoredDelivery): Release | undefined {
    for (const release of this.#pending.get(session) ?? []) if (release.entry === entry) return release;
    return undefined;
  }

  add(session: Session, release: Release): void {
    let queue = this.#pending.get(session);
    if (queue === undefined) {
      queue = new RingQueue();
      this.#pending.set(session, queue);
    }
    queue.push(release);
  }

  /** Takes out the oldest release of a session if nobody is missing any more: those behind it wait for it. */
  takeReady(session: Session): Release | undefined {
    const queue = this.#pending.get(session);
    if (queue?.peek()?.missing !== 0) return undefined;
    const release = queue.shift();
    if (queue.length === 0) this.#pending.delete(session);
    return release;
  }

  /** Takes out a release that failed. */
  remove(session: Session, release: Release): void {
    const queue = this.#pending.get(session);
    if (queue === undefined) return;
    queue.filter((other) => other !== release);
    if (queue.length === 0) this.#pending.delete(session);
  }
}

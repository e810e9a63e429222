/**
 * Retained messages on their way to a client that has just subscribed, at the pace at which it takes them: a
 * subscription to `#` may match a million, and neither the socket's backlog nor the queue's limit is to be
 * overrun by it.
 *
 * Kept are topics, not messages: what is sent is the message of that moment, so that a client never gets an old
 * value after a newer one.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { RetainedTree } from '../retained/retained-tree.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';

/** Bytes waiting for the socket beyond which delivery pauses. */
const BACKLOG_MAX = 256 * 1024;

/** Messages waiting in the session's queue beyond which delivery pauses. */
const QUEUE_MAX = 16;

interface Waiting {
  topic: string;
  subscription: Subscription;
}

export class RetainedDelivery {
  readonly #tree: RetainedTree;
  readonly #waiting = new RingQueue<Waiting>();

  constructor(tree: RetainedTree) {
    this.#tree = tree;
  }

  /** Takes on everything that matches the subscription's filter. */
  add(subscription: Subscription): void {
    this.#tree.match(subscription.filter, ({ topic }) => this.#waiting.push({ topic, subscription }));
  }

  /**
   * Sends on. @param waitingBytes the connection's backlog @param upgradeQos `upgrade_outgoing_qos`
   * @param now milliseconds since the epoch
   */
  pump(session: Session, waitingBytes: () => number, upgradeQos: boolean, now: number): void {
    while (this.#waiting.length > 0) {
      if (session.queuedCount >= QUEUE_MAX || waitingBytes() > BACKLOG_MAX) return;
      const { topic, subscription } = this.#waiting.shift()!;
      const message = this.#tree.get(topic);
      if (message === undefined) continue;
      if (message.expiresAt !== 0 && message.expiresAt <= now) {
        this.#tree.delete(topic);
        continue;
      }
      const qos = upgradeQos || subscription.qos < message.qos ? subscription.qos : message.qos;
      session.deliver(message, qos, true, subscription.identifiers, null);
    }
  }
}

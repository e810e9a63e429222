/**
 * Retained messages on their way to a client that has just subscribed, at the pace at which it takes them: a
 * subscription to `#` may match a million, and neither the socket's backlog nor the queue's limit is to be
 * overrun by it. They are read piece by piece, so that what is sent is the message of that moment.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import type { RetainedCursor } from './ports.js';

/** Bytes waiting for the socket beyond which delivery pauses. */
const BACKLOG_MAX = 256 * 1024;

/** Messages waiting in the session's queue beyond which delivery pauses. */
const QUEUE_MAX = 16;

/** Messages read at a time. */
const PIECE = 64;

interface Waiting {
  cursor: RetainedCursor;
  subscription: Subscription;
}

/** What delivery has to know of the connection at the moment. */
export interface RetainedPace {
  session: Session;
  waitingBytes(): number;
  /** `upgrade_outgoing_qos` */
  upgradeQos: boolean;
  /** Milliseconds since the epoch. */
  now: number;
}

export class RetainedDelivery {
  readonly #waiting = new RingQueue<Waiting>();

  /** Takes on everything that a subscription is to get. */
  add(subscription: Subscription, cursor: RetainedCursor): void {
    this.#waiting.push({ cursor, subscription });
  }

  /** Sends on, as far as the client takes it. */
  pump(pace: RetainedPace): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (next.cursor.done) {
        this.#waiting.shift();
        continue;
      }
      if (pace.session.queuedCount >= QUEUE_MAX || pace.waitingBytes() > BACKLOG_MAX) return;
      deliverPiece(next, pace);
    }
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }
}

function deliverPiece({ cursor, subscription }: Waiting, { session, upgradeQos, now }: RetainedPace): void {
  for (const message of cursor.next(PIECE)) {
    if (message.expiresAt !== 0 && message.expiresAt <= now) continue;
    const qos = upgradeQos || subscription.qos < message.qos ? subscription.qos : message.qos;
    session.deliver(message, qos, true, subscription.identifiers, null);
  }
}

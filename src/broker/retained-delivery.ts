/**
 * Retained messages on their way to a client that has just subscribed, at the pace at which it takes them: a
 * subscription to `#` may match a million, and neither the socket's backlog nor the queue's limit is to be
 * overrun by it. They are read piece by piece, so that what is sent is the message of that moment.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import type { Publication } from '../mqtt/publication.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import type { Broker } from './broker.js';
import type { RetainedCursor } from './ports.js';

/** Messages read at a time. */
const PIECE = 16;

interface Waiting {
  cursor: RetainedCursor;
  subscription: Subscription;
}

/** What delivery has to know of the connection at the moment. */
export interface RetainedPace {
  session: Session;
  /** The peer does not take bytes. */
  readonly blocked: boolean;
  /** QoS 0 messages that may wait for it; 0 = no limit [mosq: max_queued_messages]. */
  backlogMax: number;
  /** `upgrade_outgoing_qos` */
  upgradeQos: boolean;
  /** Milliseconds since the epoch. */
  now: number;
  /** Whether who published it may still do so, where that is to be asked [mosq: check_retain_source]. */
  sourceMayWrite?: ((message: Publication) => boolean) | undefined;
}

/** @param out where the client's bytes go */
export function retainedPace(broker: Broker, session: Session, out: OutgoingBuffer): RetainedPace {
  const { upgradeOutgoingQos, maxQueuedMessages, checkRetainSource } = broker.settings;
  return {
    session,
    get blocked() {
      return out.blocked;
    },
    backlogMax: maxQueuedMessages,
    upgradeQos: upgradeOutgoingQos,
    now: broker.now,
    sourceMayWrite: checkRetainSource ? (message) => broker.sourceMayWrite(message) : undefined,
  };
}

export class RetainedDelivery {
  readonly #waiting = new RingQueue<Waiting>();

  /** Takes on everything that a subscription is to get. */
  add(subscription: Subscription, cursor: RetainedCursor): void {
    this.#waiting.push({ cursor, subscription });
  }

  /** Sends on, as far as the client takes it: it comes again when the socket or the session has room. */
  pump(pace: RetainedPace): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (next.cursor.done || isOver(next.subscription)) {
        this.#waiting.shift();
        continue;
      }
      const limit = pace.blocked ? 0 : roomFor(next.subscription, pace);
      if (limit === 0) return;
      deliverPiece(next, limit, pace);
    }
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }
}

/** Nothing comes any more for what was unsubscribed [MQTT-3.10.4-2]. */
function isOver(subscription: Subscription): boolean {
  return subscription.session.subscriptions.get(subscription.filter) !== subscription;
}

/** Neither the backlog of QoS 0 nor the queue of QoS 1 and 2 is to be needed: they have their limits. */
function roomFor({ qos }: Subscription, { session, backlogMax }: RetainedPace): number {
  return Math.min(PIECE, qos === 0 ? backlogMax || PIECE : session.outbound.windowRoom);
}

function deliverPiece({ cursor, subscription }: Waiting, limit: number, pace: RetainedPace): void {
  const { session, upgradeQos, now, sourceMayWrite } = pace;
  cursor.next(limit, (message) => {
    if (message.expiresAt !== 0 && message.expiresAt <= now) return;
    if (sourceMayWrite?.(message) === false) return;
    const qos = subscription.deliveredQos(message.qos, upgradeQos);
    session.deliver(message, qos, true, subscription.identifiers, null);
  });
}

/**
 * Retained messages on their way to a client that has just subscribed, at the pace at which it takes them: a
 * subscription to `#` may match a million, and neither the socket's backlog nor the queue's limit is to be
 * overrun by it. They are read piece by piece, so that what is sent is the message of that moment.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import { hasPlainTexts } from '../mqtt/plain-texts.js';
import type { Publication } from '../mqtt/publication.js';
import type { Session } from '../session/session.js';
import type { Subscription } from '../session/subscription.js';
import type { Broker } from './broker.js';
import type { RetainedCursor } from './ports.js';

/** Messages read at a time. */
const PIECE = 16;

/** Keys and messages that may be looked at for one client in one turn of the event loop: one or two milliseconds. */
const TOUCHES_A_TURN = 512;

/** The cost of beginning a walk, in keys and messages that are looked at. */
const WALK_COST = 16;

interface Waiting {
  readonly subscription: Subscription;
  /** Begins the walk. */
  readonly match: () => RetainedCursor;
  /** `null`: it has not begun. */
  cursor: RetainedCursor | null;
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
  /** Hears of a message with a text that no client takes. */
  undeliverable: (message: Publication) => void;
  /** Has `pump` called in the next turn of the event loop. */
  pumpNextTurn: () => void;
  /** Whether who published it may still do so, if that is to be asked [mosq: check_retain_source]. */
  sourceMayWrite?: ((message: Publication) => boolean) | undefined;
}

/** @param out where the client's bytes go */
export function retainedPace(
  broker: Broker,
  session: Session,
  out: OutgoingBuffer,
  pumpNextTurn: () => void,
): RetainedPace {
  const { upgradeOutgoingQos, maxQueuedMessages, checkRetainSource } = broker.settings;
  return {
    session,
    get blocked() {
      return out.blocked;
    },
    backlogMax: maxQueuedMessages,
    upgradeQos: upgradeOutgoingQos,
    now: broker.now,
    undeliverable: (message) => broker.undeliverable(message),
    pumpNextTurn,
    sourceMayWrite: checkRetainSource ? (message) => broker.sourceMayWrite(message) : undefined,
  };
}

export class RetainedDelivery {
  readonly #waiting = new RingQueue<Waiting>();
  /** The same by subscription; `null` until there is one, as with most clients. */
  #bySubscription: Map<Subscription, Waiting> | null = null;
  /** This turn's share is used up. */
  #waitsForTurn = false;

  /**
   * Takes on everything that a subscription is to get. If the client subscribes again before it has got it, it gets
   * everything from the beginning, and once.
   */
  add(subscription: Subscription, match: () => RetainedCursor): void {
    this.#bySubscription ??= new Map();
    const known = this.#bySubscription.get(subscription);
    if (known !== undefined) {
      known.cursor = null;
      return;
    }
    const waiting = { subscription, match, cursor: null };
    this.#bySubscription.set(subscription, waiting);
    this.#waiting.push(waiting);
  }

  /**
   * Sends on, as far as the client takes it and other clients are not held up: it comes again when the socket or the
   * session has room, or in the next turn. Only to be called if `isDue`.
   */
  pump(pace: RetainedPace): void {
    let touchesLeft = TOUCHES_A_TURN;
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (touchesLeft <= 0) {
        this.#waitsForTurn = true;
        pace.pumpNextTurn();
        return;
      }
      if (next.cursor?.done || isOver(next.subscription)) {
        this.#waiting.shift();
        this.#bySubscription!.delete(next.subscription);
        touchesLeft -= 1;
        continue;
      }
      const limit = pace.blocked ? 0 : roomFor(next.subscription, pace);
      if (limit === 0) return;
      touchesLeft -= deliverPiece(next, limit, pace);
    }
    this.#bySubscription = null;
  }

  /** Another turn has begun. */
  beginTurn(): void {
    this.#waitsForTurn = false;
  }

  /** Whether something may be sent in this turn. */
  get isDue(): boolean {
    return this.#waiting.length > 0 && !this.#waitsForTurn;
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

/** @returns what it has cost */
function deliverPiece(waiting: Waiting, limit: number, pace: RetainedPace): number {
  const { session, upgradeQos, now, sourceMayWrite } = pace;
  const { subscription } = waiting;
  const beginning = waiting.cursor === null ? WALK_COST : 1;
  waiting.cursor ??= waiting.match();
  const { cursor } = waiting;
  const touchedBefore = cursor.touched;
  cursor.next(limit, (message) => {
    if (message.expiresAt !== 0 && message.expiresAt <= now) return;
    if (sourceMayWrite?.(message) === false) return;
    if (!hasPlainTexts(message)) {
      pace.undeliverable(message);
      return;
    }
    const qos = subscription.deliveredQos(message.qos, upgradeQos);
    session.deliver(message, qos, true, subscription.identifiers, null);
  });
  return beginning + cursor.touched - touchedBefore;
}

/** Sessions and subscriptions without a broker around them. */
import type { ProtocolVersion, Qos } from '../../../src/mqtt/packets.js';
import type { DropReason, SessionLimits } from '../../../src/session/outbound.js';
import { Session } from '../../../src/session/session.js';
import { Subscription } from '../../../src/session/subscription.js';
import { MemoryStorage } from '../store/memory-storage.js';

const usualLimits: SessionLimits = {
  maxInflightBytes: 0,
  maxInflightMessages: 20,
  maxQueuedMessages: 1000,
  maxQueuedBytes: 0,
  queueQos0Messages: false,
};

export interface TestSession {
  session: Session;
  /** Why messages did not reach the client, in order. */
  drops: DropReason[];
}

/** @param whenSettled calls back when the changes so far are stored; by default at once */
export function testSession(
  limits: Partial<SessionLimits> = {},
  version: ProtocolVersion = 4,
  whenSettled = (callback: () => void): void => callback(),
): TestSession {
  const drops: DropReason[] = [];
  const events = {
    now: 0,
    dropped: (_: Session, reason: DropReason) => void drops.push(reason),
    undeliverable: () => {},
    changed: () => {},
    markWithin: () => 0,
    whenSettled: (_mark: number, callback: () => void) => whenSettled(callback),
  };
  return { session: new Session('client', version, { ...usualLimits, ...limits }, events), drops };
}

export function subscriptionTo(filter: string, qos: Qos = 0, session = testSession().session): Subscription {
  const subscription = new Subscription(session, filter);
  subscription.qos = qos;
  return subscription;
}

/** Of a session with a storage. */
export function durableSubscriptionTo(filter: string, qos: Qos = 0): Subscription {
  const { session } = testSession();
  session.storeIn(new MemoryStorage());
  return subscriptionTo(filter, qos, session);
}

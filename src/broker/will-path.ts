/** Wills on their way: delayed, given up, or published with the rights that their client has at that moment. */
import { OPEN_ACL } from '../auth/acl-check.js';
import type { Session } from '../session/session.js';
import type { Broker } from './broker.js';
import { publishOf } from './route-publication.js';
import { type PreparedWill, willRecord } from './wills.js';

/** A connection ended without DISCONNECT, or asked for its will: it is published now or after its delay [MQTT-3.1.2-8]. */
export function sendWill(broker: Broker, session: Session, will: PreparedWill): void {
  if (will.delay > 0 && session.outlivesConnection) {
    const dueAt = Math.min(broker.now + will.delay * 1000, broker.sessionEndsAt(session));
    broker.delayedWills.add(session.clientId, will, dueAt);
    session.storage?.update({ will: willRecord(will, dueAt) });
  } else {
    publishWill(broker, session.clientId, will);
  }
}

/** The session ends before the delay is over, or another client takes the client id: its delayed will is published. */
export function publishDelayedWill(broker: Broker, clientId: string): void {
  const will = broker.delayedWills.take(clientId);
  if (will !== undefined) publishWill(broker, clientId, will);
}

export function publishWill(broker: Broker, clientId: string, will: PreparedWill): void {
  try {
    broker.withStored(clientId, () => publishNow(broker, clientId, will));
  } catch (error) {
    broker.guard.caught(error, { from: clientId, what: 'the will' });
  }
}

function publishNow(broker: Broker, clientId: string, will: PreparedWill): void {
  if (will.expiry !== 0) will.publication.expiresAt = broker.now + will.expiry * 1000;
  broker.directory.willDone(clientId, will.claim);
  const session = broker.sessions.get(clientId);
  session?.storage?.update({ will: undefined });
  if (will.publication.retain && !broker.settings.retainAvailable) return;
  if (!mayPublish(broker, clientId, will)) return;
  // A subscription of its own with No Local does not get it [MQTT-3.8.3-3].
  publishOf(broker, will.publication, session ?? null);
}

/** Asked when the will is sent, because rights may have changed since CONNECT. */
function mayPublish(
  broker: Broker,
  clientId: string,
  { publication, listener, username }: PreparedWill,
): boolean {
  const acl = broker.access.aclOf(listener, username, clientId) ?? OPEN_ACL;
  if (acl.canWrite(publication.topic)) return true;
  broker.denials.denied(clientId, publication.topic, acl, broker.now);
  return false;
}

/**
 * A worker's side of dynamic security: requests go to main, its answers to all who subscribe to them
 * [mosq: dynamic security].
 */
import { Publication } from '../mqtt/publication.js';
import type { ControlAnswer } from '../routing/messages.js';
import type { Broker } from './broker.js';
import { DYNAMIC_SECURITY_TOPIC } from './control-api.js';
import { deliverLocally } from './route-publication.js';

/** Main answers: those here who subscribe to the answers get it, then those have to go whose rights have changed. */
export function publishControlAnswer(
  broker: Broker,
  { payload, kicked, kicksAnonymous }: ControlAnswer,
): void {
  broker.refreshNow();
  if (payload !== null) {
    const topic = `${DYNAMIC_SECURITY_TOPIC}/response`;
    const answer = Publication.create({ topic, payload: Buffer.from(payload), qos: 0, retain: false });
    deliverLocally(broker, broker.routes.routeOf(topic), answer, null);
  }
  if (kicked.size === 0 && !kicksAnonymous) return;
  for (const connection of broker.connections) connection.leaveIfKicked(kicked, kicksAnonymous);
}

/** Main must not send wills, should this worker die, that their clients may not publish any more. */
export function rightsChanged(broker: Broker): void {
  for (const connection of broker.connections) connection.rightsChanged();
}

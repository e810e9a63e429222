/** What somebody has done to a client of this worker through the HTTP API. */
import { ReasonCode } from '../mqtt/reason-codes.js';
import type { ClientOrder, OrderAnswer } from '../routing/client-questions.js';
import type { Broker } from './broker.js';
import { Connection } from './connection.js';
import { endSession } from './session-path.js';
import { publishDelayedWill } from './will-path.js';

export function carryOut(broker: Broker, { what, clientId, dryRun }: ClientOrder): OrderAnswer {
  const session = broker.sessions.get(clientId);
  if (session === undefined) return { what: 'order', client: null };
  const connection = connectionOf(broker, clientId);
  const client = {
    connected: session.peer !== null,
    isBridge: broker.isBridgeId(clientId),
    subscriptions: session.subscriptions.size,
    queued: session.outbound.queuedCount,
  };
  if (!dryRun && !client.isBridge) {
    connection?.refuse(ReasonCode.administrativeAction);
    // A will that waits for its delay is due at the latest when the session ends [MQTT-3.1.2-8].
    if (what === 'end session') publishDelayedWill(broker, clientId);
    // With the connection a session may have ended already.
    if (what === 'end session') endSession(broker, session);
  }
  return { what: 'order', client };
}

/** @returns `null` if the client is away */
function connectionOf(broker: Broker, clientId: string): Connection | null {
  for (const connection of broker.connections) {
    if (connection instanceof Connection && connection.isConnected && connection.clientId === clientId) {
      return connection;
    }
  }
  return null;
}

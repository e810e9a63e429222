/** Counters that are a state rather than a count of events: taken once a second. */
import { Counter } from '../sys/counters.js';
import type { Broker } from './broker.js';

export function gauge(broker: Broker): void {
  const { counters } = broker;
  let storedMessages = 0;
  let storedBytes = 0;
  for (const session of broker.sessions.values()) {
    storedMessages +=
      session.outbound.queuedCount + session.outbound.inflightCount + session.inbound.unreleasedCount;
    storedBytes += session.outbound.pendingBytes + session.inbound.unreleasedBytes;
  }
  let waitingPackets = 0;
  let waitingBytes = 0;
  for (const connection of broker.connections) {
    connection.sender.countSent();
    waitingPackets += connection.out.waitingPackets;
    waitingBytes += connection.out.waitingBytes;
  }
  counters[Counter.connections] = broker.connections.size + broker.connectedBridges;
  counters[Counter.sessions] = broker.sessions.size;
  counters[Counter.subscriptions] = broker.routes.subscriptionCount;
  counters[Counter.sharedSubscriptions] = broker.routes.sharedSubscriptionCount;
  counters[Counter.retainedMessages] = broker.store.retained.count + broker.sysRetained.size;
  counters[Counter.storedMessages] = storedMessages;
  counters[Counter.storedBytes] = storedBytes;
  counters[Counter.waitingPackets] = waitingPackets;
  counters[Counter.waitingBytes] = waitingBytes;
}

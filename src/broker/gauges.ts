/** Counters that are a state rather than a count of events: taken once a second. */

import type { Session } from '../session/session.js';
import { Counter } from '../sys/counters.js';
import { bytesOfSession, CONNECTION_BYTES, MESSAGE_BYTES } from './memory-budget.js';
import type { BrokerStore } from './ports.js';

/** What is counted, of the broker. */
interface Counted {
  readonly counters: Float64Array;
  readonly sessions: { readonly size: number; values(): Iterable<Session> };
  readonly connections: Iterable<CountedConnection> & { readonly size: number };
  readonly connectedBridges: number;
  readonly routes: { readonly subscriptionCount: number; readonly sharedSubscriptionCount: number };
  readonly delayedWills: { readonly bytes: number };
  readonly store: Pick<BrokerStore, 'retained' | 'memoryBytes'>;
  readonly sysRetained: { readonly size: number };
  readonly sysRetainedBytes: number;
}

interface CountedConnection {
  readonly out: { readonly waitingPackets: number; readonly waitingBytes: number };
  readonly openSession: Session | null;
  readonly unreadBytes: number;
  readonly willBytes: number;
  readonly sender: { countSent(): void };
}

/** In memory in every worker, whatever the store is. */
function bytesOfSysRetained({ sysRetained, sysRetainedBytes }: Counted): number {
  return sysRetained.size * MESSAGE_BYTES + sysRetainedBytes;
}

export function gauge(broker: Counted): void {
  const { counters } = broker;
  let storedMessages = 0;
  let storedBytes = 0;
  let occupiedBytes = broker.delayedWills.bytes;
  const storeIsInMemory = broker.store.memoryBytes > 0;
  for (const session of broker.sessions.values()) {
    storedMessages +=
      session.outbound.queuedCount + session.outbound.inflightCount + session.inbound.unreleasedCount;
    storedBytes += session.outbound.pendingBytes + session.inbound.unreleasedBytes;
    session.occupiedBytes = bytesOfSession(session, storeIsInMemory) + (session.peer?.waitingBytes ?? 0);
    occupiedBytes += session.occupiedBytes;
  }
  let waitingPackets = 0;
  let waitingBytes = 0;
  for (const connection of broker.connections) {
    connection.sender.countSent();
    waitingPackets += connection.out.waitingPackets;
    waitingBytes += connection.out.waitingBytes;
    const occupied = CONNECTION_BYTES + connection.unreadBytes + connection.willBytes;
    occupiedBytes += occupied;
    if (connection.openSession !== null) connection.openSession.occupiedBytes += occupied;
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
  counters[Counter.occupiedBytes] = occupiedBytes;
  counters[Counter.retainedBytes] = broker.store.retained.memoryBytes + bytesOfSysRetained(broker);
  counters[Counter.storeMemoryBytes] = broker.store.memoryBytes;
}

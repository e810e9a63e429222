/**
 * The clients of this worker, for somebody who looks. Nothing is held for that: a question walks over the sessions, a
 * bounded number of them in each turn of the event loop, and holds no more rows than are wanted.
 */
import {
  type ClientDetails,
  type ClientRow,
  type ClientsQuestion,
  compareRows,
  type WorkerAnswer,
  type WorkerQuestion,
} from '../routing/client-questions.js';
import type { Session } from '../session/session.js';
import type { Broker } from './broker.js';
import { carryOut } from './client-orders.js';
import { Connection } from './connection.js';

/** Sessions that are looked at in one turn: about a millisecond's work. */
const SESSIONS_A_TURN = 1000;

/** Subscriptions of one client that are shown. */
const SUBSCRIPTIONS_MAX = 1000;

/** @param answered called in this turn of the event loop or a later one */
export function answerQuestion(
  broker: Broker,
  worker: number,
  question: WorkerQuestion,
  answered: (answer: WorkerAnswer) => void,
): void {
  if (question.what === 'clients') {
    listClients(broker, worker, question, answered);
    return;
  }
  if (question.what !== 'client') {
    answered(carryOut(broker, question));
    return;
  }
  const session = broker.sessions.get(question.clientId);
  const client = session === undefined ? null : detailsOf(broker, worker, session);
  answered({ what: 'client', client });
}

function listClients(
  broker: Broker,
  worker: number,
  question: ClientsQuestion,
  answered: (answer: WorkerAnswer) => void,
): void {
  const connections = connectionsByClient(broker);
  const sessions = [...broker.sessions.values()];
  let rows: ClientRow[] = [];
  let total = 0;
  let next = 0;
  const sortRows = (): void => {
    rows.sort((a, b) => compareRows(a, b, question));
    rows = rows.slice(0, question.count);
  };
  const step = (): void => {
    const end = Math.min(sessions.length, next + SESSIONS_A_TURN);
    for (; next < end; next += 1) {
      const session = sessions[next]!;
      const row = rowOf(worker, session, connections.get(session.clientId));
      if (!isFound(row, question.search)) continue;
      total += 1;
      rows.push(row);
    }
    if (rows.length > 2 * question.count) sortRows();
    if (next < sessions.length) {
      broker.nextTurn(step);
      return;
    }
    sortRows();
    answered({ what: 'clients', total, rows });
  };
  step();
}

function connectionsByClient(broker: Broker): Map<string, Connection> {
  const connections = new Map<string, Connection>();
  for (const connection of broker.connections) {
    if (connection instanceof Connection && connection.isConnected) {
      connections.set(connection.clientId, connection);
    }
  }
  return connections;
}

function isFound({ clientId, username, address }: ClientRow, search: string): boolean {
  if (search === '') return true;
  return [clientId, username, address].some((text) => text?.toLowerCase().includes(search));
}

function rowOf(worker: number, session: Session, connection: Connection | undefined): ClientRow {
  const { clientId, username, version, subscriptions, outbound } = session;
  return {
    clientId,
    username: username ?? null,
    connected: session.peer !== null,
    address: connection?.address ?? null,
    worker,
    version,
    subscriptions: subscriptions.size,
    queued: outbound.queuedCount,
    inflight: outbound.inflightCount,
    pendingBytes: outbound.pendingBytes,
  };
}

function detailsOf(broker: Broker, worker: number, session: Session): ClientDetails {
  const connection = connectionsByClient(broker).get(session.clientId);
  const { listener, expiryInterval, disconnectedAt, inbound, drops } = session;
  const tls = connection?.transport.tls ?? null;
  const firstSubscriptions: ClientDetails['firstSubscriptions'] = [];
  for (const { filter, qos, noLocal, retainAsPublished } of session.subscriptions.values()) {
    if (firstSubscriptions.length === SUBSCRIPTIONS_MAX) break;
    firstSubscriptions.push({ filter, qos, noLocal, retainAsPublished });
  }
  return {
    ...rowOf(worker, session, connection),
    listener,
    sessionExpiryInterval: expiryInterval,
    connectedAt: connection === undefined ? null : timeText(connection.acceptedAt),
    lastReceivedAt: connection === undefined ? null : timeText(connection.lastReceivedAt),
    disconnectedAt: disconnectedAt === 0 ? null : timeText(disconnectedAt),
    keepAlive: connection?.keepAlive ?? null,
    tls: tls === null ? null : { protocol: tls.protocol, cipher: tls.cipher },
    unreleased: inbound.unreleasedCount,
    dropped: Object.fromEntries(drops.totals ?? []),
    firstSubscriptions,
  };
}

function timeText(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

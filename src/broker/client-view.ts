/**
 * The clients of this worker, for somebody who looks. Nothing is held for that: a question walks over the sessions, a
 * bounded number of them in each turn of the event loop, and holds no more rows than are wanted.
 */
import { assertNever } from '../base/assert.js';
import {
  type BridgeRow,
  type ClientDetails,
  type ClientRow,
  type ClientsQuestion,
  compareRows,
  type GroupsAnswer,
  type SubscriptionRow,
  type SubscriptionsQuestion,
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

/**
 * @param bridges of this worker
 * @param answered called in this turn of the event loop or a later one
 */
export function answerQuestion(
  broker: Broker,
  { worker, bridges }: { worker: number; bridges: () => BridgeRow[] },
  question: WorkerQuestion,
  answered: (answer: WorkerAnswer) => void,
): void {
  switch (question.what) {
    case 'clients':
      listClients(broker, worker, question, answered);
      return;
    case 'client': {
      const session = broker.sessions.get(question.clientId);
      answered({ what: 'client', client: session === undefined ? null : detailsOf(broker, worker, session) });
      return;
    }
    case 'addresses':
      answered({ what: 'addresses', addresses: addressesOf(broker, new Set(question.usernames)) });
      return;
    case 'subscriptions':
      listSubscriptions(broker, question, answered);
      return;
    case 'groups':
      countGroups(broker, answered);
      return;
    case 'bridges':
      answered({ what: 'bridges', bridges: bridges() });
      return;
    case 'disconnect':
    case 'end session':
      answered(carryOut(broker, question));
      return;
    default:
      assertNever(question);
  }
}

function addressesOf(broker: Broker, usernames: ReadonlySet<string>): [string, string][] {
  const addresses: [string, string][] = [];
  for (const connection of connectionsByClient(broker).values()) {
    const { username, transport } = connection;
    if (username !== undefined && usernames.has(username))
      addresses.push([username, transport.remoteAddress]);
  }
  return addresses;
}

function listClients(
  broker: Broker,
  worker: number,
  question: ClientsQuestion,
  answered: (answer: WorkerAnswer) => void,
): void {
  const connections = connectionsByClient(broker);
  let rows: ClientRow[] = [];
  let total = 0;
  const sortRows = (): void => {
    rows.sort((a, b) => compareRows(a, b, question));
    rows = rows.slice(0, question.count);
  };
  walkSessions(
    broker,
    (session) => {
      const row = rowOf(worker, session, connections.get(session.clientId));
      if (!isFound(row, question.search)) return 1;
      total += 1;
      rows.push(row);
      if (rows.length > 2 * question.count + SESSIONS_A_TURN) sortRows();
      return 1;
    },
    () => {
      sortRows();
      answered({ what: 'clients', total, rows });
    },
  );
}

function listSubscriptions(
  broker: Broker,
  { search, count }: SubscriptionsQuestion,
  answered: (answer: WorkerAnswer) => void,
): void {
  const rows: SubscriptionRow[] = [];
  let total = 0;
  walkSessions(
    broker,
    ({ clientId, subscriptions, peer }) => {
      const isClientFound = clientId.toLowerCase().includes(search);
      for (const { filter, qos } of subscriptions.values()) {
        if (!isClientFound && !filter.toLowerCase().includes(search)) continue;
        total += 1;
        if (rows.length < count) rows.push({ filter, clientId, qos, connected: peer !== null });
      }
      return 1 + subscriptions.size;
    },
    () => answered({ what: 'subscriptions', total, rows }),
  );
}

function countGroups(broker: Broker, answered: (answer: WorkerAnswer) => void): void {
  const members: GroupsAnswer['members'] = Object.create(null);
  walkSessions(
    broker,
    ({ subscriptions, peer }) => {
      for (const { filter } of subscriptions.values()) {
        if (!filter.startsWith('$share/')) continue;
        members[filter] ??= { members: 0, connected: 0 };
        const group = members[filter];
        group.members += 1;
        if (peer !== null) group.connected += 1;
      }
      return 1 + subscriptions.size;
    },
    () => answered({ what: 'groups', members }),
  );
}

/** @param visit returns how much work it was, in sessions */
function walkSessions(broker: Broker, visit: (session: Session) => number, done: () => void): void {
  const sessions = [...broker.sessions.values()];
  let next = 0;
  const step = (): void => {
    for (let work = 0; next < sessions.length && work < SESSIONS_A_TURN; next += 1)
      work += visit(sessions[next]!);
    if (next < sessions.length) broker.nextTurn(step);
    else done();
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

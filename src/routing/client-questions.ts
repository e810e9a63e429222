/** What main asks the workers about their clients, or has them do to one, and what they answer. Plain data. */
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';

/** By what a list of clients is sorted. */
export const CLIENT_SORTS = ['clientId', 'username', 'subscriptions', 'queued', 'pendingBytes'] as const;

export type ClientSort = (typeof CLIENT_SORTS)[number];

export interface ClientsQuestion {
  what: 'clients';
  /** Part of the client id, the user name or the address, in lower case; '' = all clients. */
  search: string;
  sort: ClientSort;
  descending: boolean;
  /** Rows that are wanted, from the first one on. */
  count: number;
}

export interface ClientQuestion {
  what: 'client';
  clientId: string;
}

/** Something is to be done to a client. The end of its session is the end of its connection, too. */
export interface ClientOrder {
  what: 'disconnect' | 'end session';
  clientId: string;
  /** Nothing is done; the answer says what would be. */
  dryRun: boolean;
}

export interface SubscriptionsQuestion {
  what: 'subscriptions';
  /** Part of the filter or the client id, in lower case; '' = all subscriptions. */
  search: string;
  /** Rows that are wanted. */
  count: number;
}

export interface GroupsQuestion {
  what: 'groups';
}

export interface BridgesQuestion {
  what: 'bridges';
}

/** From where users are connected. */
export interface AddressesQuestion {
  what: 'addresses';
  usernames: readonly string[];
}

export type WorkerQuestion =
  | ClientsQuestion
  | ClientQuestion
  | ClientOrder
  | SubscriptionsQuestion
  | GroupsQuestion
  | BridgesQuestion
  | AddressesQuestion;

/** One client in a list. */
export interface ClientRow {
  clientId: string;
  username: string | null;
  connected: boolean;
  /** With the port; `null` for a client that is away, and for a bridge of this broker. */
  address: string | null;
  worker: number;
  /** 3 for MQTT 3.1, 4 for 3.1.1, 5 for 5.0. */
  version: ProtocolVersion;
  subscriptions: number;
  /** Messages that wait. */
  queued: number;
  inflight: number;
  /** Payload bytes that wait or are in flight. */
  pendingBytes: number;
}

export interface ClientsAnswer {
  what: 'clients';
  /** Clients that the search finds, on this worker. */
  total: number;
  /** The first of them, in the order that was asked for. */
  rows: ClientRow[];
}

/** Everything about one client. */
export interface ClientDetails extends ClientRow {
  /** Index of the listener through which it came last; `null` = not known. */
  listener: number | null;
  /** Seconds the session outlives its connection; 4294967295 = it never ends. */
  sessionExpiryInterval: number;
  /** ISO 8601, as all times; `null` if it does not apply. */
  connectedAt: string | null;
  lastReceivedAt: string | null;
  disconnectedAt: string | null;
  /** Seconds; `null` if the client is away, or a bridge of this broker. */
  keepAlive: number | null;
  tls: { protocol: string; cipher: string } | null;
  /** QoS 2 messages of the client that wait for PUBREL. */
  unreleased: number;
  /** Messages to the client that were dropped since this worker has its session, by reason. */
  dropped: Record<string, number>;
  /** The first ones, in the order in which they were made. */
  firstSubscriptions: { filter: string; qos: Qos; noLocal: boolean; retainAsPublished: boolean }[];
}

export interface ClientAnswer {
  what: 'client';
  /** `null` if this worker has no such client. */
  client: ClientDetails | null;
}

/** What an order was about, as it was before. */
export interface OrderAnswer {
  what: 'order';
  /** `null` if this worker has no such client. A bridge of this broker is never touched. */
  client: { connected: boolean; isBridge: boolean; subscriptions: number; queued: number } | null;
}

export interface SubscriptionRow {
  filter: string;
  clientId: string;
  qos: Qos;
  connected: boolean;
}

export interface SubscriptionsAnswer {
  what: 'subscriptions';
  /** That the search finds, on this worker. */
  total: number;
  /** Any of them. */
  rows: SubscriptionRow[];
}

export interface GroupsAnswer {
  what: 'groups';
  /** Members of this worker by the filter with `$share/NAME/`. */
  members: Record<string, { members: number; connected: number }>;
}

export interface BridgeRow {
  name: string;
  /** `HOST:PORT` each. */
  addresses: string[];
  connected: boolean;
  state: 'claiming' | 'waiting' | 'resting' | 'dialling' | 'connecting' | 'connected' | 'over';
  /** A clause; `null` if there was none since the start. */
  lastError: string | null;
  /** ISO 8601; `null` if no attempt is planned. */
  nextTryAt: string | null;
  waitingMessages: number;
  /** Of payload. */
  waitingBytes: number;
  oldestAgeMs: number;
  /** Messages that will never arrive, by the reason. */
  dropped: Readonly<Record<string, number>>;
}

export interface BridgesAnswer {
  what: 'bridges';
  bridges: BridgeRow[];
}

export interface AddressesAnswer {
  what: 'addresses';
  /** One for each connection. */
  addresses: [username: string, address: string][];
}

export type WorkerAnswer =
  | ClientsAnswer
  | ClientAnswer
  | OrderAnswer
  | SubscriptionsAnswer
  | GroupsAnswer
  | BridgesAnswer
  | AddressesAnswer;

/** The order of rows: as asked for, then by client id. */
export function compareRows(
  a: ClientRow,
  b: ClientRow,
  { sort, descending }: Pick<ClientsQuestion, 'sort' | 'descending'>,
): number {
  const order = compareValues(a[sort] ?? '', b[sort] ?? '') || compareValues(a.clientId, b.clientId);
  return descending ? -order : order;
}

function compareValues(a: string | number, b: string | number): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/**
 * The table of what lies below `/api/v1/`. Requests are answered from it, and `openapi.json` is made from it, so that
 * the description cannot differ from what is served.
 */
import { isTls } from '../config/listener-tls.js';
import type { ListenerSettings } from '../config/settings.js';
import { CLIENT_SORTS, type ClientRow, type ClientSort, compareRows } from '../routing/client-questions.js';
import { isValidTopicFilter } from '../topic/topic-filter.js';
import { whatIsNotReady } from './health.js';
import { shownSettings } from './shown-settings.js';
import type { BrokerView } from './view.js';

/** The request is wrong; the text says what would be right. */
export class QuestionError extends Error {}

/** What a parameter of a query may be. */
export type ParameterRule =
  | { type: 'string'; default?: string; enum?: readonly string[] }
  | { type: 'integer'; default: number; minimum: number; maximum: number };

export interface Parameter {
  description: string;
  rule: ParameterRule;
}

/** Values that are checked already. */
export interface Question {
  /** What stands in the place of `{id}` in the path. */
  id: string;
  text: (name: string) => string;
  number: (name: string) => number;
}

export interface Route {
  /** Below `/api/v1/`; `{id}` can only be the end. */
  path: string;
  summary: string;
  parameters?: Readonly<Record<string, Parameter>>;
  /** A text and no JSON. */
  isText?: true;
  /** The pages of all sites may read it, as with Mosquitto [mosq: HTTP API]; Midge's own routes are not for them. */
  isForAllSites?: true;
  /** What the answer has, by name. */
  answers?: Readonly<Record<string, 'string' | 'number' | 'boolean' | 'array' | 'object'>>;
  /** @returns `null` if there is nothing of that name @throws {QuestionError} */
  answer: (view: BrokerView, question: Question) => unknown;
}

/** Rows of one answer. */
const LIMIT_MAX = 1000;

/** Rows from the first of all to the last of the answer: each worker has to hold so many. */
const ROWS_MAX = 10_000;

/** Keys of the store that one request for retained messages may look at. */
const RETAINED_TOUCHES_MAX = 50_000;

const limit: Parameter = {
  description: 'Rows at the most.',
  rule: { type: 'integer', default: 100, minimum: 1, maximum: LIMIT_MAX },
};

export const ROUTES: readonly Route[] = [
  {
    path: 'version',
    summary: 'The version of the broker.',
    isText: true,
    isForAllSites: true,
    answer: (view) => view.version,
  },
  {
    path: 'listeners',
    summary: 'The listeners of the broker.',
    isForAllSites: true,
    answers: { listeners: 'array' },
    answer: (view) => ({ listeners: view.settings().listeners.map(shownListener) }),
  },
  {
    path: 'systree',
    summary: 'The whole numbers of the $SYS tree at this moment, by topic.',
    isForAllSites: true,
    answer: (view) => view.sysTree(),
  },
  {
    path: 'status',
    summary: 'Whether the broker is well, and what it does.',
    answers: {
      version: 'string',
      startedAt: 'string',
      ready: 'boolean',
      problems: 'array',
      clientsConnected: 'number',
      sessions: 'number',
      subscriptions: 'number',
      retainedMessages: 'number',
      messagesDropped: 'number',
      memoryBytes: 'number',
    },
    answer: statusOf,
  },
  {
    path: 'workers',
    summary: 'The worker threads, with the share of the last second in which each was busy.',
    answers: { workers: 'array' },
    answer: (view) => ({ workers: view.condition().workers }),
  },
  {
    path: 'store',
    summary: 'The store: sizes, transactions, the last save, bytes written a day.',
    answers: { trouble: 'string', figures: 'object' },
    answer: (view) => ({ trouble: view.condition().storeTrouble, figures: storeFigures(view) }),
  },
  {
    path: 'clients',
    summary: 'Clients, connected or away. A worker that has not answered within two seconds is in `missing`.',
    parameters: {
      search: {
        description: 'Part of the client id, the user name or the address; capitals do not matter.',
        rule: { type: 'string', default: '' },
      },
      sort: {
        description: 'What decides the order.',
        rule: { type: 'string', default: 'clientId', enum: CLIENT_SORTS },
      },
      order: {
        description: 'Which end comes first.',
        rule: { type: 'string', default: 'asc', enum: ['asc', 'desc'] },
      },
      offset: {
        description: 'Rows to leave out; with `limit` no more than 10,000.',
        rule: { type: 'integer', default: 0, minimum: 0, maximum: ROWS_MAX - 1 },
      },
      limit,
    },
    answers: { total: 'number', clients: 'array', missing: 'array' },
    answer: clientsOf,
  },
  {
    path: 'clients/{id}',
    summary: 'One client: session, subscriptions, queue, messages in flight, drops by reason, connection.',
    answers: { clientId: 'string', connected: 'boolean', firstSubscriptions: 'array', dropped: 'object' },
    answer: clientOf,
  },
  {
    path: 'subscriptions',
    summary: 'Subscriptions of all clients, in any order. `total` counts those that the search finds.',
    parameters: {
      search: {
        description: 'Part of the filter or of the client id; capitals do not matter.',
        rule: { type: 'string', default: '' },
      },
      limit,
    },
    answers: { total: 'number', subscriptions: 'array', missing: 'array' },
    answer: subscriptionsOf,
  },
  {
    path: 'groups',
    summary: 'Groups of shared subscriptions, with their members.',
    answers: { groups: 'array', missing: 'array' },
    answer: groupsOf,
  },
  {
    path: 'bridges',
    summary: 'Bridges of this broker: state, last error, next attempt, what waits and what was dropped.',
    answers: { bridges: 'array', missing: 'array' },
    answer: async (view) => {
      const { answers, missing } = await view.ask({ what: 'bridges' });
      const bridges = answers.flatMap((answer) => (answer.what === 'bridges' ? answer.bridges : []));
      return { bridges: bridges.toSorted((a, b) => a.name.localeCompare(b.name)), missing };
    },
  },
  {
    path: 'retained',
    summary: 'Retained messages without their payload, with the client that has published them.',
    parameters: {
      filter: { description: 'A topic filter; not below $SYS.', rule: { type: 'string', default: '#' } },
      limit,
    },
    answers: { retained: 'array', isAll: 'boolean' },
    answer: retainedOf,
  },
  {
    path: 'config',
    summary: 'The configuration in force, without secrets.',
    answer: (view) => shownSettings(view.settings()),
  },
  {
    path: 'log',
    summary: 'The last lines of the log, the oldest first; of those only that log_type asks for.',
    parameters: {
      type: {
        description: 'Lines of this type only, such as `error`.',
        rule: { type: 'string', default: '' },
      },
      limit,
    },
    answers: { lines: 'array' },
    answer: (view, { text, number }) => {
      const lines = view.logLines().filter(([type]) => text('type') === '' || type === text('type'));
      const shown = lines.slice(-number('limit'));
      return {
        lines: shown.map(([type, line, time]) => ({ time: new Date(time).toISOString(), type, text: line })),
      };
    },
  },
];

function statusOf(view: BrokerView): object {
  const readings = view.readings();
  const problems = whatIsNotReady(view.condition());
  return {
    version: view.version,
    startedAt: new Date(view.startedAt).toISOString(),
    ready: problems.length === 0,
    problems,
    clientsConnected: readings.connections,
    sessions: readings.clientsTotal,
    subscriptions: readings.subscriptions,
    retainedMessages: readings.retainedMessages,
    messagesDropped: readings.publishDropped,
    memoryBytes: readings.heapBytes,
  };
}

/** By name, without what stands before it in `$SYS`. */
function storeFigures(view: BrokerView): Record<string, string | number> {
  const figures = Object.entries(view.readings().store);
  return Object.fromEntries(figures.map(([topic, value]) => [topic.replace(/^store\//, ''), value]));
}

async function clientsOf(view: BrokerView, { text, number }: Question): Promise<object> {
  const [offset, count] = [number('offset'), number('limit')];
  if (offset + count > ROWS_MAX) {
    throw new QuestionError(
      `offset and limit are ${offset + count} together; at most ${ROWS_MAX} are right. Search for less.`,
    );
  }
  const order = { sort: text('sort') as ClientSort, descending: text('order') === 'desc' };
  const search = text('search').toLowerCase();
  const { answers, missing } = await view.ask({ what: 'clients', search, ...order, count: offset + count });
  const rows: ClientRow[] = [];
  let total = 0;
  for (const answer of answers) {
    if (answer.what !== 'clients') continue;
    total += answer.total;
    for (const row of answer.rows) rows.push(row);
  }
  rows.sort((a, b) => compareRows(a, b, order));
  return { total, clients: rows.slice(offset, offset + count), missing };
}

async function clientOf(view: BrokerView, { id }: Question): Promise<object | null> {
  const { answers } = await view.ask({ what: 'client', clientId: id });
  for (const answer of answers) if (answer.what === 'client' && answer.client !== null) return answer.client;
  return null;
}

async function subscriptionsOf(view: BrokerView, { text, number }: Question): Promise<object> {
  const count = number('limit');
  const search = text('search').toLowerCase();
  const { answers, missing } = await view.ask({ what: 'subscriptions', search, count });
  const found = answers.flatMap((answer) => (answer.what === 'subscriptions' ? [answer] : []));
  return {
    total: found.reduce((sum, { total }) => sum + total, 0),
    subscriptions: found.flatMap(({ rows }) => rows).slice(0, count),
    missing,
  };
}

/** `$share/NAME/FILTER` of all workers together. */
async function groupsOf(view: BrokerView): Promise<object> {
  const { answers, missing } = await view.ask({ what: 'groups' });
  const groups = new Map<string, { members: number; connected: number }>();
  for (const answer of answers) {
    if (answer.what !== 'groups') continue;
    for (const [filter, { members, connected }] of Object.entries(answer.members)) {
      const group = groups.get(filter) ?? { members: 0, connected: 0 };
      groups.set(filter, { members: group.members + members, connected: group.connected + connected });
    }
  }
  const rows = [...groups].map(([shared, counts]) => {
    const [, name, ...levels] = shared.split('/');
    return { name, filter: levels.join('/'), ...counts };
  });
  return { groups: rows, missing };
}

/** One turn of the event loop for each piece, so that a long walk holds nobody up. */
async function retainedOf(view: BrokerView, { text, number }: Question): Promise<object> {
  const filter = text('filter');
  if (!isValidTopicFilter(filter) || filter.startsWith('$')) {
    throw new QuestionError(`filter is '${filter}'; a topic filter is right that does not begin with $.`);
  }
  const count = number('limit');
  const retained: object[] = [];
  const cursor = view.matchRetained(filter);
  while (!cursor.done && retained.length < count && cursor.touched < RETAINED_TOUCHES_MAX) {
    cursor.next(
      count - retained.length,
      ({ topic, qos, payloadLength, origin, originUsername, expiresAt }) => {
        const expires = expiresAt === 0 ? null : new Date(expiresAt).toISOString();
        retained.push({
          topic,
          qos,
          bytes: payloadLength,
          clientId: origin,
          username: originUsername,
          expires,
        });
      },
    );
    await new Promise(setImmediate);
  }
  return { retained, isAll: cursor.done };
}

function shownListener(listener: ListenerSettings): object {
  const { port, socketPath, protocol, certfile, requireCertificate, allowAnonymous } = listener;
  return {
    ...(socketPath === undefined ? { port } : { path: socketPath }),
    protocol: protocol === 'http_api' ? 'httpapi' : protocol,
    tls: isTls(listener),
    mtls: certfile !== undefined && requireCertificate,
    allow_anonymous: allowAnonymous,
  };
}

/** @param path below `/api/v1/`, decoded */
export function findRoute(path: string): { route: Route; id: string } | null {
  for (const route of ROUTES) {
    const prefix = route.path.replace(/\{id\}$/, '');
    if (prefix === route.path ? path === prefix : path.startsWith(prefix) && path.length > prefix.length) {
      return { route, id: path.slice(prefix.length) };
    }
  }
  return null;
}

/** @param query what follows the `?` @throws {QuestionError} */
export function readQuestion(parameters: Route['parameters'], id: string, query: string): Question {
  const given = new URLSearchParams(query);
  const values = new Map<string, string | number>();
  for (const [name, { rule }] of Object.entries(parameters ?? {})) {
    values.set(name, readValue(name, rule, given.get(name)));
  }
  return {
    id,
    text: (name) => String(values.get(name)),
    number: (name) => Number(values.get(name)),
  };
}

function readValue(name: string, rule: ParameterRule, given: string | null): string | number {
  if (given === null) return rule.default ?? '';
  if (rule.type === 'string') {
    if (rule.enum === undefined || rule.enum.includes(given)) return given;
    throw new QuestionError(`${name} is '${given}'; one of ${rule.enum.join(', ')} is right.`);
  }
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= rule.minimum && value <= rule.maximum) return value;
  throw new QuestionError(
    `${name} is '${given}'; a whole number from ${rule.minimum} to ${rule.maximum} is right.`,
  );
}

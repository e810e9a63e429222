/**
 * What can be done by a POST below `/api/v1/`. As with `routes.ts`, requests are carried out and described from the one
 * table. An action needs a user, the right to write its path as a topic, and no page of another site behind it.
 */
import type { ClientOrder, OrderAnswer } from '../routing/client-questions.js';
import { type Parameter, type Question, QuestionError, readQuestion } from './routes.js';
import type { BrokerView } from './view.js';

export interface Action {
  /** Below `/api/v1/`; `{id}` stands for a client id, with its slashes. */
  path: string;
  summary: string;
  parameters?: Readonly<Record<string, Parameter>>;
  answers: Readonly<Record<string, 'string' | 'number' | 'boolean' | 'array'>>;
  /** @returns `null` if there is nothing of that name @throws {QuestionError} */
  carryOut: (view: BrokerView, question: Question) => Promise<object | null>;
}

const dryRun: Parameter = {
  description: '`true`: only say what would be done.',
  rule: { type: 'string', default: 'false', enum: ['true', 'false'] },
};

const clientAnswers = {
  done: 'boolean',
  connected: 'boolean',
  subscriptions: 'number',
  queued: 'number',
} as const;

export const ACTIONS: readonly Action[] = [
  {
    path: 'clients/{id}/disconnect',
    summary:
      'Disconnects a client. Its session stays as long as the client has asked for, and it may come back.',
    answers: clientAnswers,
    carryOut: (view, { id }) => order(view, { what: 'disconnect', clientId: id, dryRun: false }),
  },
  {
    path: 'clients/{id}/end-session',
    summary:
      'Ends the session of a client, with its subscriptions and what waits for it, and its connection.',
    parameters: { dryRun },
    answers: clientAnswers,
    carryOut: (view, { id, text }) =>
      order(view, { what: 'end session', clientId: id, dryRun: text('dryRun') === 'true' }),
  },
  {
    path: 'store/save',
    summary: 'Saves the store now, as SIGUSR1 does, and answers when that is done.',
    answers: { done: 'boolean' },
    carryOut: async (view) => {
      const isSaved = await view.save();
      if (isSaved === null) throw new QuestionError("There is nothing to save: 'persistence' is false.");
      return { done: isSaved };
    },
  },
  {
    path: 'config/reload',
    summary:
      'Reads the configuration and its files again, as SIGHUP does. The answer has the log lines of it.',
    answers: { lines: 'array' },
    carryOut: async (view) => {
      const last = view.logLines().at(-1);
      await view.reload();
      const now = view.logLines();
      const since = now.slice(last === undefined ? 0 : now.indexOf(last) + 1);
      return { lines: since.map(([type, text]) => ({ type, text })) };
    },
  },
];

async function order(view: BrokerView, asked: ClientOrder): Promise<object | null> {
  const { answers } = await view.ask(asked);
  const found = answers.find(
    (answer): answer is OrderAnswer => answer.what === 'order' && answer.client !== null,
  );
  if (found === undefined) return null;
  const { isBridge, ...client } = found.client!;
  if (isBridge)
    throw new QuestionError(
      `'${asked.clientId}' is a bridge of this broker; its lines are in the configuration.`,
    );
  const isNothing = asked.what === 'disconnect' && !client.connected;
  return { done: !asked.dryRun && !isNothing, ...client };
}

/** @param path below `/api/v1/`, decoded */
export function findAction(path: string): { action: Action; id: string } | null {
  for (const action of ACTIONS) {
    const [start, end] = action.path.split('{id}');
    if (
      end === undefined
        ? path === start
        : path.startsWith(start!) && path.endsWith(end) && path.length > start!.length + end.length
    ) {
      return { action, id: end === undefined ? '' : path.slice(start!.length, -end.length) };
    }
  }
  return null;
}

/** @param query what follows the `?` @throws {QuestionError} */
export function runAction(
  view: BrokerView,
  { action, id }: { action: Action; id: string },
  query: string,
): Promise<object | null> {
  return action.carryOut(view, readQuestion(action.parameters, id, query));
}

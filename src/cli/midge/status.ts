/**
 * `midge status`: whether the broker of a configuration file is well, and what it does, on one screen. It asks the broker
 * itself, over an HTTP listener of that file without TLS: `--check` needs no user, as `/readyz` answers anybody.
 */
import { request } from 'node:http';
import { hostname } from 'node:os';
import { isTls } from '../../config/listener-tls.js';
import { loadConfig } from '../../config/load-config.js';
import { listenerName } from '../../config/reload-diff.js';
import type { ListenerSettings } from '../../config/settings.js';
import { nodeConfigSource } from '../../runtime/shared/node-config-source.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { type CommandOutput, standardOutput } from './command-output.js';

const STATUS_USAGE = `Usage: midge status --config FILE [--user NAME] [--check]

 --config  the broker's configuration file. A listener of it has to have "protocol http_api", and no TLS; one on a
           unix socket is asked first.
 --user    the username, if the listener wants one; its password is in the environment variable MIDGE_PASSWORD.
 --check   one line only, for scripts and health checks; needs no user.

Exit status: 0 the broker is ready, 1 it is not or does not answer, 3 wrong use or a fault in the file.
`;

const EXIT_READY = 0;
const EXIT_NOT_READY = 1;
const EXIT_FAULT = 3;

/** Milliseconds for the whole answer: a broker that is well has it sooner. */
const ANSWER_MS = 5000;

export interface StatusCommand {
  config: string;
  user: string | undefined;
  isCheck: boolean;
}

/** What `/api/v1/status` says. */
interface Status {
  version: string;
  startedAt: string;
  problems: string[];
  clientsConnected: number;
  sessions: number;
  subscriptions: number;
  retainedMessages: number;
  messagesDropped: number;
  memoryBytes: number;
}

/** @param args the words after `midge status` @returns the exit code */
export async function runStatusCommand(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
  output: CommandOutput = standardOutput,
): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    output.stdout(STATUS_USAGE);
    return EXIT_READY;
  }
  const command = parseStatusArguments(args);
  if (command === null) {
    output.stderr(STATUS_USAGE);
    return EXIT_FAULT;
  }
  const result = loadConfig({ source: nodeConfigSource, configFile: command.config, hostname: hostname() });
  if (!result.ok) {
    for (const { type, text } of result.messages) if (type === 'error') output.stderr(`${text}\n`);
    return EXIT_FAULT;
  }
  const listener = chooseListener(result.settings.listeners);
  if (listener === null) {
    output.stderr(
      `Error: ${command.config} has no listener with "protocol http_api" and without TLS, which this command could ask.\n` +
        'These two lines make one that only this machine reaches: listener 8080 127.0.0.1, protocol http_api.\n',
    );
    return EXIT_FAULT;
  }
  try {
    return await (command.isCheck
      ? check(listener, output)
      : show(listener, command.user, environment, output));
  } catch (error) {
    output.stdout(`not ready: ${listenerName(listener)} does not answer: ${reasonOf(error)}.\n`);
    return EXIT_NOT_READY;
  }
}

/** @returns `null` if they are wrong */
export function parseStatusArguments(args: readonly string[]): StatusCommand | null {
  const options = new Map<string, string>();
  let isCheck = false;
  for (let i = 0; i < args.length; i += 1) {
    const word = args[i]!;
    const value = args[i + 1];
    if (word === '--check') isCheck = true;
    else if ((word !== '--config' && word !== '--user') || value === undefined) return null;
    else {
      options.set(word, value);
      i += 1;
    }
  }
  const config = options.get('--config');
  return config === undefined ? null : { config, user: options.get('--user'), isCheck };
}

/** One on a unix socket if there is one. */
function chooseListener(listeners: readonly ListenerSettings[]): ListenerSettings | null {
  const usable = listeners.filter((listener) => listener.protocol === 'http_api' && !isTls(listener));
  return usable.find(({ socketPath }) => socketPath !== undefined) ?? usable[0] ?? null;
}

async function check(listener: ListenerSettings, output: CommandOutput): Promise<number> {
  const { status, body } = await ask(listener, '/readyz', undefined);
  if (status === 200) output.stdout('ready\n');
  else output.stdout(`not ready: ${body.trimEnd().replaceAll('\n', ', ')}\n`);
  return status === 200 ? EXIT_READY : EXIT_NOT_READY;
}

async function show(
  listener: ListenerSettings,
  user: string | undefined,
  environment: NodeJS.ProcessEnv,
  output: CommandOutput,
): Promise<number> {
  const login = user === undefined ? undefined : `${user}:${environment.MIDGE_PASSWORD ?? ''}`;
  const { status, body } = await ask(listener, '/api/v1/status', login);
  if (status === 401) {
    const who = user === undefined ? 'anonymous clients' : `the user ${user}`;
    output.stderr(
      `Error: ${listenerName(listener)} does not let ${who} read /api/v1/status. Give --user, with its password in MIDGE_PASSWORD; with an acl_file the user needs "topic read /api/#".\n`,
    );
    return EXIT_FAULT;
  }
  if (status !== 200) {
    output.stdout(`not ready: ${listenerName(listener)} answers ${status} to /api/v1/status.\n`);
    return EXIT_NOT_READY;
  }
  const shown = JSON.parse(body) as Status;
  output.stdout(statusText(shown));
  return shown.problems.length === 0 ? EXIT_READY : EXIT_NOT_READY;
}

function statusText(status: Status): string {
  const { problems } = status;
  return [
    `state              ${problems.length === 0 ? 'ready' : `not ready: ${problems.join(', ')}`}`,
    `version            ${status.version}`,
    `started            ${status.startedAt}`,
    `clients connected  ${status.clientsConnected}`,
    `sessions           ${status.sessions}`,
    `subscriptions      ${status.subscriptions}`,
    `retained messages  ${status.retainedMessages}`,
    `messages dropped   ${status.messagesDropped}`,
    `memory             ${Math.round(status.memoryBytes / 1024 / 1024)} MiB`,
    '',
  ].join('\n');
}

function ask(
  { host, port, socketPath }: ListenerSettings,
  path: string,
  login: string | undefined,
): Promise<{ status: number; body: string }> {
  const place = socketPath === undefined ? { host: reachable(host), port } : { socketPath };
  return new Promise((resolve, reject) => {
    const options = { ...place, path, auth: login, agent: false, signal: AbortSignal.timeout(ANSWER_MS) };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode!, body: Buffer.concat(chunks).toString() }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** Where a listener on all addresses is found. */
function reachable(host: string | undefined): string {
  if (host === undefined || host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

function reasonOf(error: unknown): string {
  const { name, code, message } = error as NodeJS.ErrnoException;
  if (name === 'AbortError' || name === 'TimeoutError')
    return `it has not answered within ${ANSWER_MS / 1000} s`;
  return code === undefined ? message : cLibraryErrorText(error);
}

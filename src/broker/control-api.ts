/**
 * `$CONTROL/…`: requests to the broker itself. No subscriber sees them, nothing of them is retained, and the answer
 * goes to the client that asked, on the topic with `/response` behind it [mosq: $CONTROL].
 */
import { isTls } from '../config/listener-tls.js';
import type { ListenerSettings } from '../config/settings.js';
import { Publication } from '../mqtt/publication.js';
import type { Session } from '../session/session.js';
import { isValidTopicNameText } from '../topic/topic-name.js';
import type { Broker } from './broker.js';

/** Answered if `enable_control_api` is on. */
const API_TOPIC = '$CONTROL/broker/v1';

export function isControlTopic(topic: string): boolean {
  return topic.startsWith('$CONTROL/');
}

/** @param from who asks; `null` if nobody waits for the answer */
export function answerControl(broker: Broker, request: Publication, from: Session | null): void {
  if (from === null) return;
  const topic = `${request.topic}/response`;
  if (!isValidTopicNameText(topic)) return; // too long, or of too many levels, for an answer to be sent to
  const { enableControlApi, listeners } = broker.settings;
  const answer =
    request.topic === API_TOPIC && enableControlApi
      ? answerCommands(Buffer.from(request.payload()).toString(), listeners)
      : { error: 'endpoint not available' };
  const payload = Buffer.from(JSON.stringify(answer));
  from.deliver(Publication.create({ topic, payload, qos: 0, retain: false }), 0, false, null, null);
}

/** Stands for the command in the answer to what names none. */
const UNKNOWN = 'Unknown command';

interface Response {
  command: string;
  error?: string;
  data?: object;
  correlationData?: string;
}

function answerCommands(
  request: string,
  listeners: readonly ListenerSettings[],
): { responses: readonly Response[] } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(request);
  } catch {
    return { responses: [{ command: UNKNOWN, error: 'Payload not valid JSON' }] };
  }
  const { commands } = (parsed ?? {}) as { commands?: unknown };
  if (!Array.isArray(commands)) {
    return { responses: [{ command: UNKNOWN, error: 'Invalid/missing commands' }] };
  }
  const responses: Response[] = [];
  for (const entry of commands) {
    const fault = faultOf(entry);
    responses.push(fault ?? answerCommand(entry, listeners));
    if (fault !== null) break; // what follows is not looked at, as in Mosquitto 2.1
  }
  return { responses };
}

/** @returns the answer to what is no command */
function faultOf(entry: unknown): Response | null {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) {
    return { command: UNKNOWN, error: 'Command not an object' };
  }
  const { command, correlationData } = entry as { command?: unknown; correlationData?: unknown };
  if (typeof command !== 'string') return { command: UNKNOWN, error: 'Missing command' };
  if (correlationData === undefined || typeof correlationData === 'string') return null;
  return { command, error: 'Invalid correlationData data type.' };
}

function answerCommand(
  { command, correlationData }: { command: string; correlationData?: string },
  listeners: readonly ListenerSettings[],
): Response {
  const echo = correlationData === undefined ? {} : { correlationData };
  switch (command.toLowerCase()) {
    case 'listplugins':
      return { command: 'listPlugins', data: { plugins: [] }, ...echo };
    case 'listlisteners':
      return { command: 'listListeners', data: { listeners: listeners.map(describeListener) }, ...echo };
    default:
      return { command, error: UNKNOWN, ...echo };
  }
}

function describeListener(listener: ListenerSettings): object {
  const { port, protocol, host, socketPath } = listener;
  return {
    port,
    protocol: protocol === 'websockets' ? 'mqtt+websockets' : 'mqtt',
    ...(host === undefined ? {} : { 'bind-address': host }),
    ...(socketPath === undefined ? {} : { 'socket-path': socketPath }),
    tls: isTls(listener),
  };
}

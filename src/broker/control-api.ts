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

/** Answered where `enable_control_api` is on. */
const API_TOPIC = '$CONTROL/broker/v1';

export function isControlTopic(topic: string): boolean {
  return topic.startsWith('$CONTROL/');
}

/** @param from who asks; `null` for a will, which nobody waits for the answer of */
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

function answerCommands(request: string, listeners: readonly ListenerSettings[]): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(request);
  } catch {
    return { error: 'Payload not valid JSON' };
  }
  const commands = fieldOf(parsed, 'commands');
  if (!Array.isArray(commands)) return { error: 'Invalid/missing commands' };
  return { responses: commands.map((command) => answerCommand(command, listeners)) };
}

/** A field of a JSON value from outside, which may be anything. */
function fieldOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function answerCommand(request: unknown, listeners: readonly ListenerSettings[]): object {
  const command = fieldOf(request, 'command');
  const correlationData = fieldOf(request, 'correlationData');
  const echo = typeof correlationData === 'string' ? { correlationData } : {};
  if (command === 'listPlugins') return { command, ...echo, data: { plugins: [] } };
  if (command === 'listListeners') {
    return { command, ...echo, data: { listeners: listeners.map(describeListener) } };
  }
  return { command: typeof command === 'string' ? command : '', ...echo, error: 'Unknown command' };
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

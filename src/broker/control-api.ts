/**
 * `$CONTROL/…`: requests to the broker itself. No subscriber sees them, nothing of them is retained, and the answer
 * goes to the client that asked, on the topic with `/response` behind it [mosq: $CONTROL].
 */
import {
  type ControlCommand,
  type ControlResponse,
  type ControlResult,
  commandsIn,
  isCommand,
  responseTo,
  UNKNOWN_COMMAND,
} from '../auth/dynamic-security/control-request.js';
import { isTls } from '../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../config/settings.js';
import { Publication } from '../mqtt/publication.js';
import type { Session } from '../session/session.js';
import { isValidTopicNameText } from '../topic/topic-name.js';
import type { Broker } from './broker.js';

/** Answered if `enable_control_api` is on. */
const API_TOPIC = '$CONTROL/broker/v1';

/** Worked off by main, which answers to all who subscribe to that (`dynamic-security.ts`). */
export const DYNAMIC_SECURITY_TOPIC = '$CONTROL/dynamic-security/v1';

/** The one plugin that is listed. */
const DYNAMIC_SECURITY = { name: 'dynamic-security', 'control-endpoints': [DYNAMIC_SECURITY_TOPIC] };

export function isControlTopic(topic: string): boolean {
  return topic.startsWith('$CONTROL/');
}

/** @param from who asks; `null` if nobody waits for the answer */
export function answerControl(broker: Broker, request: Publication, from: Session | null): void {
  if (from === null) return;
  if (request.topic === DYNAMIC_SECURITY_TOPIC && isOfDynamicSecurity(broker, from)) {
    const { clientId, username } = from;
    broker.requestControl({ clientId, username, payload: Uint8Array.from(request.payload()) });
    return;
  }
  const topic = `${request.topic}/response`;
  if (!isValidTopicNameText(topic)) return; // too long, or of too many levels, for an answer to be sent to
  const { enableControlApi } = broker.settings;
  const answer =
    request.topic === API_TOPIC && enableControlApi
      ? answerCommands(request, broker.settings)
      : { error: 'endpoint not available' };
  const payload = Buffer.from(JSON.stringify(answer));
  from.deliver(Publication.create({ topic, payload, qos: 0, retain: false }), 0, false, null, null);
}

/** A client about whom dynamic security does not decide has nothing to ask of it. */
function isOfDynamicSecurity({ settings }: Broker, { listener, peer }: Session): boolean {
  return peer !== null && listener !== null && settings.listeners[listener]!.usesDynamicSecurity;
}

function answerCommands(request: Publication, settings: Settings): { responses: ControlResponse[] } {
  const responses = commandsIn(request.payload(), ['listPlugins', 'listListeners']).map((entry) =>
    isCommand(entry) ? responseTo(entry, resultOf(entry, settings)) : entry,
  );
  return { responses };
}

function resultOf({ name }: ControlCommand, { listeners, dynamicSecurity }: Settings): ControlResult {
  switch (name) {
    case 'listPlugins':
      return { data: { plugins: dynamicSecurity === undefined ? [] : [DYNAMIC_SECURITY] } };
    case 'listListeners':
      return { data: { listeners: listeners.map(describeListener) } };
    default:
      return UNKNOWN_COMMAND;
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

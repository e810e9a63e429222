/**
 * Log lines about bridges: Mosquitto's, word for word, and a few of Midge's own. The letter in a line's comment is
 * its type, as in `mosquitto-lines.ts`.
 */

/** D */
export const doingLocalSubscribe = (localClientId: string, topicFilter: string) =>
  `Bridge ${localClientId} doing local SUBSCRIBE on topic ${topicFilter}`;

/** N */
export const connectingBridge = (name: string, host: string, port: number) =>
  `Connecting bridge ${name} (${host}:${port})`;

/** D */
export const bridgeSendingConnect = (remoteClientId: string) => `Bridge ${remoteClientId} sending CONNECT`;

/** D */
export const receivedConnack = (localClientId: string) => `Received CONNACK on connection ${localClientId}.`;

/** E */
export const connectionRefused = (text: string) => `Connection Refused: ${text}`;

/** W */
export const remoteLacksVersion5 = (name: string) =>
  `Warning: Remote bridge ${name} does not support MQTT v5.0, reconnecting using MQTT v3.1.1.`;

/** N */
export const idleTimeoutExceeded = (localClientId: string) =>
  `Bridge connection ${localClientId} has exceeded idle timeout, disconnecting.`;

/** I */
export const stableEnough = (name: string) =>
  `Bridge ${name} connection was stable enough, resetting backoff`;

/** I */
export const nextBackoff = (name: string, delayMs: number) =>
  `Bridge ${name} next backoff will be ${delayMs} ms`;

/** N; Midge's own. @param waiting messages that wait to go out */
export const bridgeConnected = (name: string, host: string, port: number, waiting: number) =>
  `Bridge ${name} is connected to ${host}:${port}; ${waiting} messages wait to go out.`;

/** W; Midge's own. @param why a clause @param waiting messages that wait to go out */
export const bridgeDown = (name: string, why: string, waiting: number) =>
  `Warning: Bridge ${name} is not connected: ${why}; ${waiting} messages wait to go out.`;

/** W; Midge's own. */
export const subscriptionRefused = (name: string, topicFilter: string, why: string) =>
  `Warning: Bridge ${name}: the other broker refuses the subscription to ${topicFilter}: ${why}.`;

/** N; Midge's own. */
export const primaryAnswersAgain = (name: string, host: string, port: number) =>
  `Bridge ${name} goes back to its first address ${host}:${port}, which answers again.`;

/** I; Midge's own. */
export const backlogDrained = (name: string, messages: number, seconds: number) =>
  `Bridge ${name} has sent its backlog of ${messages} messages in ${seconds} s.`;

/** W; Midge's own. @param why a clause @param count such messages since the bridge was started */
export const malformedMessage = (
  name: string,
  host: string,
  port: number,
  topic: string,
  why: string,
  count: number,
) =>
  `Warning: Bridge ${name}: a message from ${host}:${port} with the topic '${topic.slice(0, 200)}' is dropped: ${why}; ${count} so far.`;

/** W; Midge's own. @param times connections in a row that have ended so */
export const endsConnection = (name: string, host: string, port: number, topic: string, times: number) =>
  `Warning: Bridge ${name}: a message to ${host}:${port} with the topic '${topic.slice(0, 200)}' is dropped: the other broker has ended the connection ${times} times in a row without acknowledging it.`;

/** W; Midge's own. @param counts messages by reason, since the bridge was started */
export const bridgeDropped = (name: string, counts: Readonly<Record<string, number>>) => {
  const reasons = Object.entries(counts).filter(([, count]) => count > 0);
  const parts = reasons.map(([reason, count]) => `${count} ${reason}`);
  return `Warning: Messages for bridge ${name} have been dropped: ${parts.join(', ')}.`;
};

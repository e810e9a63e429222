/** What the commands say when something fails, in Mosquitto's words: scripts look for them. */
import type { ConnackPacket, ProtocolVersion } from '../../../mqtt/packets.js';
import { ReasonCode, reasonText, returnCodeText } from '../../../mqtt/reason-codes.js';
import type { DialError } from '../../../net/dial.js';
import { ProxyError } from '../../../net/proxy-error.js';
import { cLibraryErrorText } from '../../../system/system-error.js';
import type { ProgramName } from '../options/client-settings.js';

/** Exit codes that stand for an error of Mosquitto's library. */
export const ExitCode = {
  /** All that goes wrong before there is a connection. */
  failure: 1,
  protocolError: 2,
  notConnected: 4,
  connectionLost: 7,
  notAuthorised: 11,
  proxy: 16,
  keepAlive: 19,
  timeout: 27,
  /** Ended before the broker took the connection. */
  tooEarly: 255,
} as const;

export const CONNECTION_LOST = 'Error: The connection was lost';
export const NOT_CONNECTED = 'Error: The client is not currently connected';
export const PROTOCOL_ERROR = 'Error: A network protocol error occurred when communicating with the broker';
export const KEEP_ALIVE_EXCEEDED = 'Error: Keepalive exceeded';

/** Why there is no connection, and the exit code for it. */
export function dialFailure(error: DialError): { text: string; exitCode: number } {
  switch (error.stage) {
    case 'lookup':
      return { text: 'Unable to connect (Lookup error).', exitCode: ExitCode.failure };
    case 'proxy':
      return proxyFailure(error.cause);
    case 'tls':
      return { text: 'Unable to connect (A TLS error occurred).', exitCode: ExitCode.failure };
    case 'websocket':
      return { text: PROTOCOL_ERROR, exitCode: ExitCode.failure };
    case 'connect':
      return { text: `Error: ${cLibraryErrorText(error.lastCause)}`, exitCode: ExitCode.failure };
  }
}

function proxyFailure(error: unknown): { text: string; exitCode: number } {
  switch (error instanceof ProxyError ? error.kind : 'failed') {
    case 'not-allowed':
      return { text: 'Error: Authorisation failed', exitCode: ExitCode.notAuthorised };
    case 'unreachable':
      return { text: NOT_CONNECTED, exitCode: ExitCode.notConnected };
    case 'failed':
      return { text: 'Error: Proxy error', exitCode: ExitCode.proxy };
  }
}

/** Why the broker did not take the connection, and the exit code for it. */
export function connectionRefusal(
  { reasonCode }: ConnackPacket,
  version: ProtocolVersion,
  program: ProgramName,
): { text: string; exitCode: number } {
  if (version !== 5) {
    const text = returnCodeText(reasonCode) ?? 'unknown reason';
    return { text: `Connection error: Connection Refused: ${text}`, exitCode: reasonCode };
  }
  if (reasonCode === ReasonCode.unsupportedProtocolVersion) {
    const advice =
      program === 'mosquitto_rr'
        ? 'mosquitto_rr only supports connecting to an MQTT v5 broker'
        : 'Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.';
    return { text: `Connection error: ${reasonText(reasonCode)}. ${advice}`, exitCode: reasonCode };
  }
  return { text: `Connection error: ${reasonText(reasonCode)}`, exitCode: reasonCode };
}

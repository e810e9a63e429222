/** The error texts of the commands, in Mosquitto's words, because scripts search for them. */
import type { ConnackPacket, ProtocolVersion } from '../../../mqtt/packets.js';
import { ReasonCode, reasonText, returnCodeText } from '../../../mqtt/reason-codes.js';
import type { DialError } from '../../../net/dial.js';
import { ProxyError } from '../../../net/proxy-error.js';
import { cLibraryErrorText } from '../../../system/system-error.js';
import type { ProgramName } from '../options/client-settings.js';

/** Exit codes that stand for an error of Mosquitto's library. */
export const ExitCode = {
  /** Failures before the transport to the broker is open. */
  failure: 1,
  protocolError: 2,
  notConnected: 4,
  connectionLost: 7,
  notAuthorised: 11,
  proxy: 16,
  keepAlive: 19,
  timeout: 27,
  /** The transport ended before the CONNACK. */
  tooEarly: 255,
} as const;

export const CONNECTION_LOST = 'Error: The connection was lost';
export const NOT_CONNECTED = 'Error: The client is not currently connected';
export const PROTOCOL_ERROR = 'Error: A network protocol error occurred when communicating with the broker';
export const KEEP_ALIVE_EXCEEDED = 'Error: Keepalive exceeded';

/** The reason why the connection failed, and its exit code. */
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

/** The reason why the broker refused the connection, and its exit code. */
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

/** What the commands say when something fails, in Mosquitto's words: scripts look for them. */
import type { ConnackPacket, ProtocolVersion } from '../mqtt/packets.js';
import { ReasonCode, reasonText } from '../mqtt/reason-codes.js';
import type { DialError } from '../net/dial.js';
import { systemErrorText } from '../net/system-error.js';

/** Exit codes that stand for an error of Mosquitto's library. */
export const ExitCode = {
  protocolError: 2,
  notConnected: 4,
  connectionLost: 7,
  keepAlive: 19,
  timeout: 27,
  /** Ended before the broker took the connection. */
  tooEarly: 255,
} as const;

export const CONNECTION_LOST = 'Error: The connection was lost';
export const NOT_CONNECTED = 'Error: The client is not currently connected';
export const PROTOCOL_ERROR = 'Error: A network protocol error occurred when communicating with the broker';
export const KEEP_ALIVE_EXCEEDED = 'Error: Keepalive exceeded';

/** Where the C library has other words than Node. */
const SYSTEM_TEXTS: ReadonlyMap<string, string> = new Map([
  ['EADDRNOTAVAIL', 'Cannot assign requested address'],
  ['EAFNOSUPPORT', 'Address family not supported by protocol'],
  ['EHOSTUNREACH', 'No route to host'],
]);

export function dialErrorText({ stage, cause }: DialError): string {
  switch (stage) {
    case 'lookup':
      return 'Unable to connect (Lookup error).';
    case 'proxy':
      return 'Unable to connect (Proxy error).';
    case 'tls':
      return 'Unable to connect (A TLS error occurred).';
    case 'websocket':
      return 'Unable to connect (A network protocol error occurred when communicating with the broker).';
    case 'connect':
      return `Error: ${SYSTEM_TEXTS.get(errorCode(cause)) ?? systemErrorText(connectError(cause))}`;
  }
}

function errorCode(error: unknown): string {
  return (connectError(error) as NodeJS.ErrnoException).code ?? '';
}

/** A name with several addresses gives an error for each; the last one counts. */
function connectError(error: unknown): unknown {
  return error instanceof AggregateError ? error.errors.at(-1) : error;
}

/** MQTT 3.1 and 3.1.1, by return code. */
const RETURN_CODE_TEXTS: readonly string[] = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'broker unavailable',
  'bad user name or password',
  'not authorised',
];

/** Why the broker did not take the connection, and the exit code for it. */
export function connectionRefusal(
  { reasonCode }: ConnackPacket,
  version: ProtocolVersion,
): { text: string; exitCode: number } {
  if (version !== 5) {
    const text = RETURN_CODE_TEXTS[reasonCode] ?? 'unknown reason';
    return { text: `Connection error: Connection Refused: ${text}`, exitCode: reasonCode };
  }
  // A broker of before MQTT 5.0 answers with its own code for the same thing.
  if (reasonCode === 1 || reasonCode === ReasonCode.unsupportedProtocolVersion) {
    const exitCode = ReasonCode.unsupportedProtocolVersion;
    const advice = 'Try connecting to an MQTT v5 broker, or use MQTT v3.x mode.';
    return { text: `Connection error: ${reasonText(exitCode)}. ${advice}`, exitCode };
  }
  return { text: `Connection error: ${reasonText(reasonCode)}`, exitCode: reasonCode };
}

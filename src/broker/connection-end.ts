/** How a connection ends: the DISCONNECT, the log line, and what becomes of its session and its will. */
import * as lines from '../log/mosquitto-lines.js';
import { DisconnectReason } from '../log/mosquitto-lines.js';
import type { ProtocolVersion } from '../mqtt/packets.js';
import { ReasonCode } from '../mqtt/reason-codes.js';
import type { Session } from '../session/session.js';
import type { Broker } from './broker.js';
import type { Transport } from './ports.js';
import type { Sender } from './sender.js';
import { endSession, storeDisconnected } from './session-path.js';
import { sendWill } from './will-path.js';
import type { PreparedWill } from './wills.js';

/** Why a connection ends, as far as will and log line depend on it. */
export type CloseCause =
  | { kind: 'disconnect packet'; withWill: boolean }
  | { kind: 'taken over'; sessionGoesOn: boolean }
  | { kind: 'lost'; reason: string }
  /** The broker closes it: reason code of the DISCONNECT for MQTT 5.0, 0 = none is sent. */
  | { kind: 'refused'; reasonCode: number; reason: string }
  | { kind: 'not admitted any more' }
  /** Dynamic security has changed what the client may do: it has to come back. */
  | { kind: 'administrative action' }
  | { kind: 'broker stops' };

/** A connection, as far as its end needs it. */
export interface EndingConnection {
  readonly broker: Broker;
  readonly transport: Pick<Transport, 'remoteAddress' | 'remotePort'>;
  readonly sender: Sender;
  readonly version: ProtocolVersion;
  readonly clientId: string;
  /** What CONNECT called it; '' before. */
  readonly presentedId: string;
  readonly session: Session;
  will: PreparedWill | null;
}

/** Only MQTT 5.0 has a DISCONNECT from the server. */
export function sendDisconnect(
  { broker, clientId, version, sender }: EndingConnection,
  cause: CloseCause,
): void {
  const reasonCode = reasonCodeOf(cause);
  if (version !== 5 || reasonCode === 0) return;
  sender.send({ type: 'disconnect', reasonCode, properties: {} });
  if (broker.logs('debug')) broker.log.write('debug', lines.sendingDisconnect(clientId, reasonCode));
}

/** @returns 0 if no DISCONNECT is sent */
function reasonCodeOf(cause: CloseCause): number {
  if (cause.kind === 'taken over') return ReasonCode.sessionTakenOver;
  if (cause.kind === 'not admitted any more') return ReasonCode.notAuthorized;
  if (cause.kind === 'administrative action') return ReasonCode.administrativeAction;
  return cause.kind === 'refused' ? cause.reasonCode : 0;
}

export function logEnd(
  { broker, clientId, presentedId, transport }: EndingConnection,
  cause: CloseCause,
): void {
  if (!broker.settings.connectionMessages || cause.kind === 'broker stops') return;
  const { remoteAddress: address, remotePort: port } = transport;
  const reason = reasonOf(cause);
  const name = clientId || presentedId;
  const client = { clientId: name === '' ? null : name, address, port, reason };
  broker.log.write('notice', lines.clientDisconnected(client));
}

/** @returns `undefined` if the log line names none */
function reasonOf(cause: CloseCause): string | undefined {
  if (cause.kind === 'taken over') return DisconnectReason.takenOver;
  if (cause.kind === 'administrative action') return DisconnectReason.administrativeAction;
  return cause.kind === 'lost' || cause.kind === 'refused' ? cause.reason : undefined;
}

export function leaveSession(connection: EndingConnection, cause: CloseCause): void {
  const { broker, clientId, session, will } = connection;
  session.detach(broker.now);
  broker.reportDrops(session, 'while it was connected');
  connection.will = null;
  if (session.outlivesConnection) storeDisconnected(broker, session);
  if (will !== null) {
    if (willIsDue(cause)) sendWill(broker, session, will);
    else broker.directory.willDone(clientId, will.claim);
  }
  if (cause.kind === 'taken over') return; // whoever takes over sees to the session
  if (!session.outlivesConnection) endSession(broker, session);
}

/**
 * Whether the end of a connection releases its will [MQTT-3.1.2-8]. Another connection that takes over does, too
 * [MQTT-3.1.4-3]: it drops the will only if its delay is still running then [MQTT-3.1.3-9].
 */
function willIsDue(cause: CloseCause): boolean {
  if (cause.kind === 'disconnect packet') return cause.withWill;
  if (cause.kind === 'administrative action') return false; // [mosq: dynamic security]
  return true;
}

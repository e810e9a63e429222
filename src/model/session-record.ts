/** The stored parts of a session beside its queue: the client, its expiry, subscriptions and will. */
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';
import type { StoredMessage } from './message.js';

/** `sessionExpiry` of a session that never ends [MQTT 5.0, 3.1.2.11.2]. */
export const SESSION_NEVER_EXPIRES = 0xffffffff;

export interface SessionRecord {
  readonly clientId: string;
  /** User name of the last CONNECT; `undefined` if it had none. */
  username: string | undefined;
  /**
   * The listener through which the client came last: its port, or the path of its socket. Absent = not known, or the
   * session is a bridge's.
   */
  listener?: string | undefined;
  protocolVersion: ProtocolVersion;
  /** Seconds the session outlives its connection; `SESSION_NEVER_EXPIRES` = for ever. */
  sessionExpiry: number;
  /** Milliseconds since the epoch at which the session ends; 0 while connected, or if it never ends. */
  expiresAt: number;
  /** Milliseconds since the epoch of the disconnect; 0 while connected. */
  disconnectedAt: number;
  /**
   * Whether the client is connected, or was when the broker was killed. In the second case the records of QoS 1
   * messages may not say of all sent ones that they were sent. Absent = no.
   */
  isSending?: boolean;
  /** The packet id last given to an outgoing message; 0 = none yet. */
  lastPacketId: number;
  /** The will of the connection, or the one whose delay is running; `undefined` = none. */
  will: WillRecord | undefined;
}

export interface WillRecord {
  readonly message: StoredMessage;
  /** Seconds between the end of the connection and the publication [MQTT 5.0, 3.1.3.2.2]. */
  readonly delay: number;
  /** Seconds from the will's publication until it expires; 0 = never. */
  readonly expiry: number;
  /** Milliseconds since the epoch at which it is to be published; 0 while the client is connected. */
  readonly dueAt: number;
}

export interface SubscriptionRecord {
  /** The filter of the SUBSCRIBE, with `$share/GROUP/` if it is shared. */
  readonly filter: string;
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0 send retained messages, 1 only if the subscription is new, 2 never [MQTT 5.0, 3.8.3.1]. */
  readonly retainHandling: 0 | 1 | 2;
  /** 0 = none. */
  readonly subscriptionId: number;
}

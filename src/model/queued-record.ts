/** One message in a session's queue, waiting or in flight, in either direction. */
import type { Qos } from '../mqtt/packets.js';
import type { StoredMessage } from './message.js';
import type { SessionRecord, SubscriptionRecord } from './session-record.js';

/** From the client to the broker, or from the broker to the client. */
export type Direction = 'incoming' | 'outgoing';

/** The state of a QoS 1 or 2 exchange [MQTT 5.0, 4.3]. Only `awaiting PUBREL` is incoming. */
export type DeliveryState =
  | 'queued'
  | 'awaiting PUBACK'
  | 'awaiting PUBREC'
  | 'awaiting PUBCOMP'
  | 'awaiting PUBREL';

export interface QueuedRecord {
  readonly direction: Direction;
  readonly state: DeliveryState;
  /** 0 for a message that has none yet, or for QoS 0. */
  readonly packetId: number;
  /** Of this delivery. */
  readonly qos: Qos;
  /** Of this delivery. */
  readonly retain: boolean;
  /** Whether it was sent before. */
  readonly dup: boolean;
  /** Identifiers of the subscriptions it matched [MQTT-3.3.4-3]. */
  readonly subscriptionIds: readonly number[];
  readonly message: StoredMessage;
}

/** A whole session, for imports and exports. */
export interface WholeSession {
  readonly session: SessionRecord;
  readonly subscriptions: readonly SubscriptionRecord[];
  /** Each direction in its order. */
  readonly queue: readonly QueuedRecord[];
}

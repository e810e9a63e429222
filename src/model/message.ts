/** A stored message, retained or in a session's queue: one shape for both. */
import type { Qos } from '../mqtt/packets.js';

export interface StoredMessage {
  /** The topic name, as published. */
  readonly topic: string;
  readonly payload: Uint8Array;
  /** As published. */
  readonly qos: Qos;
  /** The retain flag, as published. */
  readonly retain: boolean;
  /**
   * Encoded MQTT 5.0 properties of the PUBLISH without their length field, and without message expiry interval,
   * topic alias and subscription identifiers: those belong to a delivery, these to the message.
   */
  readonly properties: Uint8Array;
  /** Milliseconds since the epoch at which the message ends; 0 = never. */
  readonly expiresAt: number;
  /** Client id of the publisher, '' for the broker itself. */
  readonly originClientId: string;
  /** User name of the publisher, '' for none. */
  readonly originUsername: string;
  /** The listener that the publisher came through: its port, or the path of its socket; '' = not known, or none. */
  readonly originListener: string;
}

/** @param now milliseconds since the epoch */
export function isExpired(message: StoredMessage, now: number): boolean {
  return message.expiresAt !== 0 && message.expiresAt <= now;
}

/**
 * Wills whose connection is gone and whose delay is running [MQTT 5.0, 3.1.3.2.2]. A will ends here by being
 * published, or by its client's return.
 */
import type { WillRecord } from '../model/session-record.js';
import type { Will } from '../mqtt/packets.js';
import { encodeProperties } from '../mqtt/properties.js';
import { Publication } from '../mqtt/publication.js';

/** A will as it will be published. */
export interface PreparedWill {
  publication: Publication;
  /** Seconds. */
  delay: number;
  /** Seconds from its publication until it expires; `undefined` = never. */
  expiry: number | undefined;
  /** The claim to the client id that it came with. */
  claim: number;
}

export function prepareWill(will: Will, clientId: string): PreparedWill {
  const { messageExpiryInterval, willDelayInterval, ...forwarded } = will.properties;
  const publication = Publication.create({
    topic: will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: encodeProperties(forwarded),
    origin: clientId,
  });
  return { publication, delay: willDelayInterval ?? 0, expiry: messageExpiryInterval, claim: 0 };
}

/** As it is stored. @param dueAt milliseconds since the epoch; 0 while the client is connected */
export function willRecord({ publication, delay, expiry }: PreparedWill, dueAt: number): WillRecord {
  return { message: publication.toStored(), delay, expiry: expiry ?? 0, dueAt };
}

/** As it was stored. */
export function restoredWill({ message, delay, expiry }: WillRecord): PreparedWill {
  return {
    publication: Publication.fromStored(message),
    delay,
    expiry: expiry === 0 ? undefined : expiry,
    claim: 0,
  };
}

interface DelayedWill {
  will: PreparedWill;
  /** Milliseconds since the epoch. */
  dueAt: number;
}

export class DelayedWills {
  readonly #wills = new Map<string, DelayedWill>();

  get size(): number {
    return this.#wills.size;
  }

  add(clientId: string, will: PreparedWill, dueAt: number): void {
    this.#wills.set(clientId, { will, dueAt });
  }

  /** The client is back, or its session ended. @returns the will that was waiting */
  take(clientId: string): PreparedWill | undefined {
    const delayed = this.#wills.get(clientId);
    this.#wills.delete(clientId);
    return delayed?.will;
  }

  /** Takes out the wills that are due. @param now milliseconds since the epoch */
  takeDue(now: number): [clientId: string, will: PreparedWill][] {
    const due: [string, PreparedWill][] = [];
    for (const [clientId, { will, dueAt }] of this.#wills) {
      if (dueAt > now) continue;
      this.#wills.delete(clientId);
      due.push([clientId, will]);
    }
    return due;
  }
}

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
  /** Seconds from its publication until it expires; 0 = never. */
  expiry: number;
  /** The claim to the client id that it came with. */
  claim: number;
  /** Whose it is, for the rights to publish it: the listener's index (`null` = not known) and the username. */
  listener: number | null;
  username: string | undefined;
}

/** @param owner the connection it comes with */
export function prepareWill(will: Will, owner: WillOwner): PreparedWill {
  const { messageExpiryInterval, willDelayInterval, ...forwarded } = will.properties;
  const publication = Publication.create({
    topic: owner.mountPoint + will.topic,
    payload: will.payload,
    qos: will.qos,
    retain: will.retain,
    properties: encodeProperties(forwarded),
    origin: owner.clientId,
  });
  const { listener, username } = owner;
  publication.originUsername = username ?? '';
  publication.originListener = owner.listenerKey;
  const delay = willDelayInterval ?? 0;
  return { publication, delay, expiry: messageExpiryInterval ?? 0, claim: 0, listener, username };
}

export interface WillOwner {
  clientId: string;
  listener: number;
  /** The same as it is stored. */
  listenerKey: string;
  username: string | undefined;
  /** [mosq: mount_point] */
  mountPoint: string;
}

/** As it is stored. @param dueAt milliseconds since the epoch; 0 while the client is connected */
export function willRecord({ publication, delay, expiry }: PreparedWill, dueAt: number): WillRecord {
  return { message: publication.toStored(), delay, expiry, dueAt };
}

/** As it was stored. @param owner its client's session */
export function restoredWill(
  { message, delay, expiry }: WillRecord,
  { listener, username }: Pick<PreparedWill, 'listener' | 'username'>,
): PreparedWill {
  return {
    publication: Publication.fromStored(message),
    delay,
    expiry,
    claim: 0,
    listener,
    username,
  };
}

interface DelayedWill {
  will: PreparedWill;
  /** Milliseconds since the epoch. */
  dueAt: number;
}

export class DelayedWills {
  readonly #wills = new Map<string, DelayedWill>();

  /** Bytes of payload. */
  get bytes(): number {
    let bytes = 0;
    for (const { will } of this.#wills.values()) bytes += will.publication.payloadLength;
    return bytes;
  }

  get size(): number {
    return this.#wills.size;
  }

  add(clientId: string, will: PreparedWill, dueAt: number): void {
    this.#wills.set(clientId, { will, dueAt });
  }

  /** Whether the delay of the will that is waiting is over. @param now milliseconds since the epoch */
  isDue(clientId: string, now: number): boolean {
    const delayed = this.#wills.get(clientId);
    return delayed !== undefined && delayed.dueAt <= now;
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

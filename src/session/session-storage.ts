/**
 * Stores what of a session outlives the process. `store` implements it; a session that ends with its
 * connection has none.
 */
import type { DeliveryState } from '../model/queued-record.js';
import type { SessionRecord, SubscriptionRecord } from '../model/session-record.js';
import type { Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';

/** How a message goes to, or came from, this client. */
export interface DeliveryFields {
  state: DeliveryState;
  /** 0 = none yet. */
  packetId: number;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  subscriptionIds: readonly number[];
}

/**
 * What becomes of a message that is stored. `passing`: it is likely to be removed within milliseconds, because the
 * client is connected. `waiting`: the session has it in memory, too. `stored`: it is in the store only, and is read
 * when its turn comes.
 */
export type Residence = 'passing' | 'waiting' | 'stored';

/** One stored message of a session. */
export interface StoredDelivery extends Readonly<DeliveryFields> {
  /** Its number among the session's messages of that direction: later ones are larger. */
  readonly sequence: number;
  readonly publication: Publication;
  /** Payload bytes. */
  readonly payloadBytes: number;
  /** An incoming message may have been sent to other workers already, and they have stored who has it. */
  readonly wasForwarded: boolean;
  /** It is about to be sent to other workers. @returns its name for them, as long as it is stored */
  nameForOthers(): string;
  update(change: Partial<Pick<DeliveryFields, 'state' | 'packetId' | 'dup'>>): void;
  /** What is acknowledged in this turn relies on the message's being stored as it is now: it waits for that. */
  relyOn(): void;
  /** Changes the state without writing it, because the message is likely to be removed soon. */
  updateLater(state: DeliveryState, packetId: number): void;
  /** Writes what `updateLater` has changed. */
  writeUpdates(): void;
  remove(): void;
}

/** One direction of a session's messages, in their order. */
export interface MessageStorage {
  /** @param publication the same object for all sessions that get it: then it is stored once */
  append(publication: Publication, delivery: DeliveryFields, residence: Residence): StoredDelivery;
  /** The messages in state `queued` behind `sequence`, oldest first. */
  read(sequence: number, limit: number): StoredDelivery[];
  /** What is acknowledged in this turn relies on a message's having been removed: it waits for that. */
  relyOnRemovals(): void;
}

export interface SessionStorage {
  /** Messages to the client. */
  readonly outgoing: MessageStorage;
  /** QoS 2 messages of the client that wait for their PUBREL. */
  readonly incoming: MessageStorage;
  update(fields: Partial<Omit<SessionRecord, 'clientId'>>): void;
  subscribe(subscription: SubscriptionRecord): void;
  unsubscribe(filter: string): void;
  /** What is acknowledged in this turn relies on an earlier `unsubscribe`: it waits for that. */
  relyOnSubscriptions(): void;
  /** The session is over. */
  end(): void;
}

/** What is stored of a session when it is restored. */
export interface StoredContents {
  /** Outgoing messages past `queued`, in their order. */
  inFlight: StoredDelivery[];
  /** Outgoing QoS 1 and 2 messages in state `queued`, and those of QoS 0. */
  waiting: number;
  waitingQos0: number;
  /** Payload bytes of all that are `queued`. */
  waitingBytes: number;
  /** Sequence of the last outgoing message. */
  lastSequence: number;
  /** Incoming QoS 2 messages. */
  received: StoredDelivery[];
}

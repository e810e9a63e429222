/**
 * Where a session keeps what has to outlive its process. `store` implements it; a session that ends with its
 * connection has none.
 */
import type { DeliveryState } from '../model/queued-record.js';
import type { SessionRecord, SubscriptionRecord } from '../model/session-record.js';
import type { Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';

/** How a message goes to, or came from, this client. */
export interface KeptDelivery {
  state: DeliveryState;
  /** 0 = none yet. */
  packetId: number;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  subscriptionIds: readonly number[];
}

/**
 * What becomes of a message that is kept: it is likely to be removed again within milliseconds, because the client is
 * connected; or it stays with who kept it; or it is on disk only, and read again when its turn comes.
 */
export type Residence = 'passing' | 'waiting' | 'stored';

/** One kept message of a session. */
export interface KeptEntry extends Readonly<KeptDelivery> {
  /** Its place among the session's messages of that direction: later ones are larger. */
  readonly sequence: number;
  readonly publication: Publication;
  /** Payload bytes. */
  readonly payloadBytes: number;
  /** An incoming message may have been given to other workers already, and they have noted who has it. */
  readonly wasReleased: boolean;
  /** It is about to be given to other workers. @returns a name for it, as long as it is kept */
  release(): string;
  update(change: Partial<Pick<KeptDelivery, 'state' | 'packetId' | 'dup'>>): void;
  /** A new state that need not be written by itself, because the message is likely to be removed soon. */
  note(state: DeliveryState, packetId: number): void;
  /** Keeps what was only noted. */
  save(): void;
  remove(): void;
}

/** One direction of a session's messages, in their order. */
export interface MessageKeeper {
  /** @param publication the same object for all sessions that get it: then it is kept once */
  append(publication: Publication, delivery: KeptDelivery, residence: Residence): KeptEntry;
  /** The messages in state `queued` behind `sequence`, oldest first. */
  read(sequence: number, limit: number): KeptEntry[];
}

export interface SessionStorage {
  /** Messages to the client. */
  readonly outgoing: MessageKeeper;
  /** QoS 2 messages of the client that wait for their PUBREL. */
  readonly incoming: MessageKeeper;
  update(fields: Partial<Omit<SessionRecord, 'clientId'>>): void;
  subscribe(subscription: SubscriptionRecord): void;
  unsubscribe(filter: string): void;
  /** The session is over. */
  end(): void;
}

/** What was kept of a session, when it is taken up again. */
export interface KeptContents {
  /** Outgoing messages past `queued`, in their order. */
  inFlight: KeptEntry[];
  /** Outgoing QoS 1 and 2 messages in state `queued`, and those of QoS 0. */
  waiting: number;
  waitingQos0: number;
  /** Payload bytes of all that are `queued`. */
  waitingBytes: number;
  /** Sequence of the last outgoing message. */
  lastSequence: number;
  /** Incoming QoS 2 messages. */
  received: KeptEntry[];
}

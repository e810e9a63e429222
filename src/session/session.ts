/**
 * What the broker knows of one client: its subscriptions, the messages to it (`outbound.ts`) and its QoS 2 messages
 * that are not released (`inbound.ts`). It outlives the network connection if the client asked for that (clean start,
 * session expiry), and it knows neither sockets nor clocks: the time comes with each call, and a connected client is a
 * `Peer`.
 */
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import { Drops } from './drops.js';
import { Inbound } from './inbound.js';
import {
  type DropReason,
  Outbound,
  type OutboundEvents,
  type OutboundOwner,
  type Peer,
  type SessionLimits,
} from './outbound.js';
import type { SessionStorage, StoredContents } from './session-storage.js';
import type { SubscribedSession, Subscription, TopicRights } from './subscription.js';

/** `sessionExpiryInterval` of a session that never ends [MQTT 5.0, 3.1.2.11.2]. */
export const NEVER = 0xffffffff;

/** What a session reports to the broker. */
export interface SessionEvents extends OutboundEvents {
  dropped(session: Session, reason: DropReason): void;
  /** A stored message has a text that no client takes. */
  undeliverable(publication: Publication): void;
}

/**
 * The client is one of those that occupy most while memory is short [memory_limit]: nothing more is queued for it. `slowed`:
 * it is read from once a second. `refused`: its messages and subscriptions are refused, too.
 */
export type Restraint = 'none' | 'slowed' | 'refused';

export class Session implements SubscribedSession, OutboundOwner {
  readonly clientId: string;
  version: ProtocolVersion;
  username: string | undefined = undefined;
  /** Index of the listener through which the client came last; `null` = not known, or a bridge. */
  listener: number | null = null;
  /** `null`: the client may read everything. They stay in force while the client is away. */
  rights: TopicRights | null = null;
  /** Seconds the session outlives its connection; 0 = it ends with it. */
  expiryInterval = 0;
  /** Milliseconds since the epoch when the client went away; 0 while it is connected. */
  disconnectedAt = 0;
  readonly subscriptions = new Map<string, Subscription>();
  /** Number of the last message routed here, if overlapping subscriptions are to give one copy. */
  lastSerial = 0;
  /** The highest QoS of the subscriptions that match that message. */
  highestQos: Qos = 0;
  matchedIdentifiers: number[] | null = null;
  matchedRetain = false;
  /** Bytes that the client occupies, as last counted. */
  occupiedBytes = 0;
  /** What follows from that [memory_limit]. */
  restraint: Restraint = 'none';
  /** A line of the log has named it for that. */
  restraintIsLogged = false;
  readonly outbound: Outbound;
  readonly inbound = new Inbound();
  readonly drops = new Drops();
  readonly #events: SessionEvents;
  #storage: SessionStorage | null = null;

  constructor(clientId: string, version: ProtocolVersion, limits: SessionLimits, events: SessionEvents) {
    this.clientId = clientId;
    this.version = version;
    this.#events = events;
    this.outbound = new Outbound(this, limits, events);
  }

  /** The connected client; `null` while it is away. */
  get peer(): Peer | null {
    return this.outbound.peer;
  }

  get outlivesConnection(): boolean {
    return this.expiryInterval > 0;
  }

  /** Where the session is stored; `null` if it ends with its connection. */
  get storage(): SessionStorage | null {
    return this.#storage;
  }

  /** From here on the session is stored. */
  storeIn(storage: SessionStorage): void {
    this.#storage = storage;
    this.outbound.storeIn(storage.outgoing);
    this.inbound.storage = storage.incoming;
  }

  /** Delivers a message to the client, now or later (hot path). */
  deliver(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const { rights } = this;
    if (rights !== null && !rights.canRead(publication.topic)) return;
    this.outbound.deliver(publication, qos, retain, identifiers, shared);
  }

  /** A message does not reach the client. */
  dropped(reason: DropReason): void {
    this.#events.dropped(this, reason);
  }

  undeliverable(publication: Publication): void {
    this.#events.undeliverable(publication);
    this.dropped('malformed');
  }

  /**
   * The client is (again) connected: what was in flight is sent again in its order, PUBLISH with DUP, then what
   * waited [MQTT-4.4.0-1].
   * @param now milliseconds since the epoch
   */
  attach(peer: Peer, now: number): void {
    this.disconnectedAt = 0;
    this.drops.sinceConnect = 0;
    this.inbound.attach();
    this.outbound.attach(peer, now);
  }

  /** The connection is gone, the session stays. @param now milliseconds since the epoch */
  detach(now: number): void {
    this.disconnectedAt = now;
    this.outbound.detach();
  }

  /**
   * Takes up what was stored of the session. Called once, before anything else.
   * @param mayHaveSent messages of QoS 1 that are stored as waiting may have been sent before the broker was killed
   */
  restore(
    storage: SessionStorage,
    contents: StoredContents,
    lastPacketId: number,
    mayHaveSent: boolean,
  ): void {
    this.storeIn(storage);
    this.outbound.restore(contents, lastPacketId, mayHaveSent);
    this.inbound.restore(contents.received);
  }
}

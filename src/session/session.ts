/**
 * What the broker knows of one client: its subscriptions, the messages in flight and those that wait. It outlives
 * the network connection where the client asked for that (clean start, session expiry), and it knows neither
 * sockets nor clocks: whoever calls brings the time, and a connected client is a `Peer`.
 *
 * Outgoing QoS 1 and 2 messages (states as in MQTT 5.0, 4.3):
 *
 *   queue ──window open──► awaiting PUBACK ──PUBACK──► done                    QoS 1
 *                     └──► awaiting PUBREC ──PUBREC──► awaiting PUBCOMP ──► done   QoS 2
 *
 * Incoming QoS 2 messages wait in `received` from PUBLISH until PUBREL, and are routed then, as Mosquitto does.
 */
import { RingQueue } from '../base/ring-queue.js';
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import type { Subscription } from './subscription.js';

/** `sessionExpiryInterval` of a session that never ends [MQTT 5.0, 3.1.2.11.2]. */
export const NEVER = 0xffffffff;

const PACKET_ID_MAX = 0xffff;

/** A connected client, as its session sees it. */
export interface Peer {
  /** How many QoS 1 and 2 messages it takes unacknowledged: its receive maximum or `max_inflight_messages`. */
  readonly sendMaximum: number;
  /** @returns false where the message is larger than the client takes */
  sendPublish(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | null,
  ): boolean;
  sendPubrel(packetId: number): void;
  /** Another connection of the same client takes over: this one is closed. */
  takenOver(sessionGoesOn: boolean): void;
}

/** The options that bound a session; one object for all, replaced at a reload. */
export interface SessionLimits {
  /** Payload bytes; 0 = no limit [mosq: max_inflight_bytes]. */
  maxInflightBytes: number;
  /** 0 = no limit [mosq: max_inflight_messages]. */
  maxInflightMessages: number;
  /** 0 = no limit [mosq: max_queued_messages]. */
  maxQueuedMessages: number;
  /** Payload bytes; 0 = no limit [mosq: max_queued_bytes]. */
  maxQueuedBytes: number;
  queueQos0Messages: boolean;
}

/** Why a message did not reach a client. */
export type DropReason = 'queue full' | 'too large' | 'expired';

/** What a session reports to the broker. */
export interface SessionEvents {
  dropped(session: Session, reason: DropReason): void;
}

export type OutboundState = 'awaiting PUBACK' | 'awaiting PUBREC' | 'awaiting PUBCOMP';

interface InflightMessage {
  state: OutboundState;
  qos: Qos;
  retain: boolean;
  /** `null` where the session ends with its connection: then it is never sent again. */
  publication: Publication | null;
  /** Payload bytes. */
  bytes: number;
  identifiers: readonly number[] | null;
  /** It came through a shared subscription, so another member can have it. */
  shared: Subscription | null;
}

interface QueuedMessage {
  publication: Publication;
  qos: Qos;
  retain: boolean;
  identifiers: readonly number[] | null;
  shared: Subscription | null;
}

/** A message taken back from a session that ends, for another member of the shared subscription. */
export interface Undelivered {
  publication: Publication;
  subscription: Subscription;
}

export class Session {
  readonly clientId: string;
  version: ProtocolVersion;
  username: string | undefined = undefined;
  /** Seconds the session outlives its connection; 0 = it ends with it. */
  expiryInterval = 0;
  /** Milliseconds since the epoch when the client went away; 0 while it is connected. */
  disconnectedAt = 0;
  peer: Peer | null = null;
  readonly subscriptions = new Map<string, Subscription>();
  /** Number of the last message routed here, where overlapping subscriptions are to give one copy. */
  lastSerial = 0;
  /** Messages that were dropped for this client since it connected. */
  droppedSinceConnect = 0;
  readonly #limits: SessionLimits;
  readonly #events: SessionEvents;
  #lastPacketId = 0;
  readonly #inflight = new Map<number, InflightMessage>();
  #inflightBytes = 0;
  readonly #queue = new RingQueue<QueuedMessage>();
  #queuedBytes = 0;
  /** QoS 1 and 2 messages in the queue: those that the limits count. */
  #queuedCount = 0;
  readonly #received = new Map<number, Publication>();

  constructor(clientId: string, version: ProtocolVersion, limits: SessionLimits, events: SessionEvents) {
    this.clientId = clientId;
    this.version = version;
    this.#limits = limits;
    this.#events = events;
  }

  get outlivesConnection(): boolean {
    return this.expiryInterval > 0;
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  /** Bytes of payload that wait or are in flight. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#inflightBytes;
  }

  /** How many QoS 2 messages of the client wait for their PUBREL. */
  get receivedCount(): number {
    return this.#received.size;
  }

  // ----------------------------------------------------------------- outgoing

  /** Delivers a message to the client, now or later (hot path). */
  deliver(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const { peer } = this;
    if (qos === 0) {
      if (peer !== null) peer.sendPublish(publication, 0, retain, false, 0, identifiers);
      else this.#queueQos0(publication, retain, identifiers, shared);
      return;
    }
    if (peer !== null && this.#queue.length === 0 && this.#windowIsOpen(peer, publication.payloadLength)) {
      this.#send(peer, publication, qos, retain, identifiers, shared);
    } else {
      this.#enqueue(publication, qos, retain, identifiers, shared);
    }
  }

  /** PUBACK received. @returns false for a packet id that is not in flight */
  puback(packetId: number): boolean {
    if (this.#inflight.get(packetId)?.state !== 'awaiting PUBACK') return false;
    this.#complete(packetId);
    return true;
  }

  /** PUBREC received; a reason code of 0x80 or more ends the message [MQTT-4.3.3-4]. */
  pubrec(packetId: number, reasonCode: number): boolean {
    const message = this.#inflight.get(packetId);
    if (message === undefined || message.state === 'awaiting PUBACK') return false;
    if (reasonCode >= 0x80) {
      this.#complete(packetId);
      return true;
    }
    message.state = 'awaiting PUBCOMP';
    message.publication = null; // never sent again [MQTT-4.3.3-6]
    this.peer?.sendPubrel(packetId);
    return true;
  }

  /** PUBCOMP received. */
  pubcomp(packetId: number): boolean {
    if (this.#inflight.get(packetId)?.state !== 'awaiting PUBCOMP') return false;
    this.#complete(packetId);
    return true;
  }

  /**
   * The client is (again) connected: what was in flight is sent again in its order, PUBLISH with DUP, then what
   * waited [MQTT-4.4.0-1].
   * @param now milliseconds since the epoch
   */
  attach(peer: Peer, now: number): void {
    this.peer = peer;
    this.disconnectedAt = 0;
    this.droppedSinceConnect = 0;
    for (const [packetId, message] of this.#inflight) {
      if (message.state === 'awaiting PUBCOMP') {
        peer.sendPubrel(packetId);
      } else if (message.publication !== null) {
        const { publication, qos, retain, identifiers } = message;
        peer.sendPublish(publication, qos, retain, true, packetId, identifiers);
      }
    }
    this.pump(now);
  }

  /** The connection is gone, the session stays. @param now milliseconds since the epoch */
  detach(now: number): void {
    this.peer = null;
    this.disconnectedAt = now;
  }

  /** Sends what waits, as far as the window allows. @param now milliseconds since the epoch */
  pump(now: number): void {
    const { peer } = this;
    if (peer === null) return;
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const { publication, qos, retain, identifiers, shared } = next;
      const expired = publication.expiresAt !== 0 && publication.expiresAt <= now;
      if (!expired && qos > 0 && !this.#windowIsOpen(peer, publication.payloadLength)) return;
      this.#queue.shift();
      this.#uncount(next);
      if (expired) this.#events.dropped(this, 'expired');
      else if (qos === 0) peer.sendPublish(publication, 0, retain, false, 0, identifiers);
      else this.#send(peer, publication, qos, retain, identifiers, shared);
    }
  }

  /**
   * Takes back what came through shared subscriptions and was not acknowledged, so that other members get it
   * [MQTT-4.8.2-5]. Only for a session that ends.
   */
  takeBackShared(): Undelivered[] {
    const undelivered: Undelivered[] = [];
    for (const { publication, shared } of this.#inflight.values()) {
      if (shared !== null && publication !== null) undelivered.push({ publication, subscription: shared });
    }
    for (const { publication, shared } of this.#queue) {
      if (shared !== null) undelivered.push({ publication, subscription: shared });
    }
    return undelivered;
  }

  /** Removes queued messages that the client may no longer have. */
  discardQueued(keep: (publication: Publication) => boolean): void {
    this.#queue.filter((message) => {
      const kept = keep(message.publication);
      if (!kept) this.#uncount(message);
      return kept;
    });
  }

  // ----------------------------------------------------------------- incoming QoS 2

  /** The QoS 2 message received under this packet id and not yet released. */
  received(packetId: number): Publication | undefined {
    return this.#received.get(packetId);
  }

  /** Keeps a QoS 2 message until its PUBREL. */
  receive(packetId: number, publication: Publication): void {
    this.#received.set(packetId, publication);
  }

  /** PUBREL received. @returns the message to route, `undefined` if there is none */
  release(packetId: number): Publication | undefined {
    const publication = this.#received.get(packetId);
    if (publication !== undefined) this.#received.delete(packetId);
    return publication;
  }

  // ----------------------------------------------------------------- private

  #windowIsOpen(peer: Peer, bytes: number): boolean {
    if (this.#inflight.size >= peer.sendMaximum) return false;
    const { maxInflightBytes } = this.#limits;
    // One message may always be in flight, however large.
    return (
      maxInflightBytes === 0 || this.#inflight.size === 0 || this.#inflightBytes + bytes <= maxInflightBytes
    );
  }

  #send(
    peer: Peer,
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const packetId = this.#nextPacketId();
    if (!peer.sendPublish(publication, qos, retain, false, packetId, identifiers)) {
      this.#events.dropped(this, 'too large');
      return;
    }
    const bytes = publication.payloadLength;
    this.#inflightBytes += bytes;
    this.#inflight.set(packetId, {
      state: qos === 1 ? 'awaiting PUBACK' : 'awaiting PUBREC',
      qos,
      retain,
      publication: this.expiryInterval > 0 || shared !== null ? publication.keep() : null,
      bytes,
      identifiers,
      shared,
    });
  }

  #complete(packetId: number): void {
    this.#inflightBytes -= this.#inflight.get(packetId)!.bytes;
    this.#inflight.delete(packetId);
  }

  /** Ids count up through the whole range and skip what is in flight [MQTT-2.2.1-3]. */
  #nextPacketId(): number {
    let id = this.#lastPacketId;
    do {
      id = id === PACKET_ID_MAX ? 1 : id + 1;
    } while (this.#inflight.has(id));
    this.#lastPacketId = id;
    return id;
  }

  #enqueue(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const bytes = publication.payloadLength;
    if (!this.#queueHasRoom(bytes)) {
      this.#events.dropped(this, 'queue full');
      return;
    }
    this.#queue.push({ publication: publication.keep(), qos, retain, identifiers, shared });
    this.#queuedBytes += bytes;
    if (qos > 0) this.#queuedCount += 1;
  }

  #queueQos0(
    publication: Publication,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    if (this.#limits.queueQos0Messages) this.#enqueue(publication, 0, retain, identifiers, shared);
  }

  /** An online client's queue may be longer by its window [mosq: max_queued_messages]. */
  #queueHasRoom(bytes: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes, maxInflightMessages } = this.#limits;
    const messagesMax = maxQueuedMessages + (this.peer === null ? 0 : maxInflightMessages);
    if (maxQueuedMessages > 0 && this.#queuedCount >= messagesMax) return false;
    return maxQueuedBytes === 0 || this.#queuedBytes + bytes <= maxQueuedBytes;
  }

  #uncount(message: QueuedMessage): void {
    this.#queuedBytes -= message.publication.payloadLength;
    if (message.qos > 0) this.#queuedCount -= 1;
  }
}

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
import { NumberMap } from '../base/number-map.js';
import { RingQueue } from '../base/ring-queue.js';
import type { ProtocolVersion, Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import type { KeptContents, KeptEntry, Residence, SessionStorage } from './session-storage.js';
import type { SubscribedSession, Subscription, TopicRights } from './subscription.js';

/** `sessionExpiryInterval` of a session that never ends [MQTT 5.0, 3.1.2.11.2]. */
export const NEVER = 0xffffffff;

const PACKET_ID_MAX = 0xffff;

/** Messages of a kept queue that are in memory, read ahead of the client; the others are on disk only. */
const AHEAD_MAX = 100;

/** Messages of a kept queue that are in flight at the most, however many the client takes: they are in memory. */
const AHEAD_IN_FLIGHT_MAX = 1024;

/** The same where neither the client nor `max_inflight_messages` says how many: more only costs memory, and time. */
const AHEAD_IN_FLIGHT_UNLIMITED = 256;

const NO_IDENTIFIERS: readonly number[] = [];

/** Stands for one with nothing in it: nothing is ever put into this one. */
const NONE = new NumberMap<never>();

/** A connected client, as its session sees it. */
export interface Peer {
  /** How many QoS 1 and 2 messages it takes unacknowledged: its receive maximum or `max_inflight_messages`. */
  readonly sendMaximum: number;
  /** It does not take bytes at the moment; `pump` is called when it does again. */
  readonly isBlocked: boolean;
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
export type DropReason = 'queue full' | 'backlog' | 'too large' | 'expired';

/** What a session reports to the broker. */
export interface SessionEvents {
  /** Milliseconds since the epoch, as of what is being worked on. */
  readonly now: number;
  dropped(session: Session, reason: DropReason): void;
  /** Something changed that `autosave_on_changes` counts. */
  changed(): void;
  /** A point of time before changes to what is kept. */
  markWithin(): number;
  /** Calls back once what was changed since the mark is stored. */
  whenSettled(mark: number, callback: () => void): void;
}

export type OutboundState = 'queued' | 'awaiting PUBACK' | 'awaiting PUBREC' | 'awaiting PUBCOMP';

/** A message for the client that waits, or is in flight. One object from the queue to its acknowledgement. */
interface OutgoingMessage {
  state: OutboundState;
  readonly qos: Qos;
  readonly retain: boolean;
  /** `null` where it is never sent again: after PUBREC, or because the session ends with its connection. */
  publication: Publication | null;
  /** Payload bytes. */
  readonly bytes: number;
  readonly identifiers: readonly number[] | null;
  /** It came through a shared subscription, so another member can have it. */
  readonly shared: Subscription | null;
  /** Where it is kept, for a session that outlives its connection. */
  entry: KeptEntry | null;
  /** False while it waits to be stored before it is sent for the first time. */
  sent: boolean;
  /** It may have been sent before the broker was killed. */
  readonly dup: boolean;
}

interface UnsentMessage {
  packetId: number;
  message: OutgoingMessage;
  stored: boolean;
}

interface ReceivedMessage {
  publication: Publication;
  entry: KeptEntry | null;
}

/** A message taken back from a session that ends, for another member of the shared subscription. */
export interface Undelivered {
  publication: Publication;
  subscription: Subscription;
}

export class Session implements SubscribedSession {
  readonly clientId: string;
  version: ProtocolVersion;
  username: string | undefined = undefined;
  /** Index of the listener through which the client came last; `null` = not known, after a restart. */
  listener: number | null = null;
  /** `null`: the client may read everything. They stay in force while the client is away. */
  rights: TopicRights | null = null;
  /** Seconds the session outlives its connection; 0 = it ends with it. */
  expiryInterval = 0;
  /** Milliseconds since the epoch when the client went away; 0 while it is connected. */
  disconnectedAt = 0;
  peer: Peer | null = null;
  readonly subscriptions = new Map<string, Subscription>();
  /** Number of the last message routed here, where overlapping subscriptions are to give one copy. */
  lastSerial = 0;
  /** The highest QoS of the subscriptions that match that message. */
  highestQos: Qos = 0;
  /** Messages that were dropped for this client since it connected. */
  droppedSinceConnect = 0;
  /** Messages dropped and not reported yet, by reason. */
  unreportedDrops: Map<DropReason, number> | null = null;
  /** Counts of dropped messages for whoever wants to know; the owner's object. */
  dropCounts: Record<DropReason, number> | null = null;
  /** QoS 0 waits for the client whatever `queue_qos0_messages` says: a lazy bridge connects because of it. */
  queuesQos0 = false;
  readonly #limits: SessionLimits;
  readonly #events: SessionEvents;
  #lastPacketId = 0;
  /** By packet id; `NONE` until there is one, as with most clients. */
  #inflight: NumberMap<OutgoingMessage> = NONE;
  #inflightBytes = 0;
  /** Packet ids in flight that are to be sent again on this connection. */
  #unsent: number[] = [];
  /** The head of the queue; all of it where nothing is kept. */
  readonly #queue = new RingQueue<OutgoingMessage>();
  /** Kept messages behind `#queue` that are to be read yet. */
  #unread = 0;
  /** Sequence of the last message that went into `#queue`. */
  #lastSequence = 0;
  /** Up to this sequence messages of QoS 1 may have been sent by an earlier process, which did not live to keep that. */
  #sentBefore = 0;
  #queuedBytes = 0;
  #leftQueue = 0;
  /** QoS 1 and 2 messages that wait: those that the limits count. */
  #queuedCount = 0;
  #received: NumberMap<ReceivedMessage> = NONE;
  /** How many of them came on earlier connections. */
  #receivedEarlier = 0;
  #receivedBytes = 0;
  #releasedCount = 0;
  /** In flight, but not sent before they are stored. */
  readonly #awaitingStore = new RingQueue<UnsentMessage>();
  /** Keeps the session where it outlives its connection. */
  storage: SessionStorage | null = null;

  constructor(clientId: string, version: ProtocolVersion, limits: SessionLimits, events: SessionEvents) {
    this.clientId = clientId;
    this.version = version;
    this.#limits = limits;
    this.#events = events;
  }

  /** Some of what waits may have been sent by an earlier process, and has not been sent again. */
  get isInDoubt(): boolean {
    const next = this.#queue.peek();
    if (next === undefined) return this.#unread > 0 && this.#lastSequence < this.#sentBefore;
    return next.entry !== null && next.entry.sequence <= this.#sentBefore;
  }

  get outlivesConnection(): boolean {
    return this.expiryInterval > 0;
  }

  mayRead({ topic }: Publication): boolean {
    return this.rights === null || this.rights.canRead(topic);
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  get queuedCount(): number {
    return this.#queue.length + this.#unread;
  }

  /** How many QoS 1 and 2 messages could be sent at once, and need not wait. */
  get windowRoom(): number {
    if (this.peer === null || this.queuedCount > 0 || this.#unsent.length > 0) return 0;
    return Math.max(0, this.peer.sendMaximum - this.#inflight.size);
  }

  /** How many messages have ever left the queue. */
  get leftQueue(): number {
    return this.#leftQueue;
  }

  /** The packet id last given to a message, to be kept with the session. */
  get lastPacketId(): number {
    return this.#lastPacketId;
  }

  /** Bytes of payload that wait or are in flight. */
  get pendingBytes(): number {
    return this.#queuedBytes + this.#inflightBytes;
  }

  /** How many QoS 2 messages that came on this connection wait for their PUBREL. */
  get receivedCount(): number {
    return Math.max(0, this.#received.size - this.#receivedEarlier);
  }

  /** How many messages wait for their PUBREL, whenever they came. */
  get unreleasedCount(): number {
    return this.#received.size;
  }

  /** Bytes of their payload. */
  get unreleasedBytes(): number {
    return this.#receivedBytes;
  }

  /** How many messages have ever been released. */
  get releasedCount(): number {
    return this.#releasedCount;
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
    const { peer, rights } = this;
    if (rights !== null && !rights.canRead(publication.topic)) return;
    if (qos === 0) {
      if (peer !== null) this.#sendQos0(peer, publication, retain, identifiers);
      else this.#queueQos0(publication, retain, identifiers, shared);
      return;
    }
    if (peer !== null && this.queuedCount === 0 && this.#windowIsOpen(peer, publication.payloadLength)) {
      this.#sendAtOnce(peer, publication, qos, retain, identifiers, shared);
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

  /** PUBREC received, PUBREL is due; a reason code of 0x80 or more ends the message [MQTT-4.3.3-4]. */
  pubrec(packetId: number, reasonCode: number): boolean {
    const message = this.#inflight.get(packetId);
    if (message === undefined || message.state === 'awaiting PUBACK') return false;
    if (reasonCode >= 0x80) {
      this.#complete(packetId);
      return true;
    }
    message.state = 'awaiting PUBCOMP';
    message.publication = null; // never sent again [MQTT-4.3.3-6]
    message.entry?.update({ state: 'awaiting PUBCOMP' });
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
    this.#unsent = this.#inflight.keys();
    this.#receivedEarlier = this.#received.size;
    this.pump(now);
  }

  /**
   * Sends again what was in flight, as far as the window allows: it may be smaller than on the connection before
   * [MQTT-3.3.4-9].
   */
  #resend(peer: Peer): void {
    for (let packetId = this.#unsent[0]; packetId !== undefined; packetId = this.#unsent[0]) {
      const { state, publication, qos, retain, identifiers, sent } = this.#inflight.get(packetId)!;
      if (state === 'awaiting PUBCOMP') {
        peer.sendPubrel(packetId);
      } else if (publication !== null && sent) {
        if (!this.mayRead(publication)) {
          this.#complete(packetId);
          continue;
        }
        if (this.#inflight.size - this.#unsent.length >= peer.sendMaximum) return;
        if (!peer.sendPublish(publication, qos, retain, true, packetId, identifiers)) {
          this.#complete(packetId);
          this.#events.dropped(this, 'too large');
          continue;
        }
      }
      this.#unsent.shift();
    }
  }

  /** The connection is gone, the session stays. @param now milliseconds since the epoch */
  detach(now: number): void {
    this.peer = null;
    this.disconnectedAt = now;
    for (const { entry } of this.#inflight.values()) entry?.save();
  }

  /**
   * Sends what waits, as far as the window allows and the client takes it; more when it has acknowledged some or
   * taken them from the kernel. @param now milliseconds since the epoch
   */
  pump(now: number): void {
    const { peer } = this;
    if (peer === null) return;
    if (this.#unsent.length > 0) this.#resend(peer);
    for (let next = this.#next(); next !== undefined && !peer.isBlocked; next = this.#next()) {
      const publication = next.publication!;
      const expired = publication.expiresAt !== 0 && publication.expiresAt <= now;
      // The rights may have changed since it was queued, by a reload or by the client's coming back as another user.
      const forbidden = !this.mayRead(publication);
      if (!expired && !forbidden && next.qos > 0) {
        if (!this.#windowIsOpen(peer, next.bytes)) return;
        if (next.entry !== null && this.#inflight.size >= aheadInFlightMax(peer)) return;
      }
      this.#queue.shift();
      this.#uncount(next);
      if (forbidden || expired || next.qos === 0) next.entry?.remove();
      if (forbidden) continue;
      if (expired) this.#events.dropped(this, 'expired');
      else if (next.qos === 0) this.#sendQos0(peer, publication, next.retain, next.identifiers);
      else this.#sendQueued(peer, publication, next);
    }
  }

  /** The oldest message that waits; reads on in a kept queue. */
  #next(): OutgoingMessage | undefined {
    if (this.#queue.length === 0 && this.#unread > 0) this.#readAhead();
    return this.#queue.peek();
  }

  #readAhead(): void {
    const entries = this.storage?.outgoing.read(this.#lastSequence, AHEAD_MAX) ?? [];
    this.#unread = Math.max(0, this.#unread - entries.length);
    if (entries.length === 0) {
      // Fewer than there should be: some did not read, and there are no more.
      this.#unread = 0;
      this.#queuedCount = 0;
      this.#queuedBytes = 0;
    }
    for (const entry of entries) {
      this.#lastSequence = entry.sequence;
      const { publication, qos, retain, subscriptionIds } = entry;
      this.#queue.push({
        state: 'queued',
        qos,
        retain,
        publication,
        bytes: publication.payloadLength,
        identifiers: subscriptionIds.length === 0 ? null : subscriptionIds,
        shared: null,
        entry,
        sent: false,
        dup: qos === 1 && entry.sequence <= this.#sentBefore,
      });
    }
  }

  /**
   * Takes up what was kept of the session. Called once, before anything else.
   * @param mayHaveSent messages of QoS 1 that are kept as waiting may have been sent before the broker was killed
   */
  restore(storage: SessionStorage, contents: KeptContents, lastPacketId: number, mayHaveSent: boolean): void {
    this.storage = storage;
    this.#lastPacketId = lastPacketId;
    if (mayHaveSent) this.#sentBefore = contents.lastSequence;
    for (const entry of contents.inFlight) {
      const { state, packetId, qos, retain, subscriptionIds, payloadBytes: bytes } = entry;
      const publication = state === 'awaiting PUBCOMP' ? null : entry.publication;
      const identifiers = subscriptionIds.length === 0 ? null : subscriptionIds;
      this.#putInflight(packetId, {
        state: state as OutboundState,
        qos,
        retain,
        publication,
        bytes,
        identifiers,
        shared: null,
        entry,
        sent: true,
        dup: true,
      });
      this.#inflightBytes += bytes;
    }
    for (const entry of contents.received) {
      const { packetId, publication } = entry;
      this.#putReceived(packetId, { publication, entry });
      this.#receivedBytes += publication.payloadLength;
    }
    this.#unread = contents.waiting + contents.waitingQos0;
    this.#queuedCount = contents.waiting;
    this.#queuedBytes = contents.waitingBytes;
  }

  /**
   * Takes back what came through shared subscriptions and was not acknowledged, so that other members get it
   * [MQTT-4.8.2-5]. Only for a session that ends.
   */
  takeBackShared(): Undelivered[] {
    const undelivered: Undelivered[] = [];
    for (const { publication, shared, qos } of this.#inflight.values()) {
      // What was sent with QoS 2 stays this client's, even if it never comes back [MQTT-4.8.2-5].
      if (shared === null || publication === null || qos === 2) continue;
      undelivered.push({ publication, subscription: shared });
    }
    for (const { publication, shared } of this.#queue) {
      if (shared !== null && publication !== null) undelivered.push({ publication, subscription: shared });
    }
    return undelivered;
  }

  // ----------------------------------------------------------------- incoming QoS 2

  /** The QoS 2 message received under this packet id and not yet released. */
  received(packetId: number): Publication | undefined {
    return this.#received.get(packetId)?.publication;
  }

  /** Where that message is kept; `null` where it is not, or is not there. */
  receivedEntry(packetId: number): KeptEntry | null {
    return this.#received.get(packetId)?.entry ?? null;
  }

  /** Keeps a QoS 2 message until its PUBREL. */
  receive(packetId: number, message: Publication): void {
    const { storage } = this;
    const replaced = this.#received.get(packetId);
    this.#receivedBytes += message.payloadLength - (replaced?.publication.payloadLength ?? 0);
    if (storage === null) {
      this.#putReceived(packetId, { publication: message.toSlab(), entry: null });
      return;
    }
    replaced?.entry?.remove();
    const publication = message.toOwned();
    const { qos, retain } = publication;
    const delivery = { qos, retain, packetId, dup: false, subscriptionIds: NO_IDENTIFIERS };
    const entry = storage.incoming.append(publication, { ...delivery, state: 'awaiting PUBREL' }, 'waiting');
    this.#putReceived(packetId, { publication, entry });
  }

  /** PUBREL received. @returns the message to route, `undefined` if there is none */
  release(packetId: number): Publication | undefined {
    const message = this.#received.get(packetId);
    if (message === undefined) return undefined;
    this.#received.delete(packetId);
    this.#receivedBytes -= message.publication.payloadLength;
    this.#releasedCount += 1;
    this.#receivedEarlier = Math.min(this.#receivedEarlier, this.#received.size);
    message.entry?.remove();
    return message.publication;
  }

  /** The other side has forgotten them, and uses their packet ids for other messages now. */
  forgetReceived(): void {
    for (const { entry } of this.#received.values()) entry?.remove();
    this.#received.clear();
    this.#receivedEarlier = 0;
    this.#receivedBytes = 0;
  }

  // ----------------------------------------------------------------- private

  #windowIsOpen(peer: Peer, bytes: number): boolean {
    if (this.#inflight.size >= peer.sendMaximum || this.#unsent.length > 0) return false;
    const { maxInflightBytes } = this.#limits;
    // One message may always be in flight, however large.
    return (
      maxInflightBytes === 0 || this.#inflight.size === 0 || this.#inflightBytes + bytes <= maxInflightBytes
    );
  }

  #sendQos0(
    peer: Peer,
    publication: Publication,
    retain: boolean,
    identifiers: readonly number[] | null,
  ): void {
    const sent = peer.sendPublish(publication, 0, retain, false, 0, identifiers);
    if (!sent) this.#events.dropped(this, 'too large');
  }

  /** A message that need not wait (hot path). */
  #sendAtOnce(
    peer: Peer,
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const packetId = this.nextPacketId();
    const storeFirst = this.storage !== null && qos === 2;
    if (!storeFirst && !peer.sendPublish(publication, qos, retain, false, packetId, identifiers)) {
      this.#events.dropped(this, 'too large');
      return;
    }
    const mark = storeFirst ? this.#events.markWithin() : 0;
    const { storage } = this;
    const state = qos === 1 ? 'awaiting PUBACK' : 'awaiting PUBREC';
    const message: OutgoingMessage = {
      state,
      qos,
      retain,
      publication: storeFirst || this.outlivesConnection || shared !== null ? publication.toOwned() : null,
      bytes: publication.payloadLength,
      identifiers,
      shared,
      entry: null,
      sent: !storeFirst,
      dup: false,
    };
    if (storage !== null) {
      const subscriptionIds = identifiers ?? NO_IDENTIFIERS;
      const delivery = { state, packetId, qos, retain, dup: false, subscriptionIds } as const;
      // A QoS 2 message is not sent, and so not acknowledged, before it is stored.
      message.entry = storage.outgoing.append(publication, delivery, qos === 1 ? 'passing' : 'waiting');
    }
    this.#inflightBytes += message.bytes;
    this.#putInflight(packetId, message);
    if (storeFirst) this.#sendWhenStored(packetId, message, mark);
  }

  /** The message has waited, and it is its turn. */
  #sendQueued(peer: Peer, publication: Publication, message: OutgoingMessage): void {
    const packetId = this.nextPacketId();
    const { qos, retain, identifiers, entry, dup } = message;
    const storeFirst = this.storage !== null && qos === 2;
    if (!storeFirst && !peer.sendPublish(publication, qos, retain, dup, packetId, identifiers)) {
      entry?.remove();
      this.#events.dropped(this, 'too large');
      return;
    }
    const mark = storeFirst ? this.#events.markWithin() : 0;
    message.state = qos === 1 ? 'awaiting PUBACK' : 'awaiting PUBREC';
    message.sent = !storeFirst;
    // Of a session that was kept and is to end now, what is not sent yet is needed still.
    if (!storeFirst && !this.outlivesConnection && message.shared === null) message.publication = null;
    // Most are acknowledged at once. After a kill those that are not are sent once more, marked as duplicates.
    if (qos === 1) entry?.note(message.state, packetId);
    else entry?.update({ state: message.state, packetId });
    this.#inflightBytes += message.bytes;
    this.#putInflight(packetId, message);
    if (storeFirst) this.#sendWhenStored(packetId, message, mark);
  }

  /**
   * A QoS 2 message leaves when it is stored. Sent before that, it could come again under another packet id after
   * a crash: its publisher has no PUBCOMP yet and releases it once more.
   */
  #sendWhenStored(packetId: number, message: OutgoingMessage, mark: number): void {
    const unsent = { packetId, message, stored: false };
    this.#awaitingStore.push(unsent);
    this.#events.whenSettled(mark, () => {
      unsent.stored = true;
      this.#sendStored();
    });
  }

  /** In their order, whatever was stored first [MQTT-4.6.0-6]. */
  #sendStored(): void {
    const inFlight = this.#inflight.size;
    for (let next = this.#awaitingStore.peek(); next?.stored; next = this.#awaitingStore.peek()) {
      this.#awaitingStore.shift();
      const { packetId, message } = next;
      const { publication, qos, retain, identifiers } = message;
      if (this.#inflight.get(packetId) !== message || publication === null) continue;
      message.sent = true;
      if (!this.mayRead(publication)) {
        this.#complete(packetId);
        continue;
      }
      const { peer } = this;
      if (peer === null || peer.sendPublish(publication, qos, retain, false, packetId, identifiers)) continue;
      this.#complete(packetId);
      this.#events.dropped(this, 'too large');
    }
    if (this.#inflight.size < inFlight) this.pump(this.#events.now); // not sent: others can go
  }

  #putInflight(packetId: number, message: OutgoingMessage): void {
    if (this.#inflight === NONE) this.#inflight = new NumberMap();
    this.#inflight.set(packetId, message);
  }

  #putReceived(packetId: number, message: ReceivedMessage): void {
    if (this.#received === NONE) this.#received = new NumberMap();
    this.#received.set(packetId, message);
  }

  #complete(packetId: number): void {
    const message = this.#inflight.get(packetId)!;
    this.#inflightBytes -= message.bytes;
    this.#inflight.delete(packetId);
    this.#events.changed();
    if (this.#unsent.length > 0) this.#unsent = this.#unsent.filter((id) => id !== packetId);
    message.entry?.remove();
  }

  /** Ids count up through the whole range and skip what is in flight [MQTT-2.2.1-3]. */
  nextPacketId(): number {
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
    this.#events.changed();
    this.#queuedBytes += bytes;
    if (qos > 0) this.#queuedCount += 1;
    if (this.storage !== null && (this.#unread > 0 || this.#queue.length >= AHEAD_MAX)) {
      this.#keepQueued(this.storage, publication, qos, retain, identifiers, 'stored');
      this.#unread += 1;
      return;
    }
    let entry: KeptEntry | null = null;
    if (this.storage !== null) {
      entry = this.#keepQueued(this.storage, publication, qos, retain, identifiers, 'waiting');
      this.#lastSequence = entry.sequence;
    }
    const kept = publication.toOwned();
    this.#queue.push({
      state: 'queued',
      qos,
      retain,
      publication: kept,
      bytes,
      identifiers,
      shared,
      entry,
      sent: false,
      dup: false,
    });
  }

  #keepQueued(
    { outgoing }: SessionStorage,
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    residence: Residence,
  ): KeptEntry {
    const subscriptionIds = identifiers ?? NO_IDENTIFIERS;
    const delivery = { state: 'queued', packetId: 0, qos, retain, dup: false, subscriptionIds } as const;
    return outgoing.append(publication, delivery, residence);
  }

  #queueQos0(
    publication: Publication,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    if (this.queuesQos0 || this.#limits.queueQos0Messages)
      this.#enqueue(publication, 0, retain, identifiers, shared);
  }

  /** An online client's queue may be longer by its window [mosq: max_queued_messages]. */
  #queueHasRoom(bytes: number): boolean {
    const { maxQueuedMessages, maxQueuedBytes, maxInflightMessages } = this.#limits;
    const messagesMax = maxQueuedMessages + (this.peer === null ? 0 : maxInflightMessages);
    if (maxQueuedMessages > 0 && this.#queuedCount >= messagesMax) return false;
    return maxQueuedBytes === 0 || this.#queuedBytes + bytes <= maxQueuedBytes;
  }

  #uncount(message: OutgoingMessage): void {
    this.#leftQueue += 1;
    this.#queuedBytes -= message.bytes;
    if (message.qos > 0) this.#queuedCount -= 1;
  }
}

function aheadInFlightMax({ sendMaximum }: Peer): number {
  return sendMaximum === PACKET_ID_MAX ? AHEAD_IN_FLIGHT_UNLIMITED : AHEAD_IN_FLIGHT_MAX;
}

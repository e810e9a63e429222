/**
 * Messages to a client: those that wait, and those in flight (states as in MQTT 5.0, 4.3).
 *
 *   queue ──window open──► awaiting PUBACK ──PUBACK──► done                    QoS 1
 *                     └──► awaiting PUBREC ──PUBREC──► awaiting PUBCOMP ──► done   QoS 2
 */
import { assert } from '../base/assert.js';
import { NumberMap } from '../base/number-map.js';
import { RingQueue } from '../base/ring-queue.js';
import type { Qos } from '../mqtt/packets.js';
import type { Publication } from '../mqtt/publication.js';
import { OutgoingMessage } from './outgoing-message.js';
import { OutgoingQueue } from './outgoing-queue.js';
import type { MessageStorage, StoredContents } from './session-storage.js';
import type { Subscription, TopicRights } from './subscription.js';

const PACKET_ID_MAX = 0xffff;

/** Messages of a stored queue that are in flight at the most, however many the client takes: they are in memory. */
const AHEAD_IN_FLIGHT_MAX = 1024;

/** The same if neither the client nor `max_inflight_messages` says how many: more only costs memory, and time. */
const AHEAD_IN_FLIGHT_UNLIMITED = 256;

/** Shared: it is never written to. */
const NO_PACKET_IDS: number[] = [];

const NO_IDENTIFIERS: readonly number[] = [];

/** Stands for a map with nothing in it, as most clients have: nothing is ever put into this one. */
const NONE = new NumberMap<never>();

/** A connected client, as its session sees it. */
export interface Peer {
  /** How many QoS 1 and 2 messages it takes unacknowledged: its receive maximum or `max_inflight_messages`. */
  readonly sendMaximum: number;
  /** It does not take bytes at the moment; `pump` is called when it does again. */
  readonly isBlocked: boolean;
  /** Bytes that wait for it to take them. */
  readonly waitingBytes: number;
  /** @returns false if the message is larger than the client takes */
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
export type DropReason = 'queue full' | 'memory' | 'backlog' | 'too large' | 'expired' | 'malformed';

/** The session that the messages belong to. */
export interface OutboundOwner {
  readonly rights: TopicRights | null;
  readonly outlivesConnection: boolean;
  /** Nothing new is queued for it [memory_limit]. */
  readonly restraint: 'none' | 'slowed' | 'refused';
  dropped(reason: DropReason): void;
  /** A stored message has a text that no client takes. */
  undeliverable(publication: Publication): void;
}

/** What messages to a client need of the broker. */
export interface OutboundEvents {
  /** Milliseconds since the epoch, as of what is being worked on. */
  readonly now: number;
  /** Something changed that `autosave_on_changes` counts. */
  changed(): void;
  /** A mark in the store before changes to a session in the middle of a publish. */
  markWithin(): number;
  /** Calls back once what was changed since the mark is stored. */
  whenSettled(mark: number, callback: () => void): void;
}

interface UnsentMessage {
  packetId: number;
  message: OutgoingMessage;
  /** It leaves as soon as those in front of it have left. */
  isReady: boolean;
}

/** A message taken back from a session that ends, for another member of the shared subscription. */
export interface Undelivered {
  publication: Publication;
  subscription: Subscription;
}

export class Outbound {
  peer: Peer | null = null;
  /** QoS 0 waits for the client whatever `queue_qos0_messages` says: a lazy bridge connects because of it. */
  queuesQos0 = false;
  readonly #owner: OutboundOwner;
  readonly #limits: SessionLimits;
  readonly #events: OutboundEvents;
  #storage: MessageStorage | null = null;
  #lastPacketId = 0;
  /** By packet id; `NONE` until there is one, as with most clients. */
  #inflight: NumberMap<OutgoingMessage> = NONE;
  #inflightBytes = 0;
  /** Packet ids that were in flight when the client connected, in their order. */
  #resendOrder = NO_PACKET_IDS;
  /** Which of them comes next. */
  #resendNext = 0;
  /** Those of them that are to be sent again, and are still in flight. */
  #unsent: NumberMap<true> = NONE;
  readonly #queue = new OutgoingQueue();
  /** In flight, but not sent before they are stored; messages of QoS 1 if such a one is in front of them. */
  readonly #awaitingStore = new RingQueue<UnsentMessage>();

  constructor(owner: OutboundOwner, limits: SessionLimits, events: OutboundEvents) {
    this.#owner = owner;
    this.#limits = limits;
    this.#events = events;
  }

  /** From here on messages are stored. */
  storeIn(storage: MessageStorage): void {
    this.#storage = storage;
    this.#queue.storage = storage;
  }

  /** Some of what waits may have been sent by an earlier process, and has not been sent again. */
  get isInDoubt(): boolean {
    return this.#queue.isInDoubt;
  }

  get inflightCount(): number {
    return this.#inflight.size;
  }

  get queuedCount(): number {
    return this.#queue.length;
  }

  /** How many QoS 1 and 2 messages could be sent at once, and need not wait. */
  get windowRoom(): number {
    if (this.peer === null || this.#queue.length > 0 || this.#unsent.size > 0) return 0;
    return Math.max(0, this.peer.sendMaximum - this.#inflight.size);
  }

  /** How many messages have ever left the queue. */
  get leftQueue(): number {
    return this.#queue.leftCount;
  }

  /** The packet id last given to a message, to be stored with the session. */
  get lastPacketId(): number {
    return this.#lastPacketId;
  }

  /** Bytes of payload that wait or are in flight. */
  get pendingBytes(): number {
    return this.#queue.bytes + this.#inflightBytes;
  }

  /** Bytes of those that are in memory. */
  get memoryBytes(): number {
    return this.#queue.memoryBytes + this.#inflightBytes;
  }

  // ----------------------------------------------------------------- the client's messages and acknowledgements

  /** Delivers a message that the client may read, now or later (hot path). */
  deliver(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
  ): void {
    const { peer } = this;
    if (qos === 0) {
      if (peer !== null) this.#sendQos0(peer, publication, retain, identifiers);
      else this.#queueQos0(publication, retain, identifiers, shared);
      return;
    }
    if (peer !== null && this.#queue.length === 0 && this.#windowIsOpen(peer, publication.payloadLength)) {
      this.#sendAtOnce(peer, publication, qos, retain, identifiers, shared);
    } else {
      this.#enqueue(publication, qos, retain, identifiers, shared);
    }
  }

  /** Whether a message waits for an acknowledgement of any kind under this packet id. */
  isInFlight(packetId: number): boolean {
    return this.#inflight.has(packetId);
  }

  /** The first message that the client was sent on this connection and has not acknowledged in any way. */
  get firstUnacknowledged(): OutgoingMessage | undefined {
    for (const packetId of this.#inflight.keys()) {
      const message = this.#inflight.get(packetId)!;
      if (message.sent && message.publication !== null && !this.#unsent.has(packetId)) return message;
    }
    return undefined;
  }

  /** All messages in flight with this topic and payload are given up: they are not sent again. */
  giveUp(topic: string, payload: Uint8Array): void {
    for (const packetId of this.#inflight.keys()) {
      const { publication } = this.#inflight.get(packetId)!;
      if (publication?.topic !== topic || Buffer.compare(publication.payload(), payload) !== 0) continue;
      this.#complete(packetId);
    }
  }

  /** PUBACK received. @returns false if no message waits for it */
  puback(packetId: number): boolean {
    if (this.#inflight.get(packetId)?.state !== 'awaiting PUBACK') return false;
    this.#complete(packetId);
    return true;
  }

  /**
   * PUBREC received, PUBREL is due; a reason code of 0x80 or more ends the message [MQTT-4.3.3-4].
   * @returns false if no message waits for it
   */
  pubrec(packetId: number, reasonCode: number): boolean {
    const message = this.#inflight.get(packetId);
    if (message === undefined || message.state === 'awaiting PUBACK') {
      this.#storage?.relyOnRemovals(); // the PUBREL that answers may say that it was completed before
      return false;
    }
    if (reasonCode >= 0x80) {
      if (message.state === 'awaiting PUBCOMP') return false; // the client has taken it before
      this.#complete(packetId);
      return true;
    }
    message.state = 'awaiting PUBCOMP';
    message.publication = null; // never sent again [MQTT-4.3.3-6]
    message.entry?.update({ state: 'awaiting PUBCOMP' });
    return true;
  }

  /** PUBCOMP received. @returns false if no message waits for it */
  pubcomp(packetId: number): boolean {
    if (this.#inflight.get(packetId)?.state !== 'awaiting PUBCOMP') return false;
    this.#complete(packetId);
    return true;
  }

  /** The client is (again) connected: what was in flight is sent again in its order, then what waited. */
  attach(peer: Peer, now: number): void {
    assert(this.peer === null, 'a session has one connection at a time');
    this.peer = peer;
    this.#prepareResend();
    this.pump(now);
  }

  /** The connection is gone, the session stays. */
  detach(): void {
    this.peer = null;
    for (const { entry } of this.#inflight.values()) entry?.writeUpdates();
  }

  /**
   * Sends what waits, as far as the window allows and the client takes it; more when it has acknowledged some or
   * taken them from the kernel. @param now milliseconds since the epoch
   */
  pump(now: number): void {
    const { peer } = this;
    if (peer === null) return;
    if (this.#unsent.size > 0) this.#resend(peer);
    for (let next = this.#queue.peek(); next !== undefined && !peer.isBlocked; next = this.#queue.peek()) {
      const publication = next.publication!;
      const expired = publication.expiresAt !== 0 && publication.expiresAt <= now;
      // The rights may have changed since it was queued, by a reload or by the client's coming back as another user.
      const forbidden = !this.#mayRead(publication);
      const { malformed } = next;
      if (!expired && !forbidden && !malformed && next.qos > 0) {
        if (!this.#windowIsOpen(peer, next.bytes)) return;
        if (next.entry !== null && this.#inflight.size >= aheadInFlightMax(peer)) return;
      }
      this.#queue.shift();
      if (forbidden || expired || malformed || next.qos === 0) next.entry?.remove();
      // As in Mosquitto, where a message has its packet id from the time when it is queued.
      if ((forbidden || expired || malformed) && next.qos > 0) this.nextPacketId();
      if (forbidden) continue;
      if (malformed) this.#owner.undeliverable(publication);
      else if (expired) this.#owner.dropped('expired');
      else if (next.qos === 0) this.#sendQos0(peer, publication, next.retain, next.identifiers);
      else this.#sendQueued(peer, publication, next);
    }
  }

  #prepareResend(): void {
    this.#resendNext = 0;
    this.#resendOrder = this.#inflight.size === 0 ? NO_PACKET_IDS : this.#inflight.keys();
    this.#unsent = this.#inflight.size === 0 ? NONE : new NumberMap();
    for (const packetId of this.#resendOrder) this.#unsent.set(packetId, true);
  }

  /**
   * Sends again what was in flight, as far as the window allows: it may be smaller than on the connection before
   * [MQTT-3.3.4-9].
   */
  #resend(peer: Peer): void {
    for (; this.#unsent.size > 0; this.#resendNext += 1) {
      const packetId = this.#resendOrder[this.#resendNext]!;
      if (!this.#unsent.has(packetId)) continue; // acknowledged meanwhile
      if (peer.isBlocked) return;
      const { state, publication, qos, retain, identifiers, sent, malformed } = this.#inflight.get(packetId)!;
      if (state === 'awaiting PUBCOMP') {
        this.#resendPubrel(peer, packetId);
      } else if (publication !== null && sent) {
        if (!this.#mayRead(publication)) {
          this.#complete(packetId);
          continue;
        }
        if (malformed) {
          this.#complete(packetId);
          this.#owner.undeliverable(publication);
          continue;
        }
        if (this.#inflight.size - this.#unsent.size >= peer.sendMaximum) return;
        if (!peer.sendPublish(publication, qos, retain, true, packetId, identifiers)) {
          this.#complete(packetId);
          this.#owner.dropped('too large');
          continue;
        }
      }
      this.#unsent.delete(packetId);
    }
    this.#resendOrder = NO_PACKET_IDS;
  }

  /** If PUBREC came just before the connection was lost, PUBREL waits until that is stored, as it would have there. */
  #resendPubrel(peer: Peer, packetId: number): void {
    const message = this.#inflight.get(packetId)!;
    if (message.entry === null) {
      peer.sendPubrel(packetId);
      return;
    }
    const mark = this.#events.markWithin();
    message.entry.relyOn();
    this.#events.whenSettled(mark, () => {
      if (this.peer === peer && this.#inflight.get(packetId) === message) peer.sendPubrel(packetId);
    });
  }

  /** As `Session.restore`. */
  restore(contents: StoredContents, lastPacketId: number, mayHaveSent: boolean): void {
    assert(this.#inflight.size === 0, 'a session is restored before anything is sent');
    this.#lastPacketId = lastPacketId;
    for (const entry of contents.inFlight) {
      const message = OutgoingMessage.fromEntry(entry);
      assert(message.state !== 'queued', 'a message in flight was sent');
      message.sent = true;
      message.dup = true;
      this.#putInflight(entry.packetId, message);
    }
    this.#queue.restore(contents, mayHaveSent);
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

  // ----------------------------------------------------------------- private

  #mayRead({ topic }: Publication): boolean {
    const { rights } = this.#owner;
    return rights === null || rights.canRead(topic);
  }

  #windowIsOpen(peer: Peer, bytes: number): boolean {
    if (this.#inflight.size >= peer.sendMaximum || this.#unsent.size > 0) return false;
    if (this.#owner.restraint !== 'none' && peer.isBlocked) return false;
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
    if (!sent) this.#owner.dropped('too large');
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
    const waits = this.#waitsForStore(qos);
    if (!waits && !peer.sendPublish(publication, qos, retain, false, packetId, identifiers)) {
      this.#owner.dropped('too large');
      return;
    }
    const mark = waits && qos === 2 ? this.#events.markWithin() : 0;
    const storage = this.#storage;
    const state = qos === 1 ? 'awaiting PUBACK' : 'awaiting PUBREC';
    const isSentAgain = waits || this.#owner.outlivesConnection || shared !== null;
    const message = new OutgoingMessage(
      isSentAgain ? publication.toOwned() : null,
      publication.payloadLength,
      qos,
      retain,
      identifiers,
      shared,
      null,
    );
    message.state = state;
    message.sent = !waits;
    if (storage !== null) {
      const subscriptionIds = identifiers ?? NO_IDENTIFIERS;
      const delivery = { state, packetId, qos, retain, dup: false, subscriptionIds } as const;
      // A QoS 2 message is not sent, and so not acknowledged, before it is stored.
      message.entry = storage.append(publication, delivery, qos === 1 ? 'passing' : 'waiting');
    }
    this.#putInflight(packetId, message);
    if (waits) this.#sendWhenStored(packetId, message, mark);
  }

  /** The message has waited, and it is its turn. */
  #sendQueued(peer: Peer, publication: Publication, message: OutgoingMessage): void {
    const packetId = this.nextPacketId();
    const { qos, retain, identifiers, entry, dup } = message;
    const waits = this.#waitsForStore(qos);
    if (!waits && !peer.sendPublish(publication, qos, retain, dup, packetId, identifiers)) {
      entry?.remove();
      this.#owner.dropped('too large');
      return;
    }
    const mark = waits && qos === 2 ? this.#events.markWithin() : 0;
    message.state = qos === 1 ? 'awaiting PUBACK' : 'awaiting PUBREC';
    message.sent = !waits;
    // A stored session that ends with this connection still needs what is not sent yet.
    if (!waits && !this.#owner.outlivesConnection && message.shared === null) message.publication = null;
    // Most are acknowledged at once. After a kill those that are not are sent once more, marked as duplicates.
    if (qos === 1) entry?.updateLater(message.state, packetId);
    else entry?.update({ state: message.state, packetId });
    this.#putInflight(packetId, message);
    if (waits) this.#sendWhenStored(packetId, message, mark);
  }

  /**
   * A QoS 2 message leaves when it is stored. Sent before that, it could come again under another packet id after
   * a crash: its publisher has no PUBCOMP yet and releases it once more. A QoS 1 message does not overtake it.
   */
  #waitsForStore(qos: Qos): boolean {
    return this.#storage !== null && (qos === 2 || this.#awaitingStore.length > 0);
  }

  #sendWhenStored(packetId: number, message: OutgoingMessage, mark: number): void {
    const unsent = { packetId, message, isReady: message.qos === 1 };
    this.#awaitingStore.push(unsent);
    if (unsent.isReady) return;
    this.#events.whenSettled(mark, () => {
      unsent.isReady = true;
      this.#sendStored();
    });
  }

  /** In their order, whatever was stored first [MQTT-4.6.0-6]. */
  #sendStored(): void {
    const inFlight = this.#inflight.size;
    for (let next = this.#awaitingStore.peek(); next?.isReady; next = this.#awaitingStore.peek()) {
      this.#awaitingStore.shift();
      const { packetId, message } = next;
      const { publication, qos, retain, dup, identifiers } = message;
      if (this.#inflight.get(packetId) !== message || publication === null) continue;
      message.sent = true;
      if (!this.#mayRead(publication)) {
        this.#complete(packetId);
        continue;
      }
      const { peer } = this;
      if (peer === null || peer.sendPublish(publication, qos, retain, dup, packetId, identifiers)) continue;
      this.#complete(packetId);
      this.#owner.dropped('too large');
    }
    if (this.#inflight.size < inFlight) this.pump(this.#events.now); // not sent: others can go
  }

  #putInflight(packetId: number, message: OutgoingMessage): void {
    if (this.#inflight === NONE) this.#inflight = new NumberMap();
    this.#inflightBytes += message.bytes;
    this.#inflight.set(packetId, message);
  }

  #complete(packetId: number): void {
    const message = this.#inflight.get(packetId);
    assert(message !== undefined, 'only a message in flight is completed');
    this.#inflightBytes -= message.bytes;
    this.#inflight.delete(packetId);
    this.#events.changed();
    if (this.#unsent.size > 0) this.#unsent.delete(packetId);
    message.entry?.remove();
  }

  /** Packet ids begin anew, if none is in use. @returns whether they do */
  restartPacketIds(): boolean {
    if (this.#inflight.size > 0) return false;
    this.#lastPacketId = 0;
    return true;
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
    if (!this.#queueHasRoom(publication.payloadLength)) {
      this.#owner.dropped('queue full');
      return;
    }
    if (this.#owner.restraint !== 'none') {
      this.#owner.dropped('memory');
      return;
    }
    this.#events.changed();
    this.#queue.push(publication, qos, retain, identifiers, shared);
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
    if (maxQueuedMessages > 0 && this.#queue.countedMessages >= messagesMax) return false;
    return maxQueuedBytes === 0 || this.#queue.bytes + bytes <= maxQueuedBytes;
  }
}

function aheadInFlightMax({ sendMaximum }: Peer): number {
  return sendMaximum === PACKET_ID_MAX ? AHEAD_IN_FLIGHT_UNLIMITED : AHEAD_IN_FLIGHT_MAX;
}

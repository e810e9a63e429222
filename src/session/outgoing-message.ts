/** A message for the client that waits, or is in flight: one object from the queue to its last acknowledgement. */
import type { Qos } from '../mqtt/packets.js';
import { hasPlainTexts } from '../mqtt/plain-texts.js';
import type { Publication } from '../mqtt/publication.js';
import type { StoredDelivery } from './session-storage.js';
import type { Subscription } from './subscription.js';

export type OutboundState = 'queued' | 'awaiting PUBACK' | 'awaiting PUBREC' | 'awaiting PUBCOMP';

export class OutgoingMessage {
  state: OutboundState = 'queued';
  readonly qos: Qos;
  readonly retain: boolean;
  /** `null` if it is never sent again: after PUBREC, or because the session ends with its connection. */
  publication: Publication | null;
  /** Payload bytes. */
  readonly bytes: number;
  readonly identifiers: readonly number[] | null;
  /** It came through this shared subscription, so another member can have it. */
  readonly shared: Subscription | null;
  /** Where it is stored, for a session that outlives its connection. */
  entry: StoredDelivery | null;
  /** False while it waits to be stored before it is sent for the first time. */
  sent = false;
  /** It may have been sent before the broker was killed. */
  dup = false;
  /** It was stored with a text that no client takes. */
  malformed = false;

  constructor(
    publication: Publication | null,
    bytes: number,
    qos: Qos,
    retain: boolean,
    identifiers: readonly number[] | null,
    shared: Subscription | null,
    entry: StoredDelivery | null,
  ) {
    this.qos = qos;
    this.retain = retain;
    this.publication = publication;
    this.bytes = bytes;
    this.identifiers = identifiers;
    this.shared = shared;
    this.entry = entry;
  }

  /** As it is stored. A shared group's message is this session's from then on. */
  static fromEntry(entry: StoredDelivery): OutgoingMessage {
    const { state, qos, retain, subscriptionIds, payloadBytes } = entry;
    const publication = state === 'awaiting PUBCOMP' ? null : entry.publication;
    const identifiers = subscriptionIds.length === 0 ? null : subscriptionIds;
    const message = new OutgoingMessage(publication, payloadBytes, qos, retain, identifiers, null, entry);
    message.state = state as OutboundState;
    message.malformed = publication !== null && !hasPlainTexts(publication);
    return message;
  }
}

/**
 * Writes a PUBLISH into a connection's outgoing buffer (hot path). Where the packet came in with the same layout
 * it goes out as it is, with its first byte and packet id patched; otherwise it is laid out anew.
 */
import { copyBytes } from '../base/copy-bytes.js';
import type { OutgoingBuffer } from './outgoing-buffer.js';
import type { ProtocolVersion, Qos } from './packets.js';
import { PropertyId } from './property-ids.js';
import type { Publication } from './publication.js';
import { varintLength, writeVarint } from './varint.js';

/** How a message is delivered to one subscriber; one object a connection, reused. */
export interface Delivery {
  version: ProtocolVersion;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  packetId: number;
  /** 0 = no alias. */
  topicAlias: number;
  /** False if the alias alone names the topic [MQTT-3.3.2-6]. */
  withTopic: boolean;
  /** `null` = none. */
  subscriptionIdentifiers: readonly number[] | null;
  /** Milliseconds since the epoch. */
  now: number;
}

/** A connection's own, before its first message. */
export function newDelivery(version: ProtocolVersion): Delivery {
  return {
    version,
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    topicAlias: 0,
    withTopic: true,
    subscriptionIdentifiers: null,
    now: 0,
  };
}

/**
 * @param packetSizeMax bytes of the largest packet the peer takes [MQTT-3.1.2-24]
 * @returns false if the packet would be larger; nothing is written then
 */
export function writePublish(
  out: OutgoingBuffer,
  publication: Publication,
  delivery: Delivery,
  packetSizeMax: number,
): boolean {
  if (canPassOn(publication, delivery)) {
    const length = publication.frameEnd - publication.frameStart;
    if (length > packetSizeMax) return false;
    const at = out.reserve(length);
    const chunk = out.chunk!;
    copyBytes(publication.buffer, publication.frameStart, publication.frameEnd, chunk, at);
    chunk[at] = firstByte(delivery);
    if (delivery.qos !== 0) {
      const idAt = at + publication.topicEnd - publication.frameStart;
      chunk[idAt] = delivery.packetId >> 8;
      chunk[idAt + 1] = delivery.packetId & 0xff;
    }
    return true;
  }
  return writeAnew(out, publication, delivery, packetSizeMax);
}

function firstByte(delivery: Delivery): number {
  return 0x30 | (delivery.qos << 1) | (delivery.dup ? 8 : 0) | (delivery.retain ? 1 : 0);
}

function canPassOn(publication: Publication, delivery: Delivery): boolean {
  if (publication.frameStart < 0) return false;
  if ((publication.qos === 0) !== (delivery.qos === 0)) return false;
  if (delivery.version !== 5) return publication.version !== 5;
  return (
    publication.version === 5 &&
    publication.expiresAt === 0 &&
    delivery.topicAlias === 0 &&
    delivery.subscriptionIdentifiers === null
  );
}

function writeAnew(
  out: OutgoingBuffer,
  publication: Publication,
  delivery: Delivery,
  packetSizeMax: number,
): boolean {
  const v5 = delivery.version === 5;
  const topicLength = delivery.withTopic ? publication.topicEnd - publication.topicStart : 0;
  const properties = v5 ? propertiesLength(publication, delivery) : 0;
  const body =
    2 +
    topicLength +
    (delivery.qos === 0 ? 0 : 2) +
    (v5 ? varintLength(properties) + properties : 0) +
    publication.payloadEnd -
    publication.payloadStart;
  const total = 1 + varintLength(body) + body;
  if (total > packetSizeMax) return false;
  let at = out.reserve(total);
  const chunk = out.chunk!;
  chunk[at++] = firstByte(delivery);
  at = writeVarint(chunk, at, body);
  chunk[at++] = topicLength >> 8;
  chunk[at++] = topicLength & 0xff;
  if (topicLength > 0) {
    copyBytes(publication.buffer, publication.topicStart, publication.topicEnd, chunk, at);
    at += topicLength;
  }
  if (delivery.qos !== 0) {
    chunk[at++] = delivery.packetId >> 8;
    chunk[at++] = delivery.packetId & 0xff;
  }
  if (v5) {
    at = writeVarint(chunk, at, properties);
    if (properties > 0) at = writeProperties(chunk, at, publication, delivery);
  }
  copyBytes(publication.buffer, publication.payloadStart, publication.payloadEnd, chunk, at);
  return true;
}

function propertiesLength(publication: Publication, delivery: Delivery): number {
  let length = publication.propertiesEnd - publication.propertiesStart;
  if (publication.expiresAt !== 0) length += 5;
  if (delivery.topicAlias !== 0) length += 3;
  if (delivery.subscriptionIdentifiers !== null) {
    for (const id of delivery.subscriptionIdentifiers) length += 1 + varintLength(id);
  }
  return length;
}

/** The publisher's properties in their order, then the broker's, in the order of Mosquitto 2.1. */
function writeProperties(chunk: Buffer, at: number, publication: Publication, delivery: Delivery): number {
  const { properties, propertiesStart, propertiesEnd } = publication;
  copyBytes(properties, propertiesStart, propertiesEnd, chunk, at);
  at += propertiesEnd - propertiesStart;
  if (publication.expiresAt !== 0) {
    chunk[at] = PropertyId.messageExpiryInterval;
    at = chunk.writeUInt32BE(remainingSeconds(publication.expiresAt, delivery.now), at + 1);
  }
  if (delivery.topicAlias !== 0) {
    chunk[at] = PropertyId.topicAlias;
    at = chunk.writeUInt16BE(delivery.topicAlias, at + 1);
  }
  if (delivery.subscriptionIdentifiers !== null) {
    for (const id of delivery.subscriptionIdentifiers) {
      chunk[at] = PropertyId.subscriptionIdentifier;
      at = writeVarint(chunk, at + 1, id);
    }
  }
  return at;
}

/** What is left of a message's life, rounded up so that it is never sent as already over [MQTT-3.3.2-6]. */
function remainingSeconds(expiresAt: number, now: number): number {
  return Math.min(0xffffffff, Math.max(1, Math.ceil((expiresAt - now) / 1000)));
}

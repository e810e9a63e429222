/**
 * A message on its way through the broker: where its topic, properties and payload lie in a buffer.
 *
 * The hot path reads every incoming PUBLISH into one and the same object, without copying a byte. A message that
 * outlives the read buffer (in a queue, as a retained message, with QoS 2 before its PUBREL) is an owned copy, made by
 * `toOwned()` or `toSlab()`. Both have one shape, and everything that sends a message takes a `Publication`.
 */
import { copyBytes } from '../base/copy-bytes.js';
import { isPlainUtf8 } from '../base/utf8.js';
import type { StoredMessage } from '../model/message.js';
import type { ProtocolVersion, Qos } from './packets.js';
import { PropertyId } from './property-ids.js';
import { ReasonCode } from './reason-codes.js';
import { varintLength } from './varint.js';

/** `topicAlias` of a PUBLISH that has none. */
export const NO_ALIAS = -1;

const EMPTY = new Uint8Array(0);

/** A QoS 2 message that may come a second time, because a crash interrupted its way between two workers. */
export interface Once {
  /** Its name as long as it is stored. */
  readonly messageId: string;
  /** Another worker stores it until it is released, so that who gets it here has to be stored, too. */
  readonly isElsewhere: boolean;
}

/** Bytes shared by copies for a short time. */
const SLAB_BYTES = 16 * 1024;
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabUsed = 0;

export class Publication {
  buffer: Uint8Array = EMPTY;
  /** The whole packet in `buffer` as it came, if it can be sent on as it is; else -1. */
  frameStart = -1;
  frameEnd = -1;
  /** The protocol version in which that packet is encoded. */
  version: ProtocolVersion = 4;
  qos: Qos = 0;
  retain = false;
  dup = false;
  packetId = 0;
  topicStart = 0;
  topicEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /**
   * The encoded MQTT 5.0 properties that are forwarded untouched: everything but topic alias, message expiry
   * interval and subscription identifiers, without their length field.
   */
  properties: Uint8Array = EMPTY;
  propertiesStart = 0;
  propertiesEnd = 0;
  topicAlias = NO_ALIAS;
  /** The payload is said to be UTF-8 text [MQTT 5.0, 3.3.2.3.2]; only of a packet just read. */
  payloadIsText = false;
  /** Milliseconds since the epoch at which the message ends; 0 = never. */
  expiresAt = 0;
  /** The topic as text; set by whoever resolved it, '' until then. */
  topic = '';
  /** Where the broker got it: the publisher's client id, '' for the broker itself. */
  origin = '';
  /** The publisher's user name, '' for none. */
  originUsername = '';
  /** The listener that the publisher came through, as it is stored; '' = not known, or none. */
  originListener = '';
  /** What the store made of it, shared by all queues that hold it; the store's own. */
  record: object | null = null;
  /** For a QoS 2 message that may come a second time; `null` for all others. */
  once: Once | null = null;
  /** The copy made by `toOwned()`: a message that several queues hold is copied once. */
  #owned: Publication | null = null;

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }

  /** An owned copy: the same message in a buffer of its own; the same copy at each call. */
  toOwned(): Publication {
    this.#owned ??= this.#copyTo(Buffer.allocUnsafeSlow(this.#length), 0);
    return this.#owned;
  }

  /**
   * A copy for a short time, as until PUBREL: it lies in a slab that it shares with others, and so costs no buffer of
   * its own. A message that stays longer takes `toOwned()`: its copy would hold the whole slab.
   */
  toSlab(): Publication {
    if (this.#owned !== null) return this.#owned;
    const length = this.#length;
    if (length > SLAB_BYTES / 8) return this.toOwned();
    if (slabUsed + length > SLAB_BYTES) {
      slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      slabUsed = 0;
    }
    const copy = this.#copyTo(slab, slabUsed);
    copy.#owned = null;
    slabUsed += length;
    return copy;
  }

  /** Bytes of topic, properties and payload. */
  get #length(): number {
    return (
      this.topicEnd -
      this.topicStart +
      this.propertiesEnd -
      this.propertiesStart +
      this.payloadEnd -
      this.payloadStart
    );
  }

  /** Puts another topic before the payload, in a new buffer. */
  replaceTopic(topic: Uint8Array): void {
    this.buffer = Buffer.concat([topic, this.payload()]);
    this.frameStart = -1;
    this.topicStart = 0;
    this.topicEnd = topic.length;
    this.payloadStart = topic.length;
    this.payloadEnd = this.buffer.length;
  }

  /** This object is about to describe another message: nothing of the one before is left. */
  reset(): void {
    this.buffer = EMPTY;
    this.frameStart = -1;
    this.frameEnd = -1;
    this.version = 4;
    this.qos = 0;
    this.retain = false;
    this.dup = false;
    this.packetId = 0;
    this.topicStart = 0;
    this.topicEnd = 0;
    this.payloadStart = 0;
    this.payloadEnd = 0;
    this.properties = EMPTY;
    this.propertiesStart = 0;
    this.propertiesEnd = 0;
    this.topicAlias = NO_ALIAS;
    this.payloadIsText = false;
    this.expiresAt = 0;
    this.topic = '';
    this.origin = '';
    this.originUsername = '';
    this.originListener = '';
    this.record = null;
    this.once = null;
    this.#owned = null;
  }

  /** This object is about to describe a message whose parts lie in `buffer`, though not as a packet. */
  pointAt(buffer: Uint8Array): void {
    this.reset();
    this.buffer = buffer;
    this.properties = buffer;
    this.version = 5;
  }

  /** Says that nobody else uses its bytes: this is an owned copy already. */
  asOwned(): this {
    this.#owned = this;
    return this;
  }

  #copyTo(buffer: Uint8Array, at: number): Publication {
    const topicEnd = at + this.topicEnd - this.topicStart;
    const propertiesEnd = topicEnd + this.propertiesEnd - this.propertiesStart;
    copyBytes(this.buffer, this.topicStart, this.topicEnd, buffer, at);
    copyBytes(this.properties, this.propertiesStart, this.propertiesEnd, buffer, topicEnd);
    copyBytes(this.buffer, this.payloadStart, this.payloadEnd, buffer, propertiesEnd);
    const copy = new Publication();
    copy.buffer = buffer;
    copy.version = this.version;
    copy.qos = this.qos;
    copy.retain = this.retain;
    copy.packetId = this.packetId;
    copy.topicStart = at;
    copy.topicEnd = topicEnd;
    copy.properties = buffer;
    copy.propertiesStart = topicEnd;
    copy.propertiesEnd = propertiesEnd;
    copy.payloadStart = propertiesEnd;
    copy.payloadEnd = propertiesEnd + this.payloadEnd - this.payloadStart;
    copy.expiresAt = this.expiresAt;
    copy.topic = this.topic;
    copy.origin = this.origin;
    copy.originUsername = this.originUsername;
    copy.originListener = this.originListener;
    return copy.asOwned();
  }

  /** A message that the broker makes itself. `properties` are encoded, without their length. */
  static create(fields: {
    topic: string;
    payload: Uint8Array;
    qos: Qos;
    retain: boolean;
    properties?: Uint8Array;
    expiresAt?: number;
    origin?: string;
    originUsername?: string;
    originListener?: string;
  }): Publication {
    const topic = Buffer.from(fields.topic);
    const properties = fields.properties ?? EMPTY;
    const publication = new Publication();
    publication.pointAt(Buffer.concat([topic, properties, fields.payload]));
    publication.qos = fields.qos;
    publication.retain = fields.retain;
    publication.topicEnd = topic.length;
    publication.propertiesStart = topic.length;
    publication.propertiesEnd = topic.length + properties.length;
    publication.payloadStart = publication.propertiesEnd;
    publication.payloadEnd = publication.buffer.length;
    publication.topic = fields.topic;
    publication.expiresAt = fields.expiresAt ?? 0;
    publication.origin = fields.origin ?? '';
    publication.originUsername = fields.originUsername ?? '';
    publication.originListener = fields.originListener ?? '';
    return publication.asOwned();
  }

  /** A message as it was stored. */
  static fromStored(message: StoredMessage): Publication {
    const { originClientId: origin, ...fields } = message;
    return Publication.create({ ...fields, origin });
  }

  /** The message as it is stored. Its bytes are views of this one's: only for an owned copy. */
  toStored(): StoredMessage {
    const { topic, qos, retain, expiresAt, properties, propertiesStart, propertiesEnd } = this;
    return {
      topic,
      payload: this.payload(),
      qos,
      retain,
      properties: properties.subarray(propertiesStart, propertiesEnd),
      expiresAt,
      originClientId: this.origin,
      originUsername: this.originUsername,
      originListener: this.originListener,
    };
  }

  /** The payload as a view, not a copy. */
  payload(): Uint8Array {
    return this.buffer.subarray(this.payloadStart, this.payloadEnd);
  }
}

/**
 * Reads a PUBLISH packet by offset into `into`. The topic's characters are not looked at here: whoever resolves
 * the topic checks them once and remembers.
 *
 * @param now milliseconds since the epoch, for the message expiry interval
 * @returns 0, or the reason code with which the connection is to be closed
 */
export function readPublish(
  into: Publication,
  buffer: Uint8Array,
  start: number,
  bodyStart: number,
  end: number,
  version: ProtocolVersion,
  now: number,
): number {
  const first = buffer[start]!;
  const qos = (first >> 1) & 3;
  // QoS 3 [MQTT-3.3.1-4], DUP with QoS 0 [MQTT-3.3.1-2].
  if (qos === 3 || (qos === 0 && (first & 0x08) !== 0)) return ReasonCode.malformedPacket;
  const topicStart = bodyStart + 2;
  if (topicStart > end) return ReasonCode.malformedPacket;
  const topicEnd = topicStart + ((buffer[bodyStart]! << 8) | buffer[bodyStart + 1]!);
  let position = topicEnd;
  let packetId = 0;
  if (qos !== 0) {
    position += 2;
    if (position > end) return ReasonCode.malformedPacket;
    packetId = (buffer[topicEnd]! << 8) | buffer[topicEnd + 1]!;
    if (packetId === 0) return ReasonCode.protocolError; // [MQTT-2.2.1-3]
  }
  into.reset();
  into.buffer = buffer;
  // A remaining length in more bytes than needed is taken, as Mosquitto does, but not passed on [MQTT-1.5.5-1].
  into.frameStart = bodyStart - start - 1 === varintLength(end - bodyStart) ? start : -1;
  into.frameEnd = end;
  into.version = version;
  into.qos = qos as Qos;
  into.retain = (first & 1) !== 0;
  into.dup = (first & 0x08) !== 0;
  into.packetId = packetId;
  into.topicStart = topicStart;
  into.topicEnd = topicEnd;
  if (version === 5) {
    if (position >= end) return ReasonCode.malformedPacket;
    if (buffer[position] === 0) {
      position += 1;
    } else {
      const reason = readPublishProperties(into, position, end, now);
      if (reason !== 0) return reason;
      position = publishPropertiesEnd(buffer, position);
    }
  }
  if (position > end) return ReasonCode.malformedPacket;
  into.payloadStart = position;
  into.payloadEnd = end;
  return 0;
}

/** Where the property block that begins with its length at `position` ends. */
function publishPropertiesEnd(buffer: Uint8Array, position: number): number {
  let length = 0;
  let shift = 0;
  for (;;) {
    const byte = buffer[position]!;
    position += 1;
    length += (byte & 0x7f) << shift;
    if (byte < 0x80) return position + length;
    shift += 7;
  }
}

/** Walks the property block, checks it, and finds what is to be forwarded. */
function readPublishProperties(into: Publication, position: number, end: number, now: number): number {
  const { buffer } = into;
  let length = 0;
  for (let shift = 0; ; shift += 7) {
    if (shift > 21 || position >= end) return ReasonCode.malformedPacket;
    const byte = buffer[position]!;
    position += 1;
    length += (byte & 0x7f) << shift;
    if (byte === 0 && shift > 0) return ReasonCode.malformedPacket; // more bytes than needed [MQTT-1.5.5-1]
    if (byte < 0x80) break;
  }
  const start = position;
  const stop = start + length;
  if (stop > end) return ReasonCode.malformedPacket;
  let seen = 0;
  let aliasAt = -1;
  let expiryAt = -1;
  while (position < stop) {
    const id = buffer[position]!;
    const at = position;
    position += 1;
    if (id !== PropertyId.userProperty) {
      // Each of the others at most once. (0x23 and 0x03 differ only above the lower five bits.)
      const bit = 1 << (id === PropertyId.topicAlias ? 31 : id & 31);
      const repeated = (seen & bit) !== 0;
      seen |= bit;
      if (repeated) return ReasonCode.protocolError;
    }
    switch (id) {
      case PropertyId.payloadFormatIndicator:
        if (position + 1 > stop) return ReasonCode.malformedPacket;
        if (buffer[position]! > 1) return ReasonCode.protocolError;
        into.payloadIsText = buffer[position] === 1;
        position += 1;
        break;
      case PropertyId.messageExpiryInterval:
        if (position + 4 > stop) return ReasonCode.malformedPacket;
        expiryAt = at;
        into.expiresAt = expiryOf(readUint32(buffer, position), now);
        position += 4;
        break;
      case PropertyId.topicAlias:
        if (position + 2 > stop) return ReasonCode.malformedPacket;
        aliasAt = at;
        into.topicAlias = (buffer[position]! << 8) | buffer[position + 1]!;
        position += 2;
        break;
      case PropertyId.contentType:
      case PropertyId.responseTopic:
      case PropertyId.correlationData: {
        const valueEnd = stringEnd(buffer, position, stop);
        if (valueEnd < 0) return ReasonCode.malformedPacket;
        const reason = checkValue(id, buffer, position + 2, valueEnd);
        if (reason !== 0) return reason;
        position = valueEnd;
        break;
      }
      case PropertyId.userProperty: {
        const nameEnd = stringEnd(buffer, position, stop);
        const valueEnd = nameEnd < 0 ? -1 : stringEnd(buffer, nameEnd, stop);
        if (valueEnd < 0) return ReasonCode.malformedPacket;
        if (!isPlainUtf8(buffer, position + 2, nameEnd)) return ReasonCode.malformedPacket;
        if (!isPlainUtf8(buffer, nameEnd + 2, valueEnd)) return ReasonCode.malformedPacket;
        position = valueEnd;
        break;
      }
      case PropertyId.subscriptionIdentifier:
        return ReasonCode.protocolError; // from a client [MQTT-3.3.4-6]
      default:
        return ReasonCode.malformedPacket; // no property of PUBLISH [MQTT 5.0, 2.2.2.2]
    }
  }
  if (position !== stop) return ReasonCode.malformedPacket;
  if (aliasAt < 0 && expiryAt < 0) {
    into.properties = buffer;
    into.propertiesStart = start;
    into.propertiesEnd = stop;
    return 0;
  }
  // The packet names an alias of this connection, or seconds that run down: it cannot be sent on as it is.
  into.frameStart = -1;
  into.properties = without(buffer, start, stop, aliasAt, expiryAt);
  into.propertiesStart = 0;
  into.propertiesEnd = into.properties.length;
  return 0;
}

function checkValue(id: number, buffer: Uint8Array, start: number, end: number): number {
  if (id === PropertyId.correlationData) return 0;
  if (!isPlainUtf8(buffer, start, end)) return ReasonCode.malformedPacket;
  if (id === PropertyId.responseTopic) {
    if (start === end) return ReasonCode.protocolError;
    for (let i = start; i < end; i += 1) {
      // '+' or '#' in a response topic [MQTT-3.3.2-14]
      if (buffer[i] === 0x2b || buffer[i] === 0x23) return ReasonCode.protocolError;
    }
  }
  return 0;
}

/** The end of a two-byte length and that many bytes, or -1 if they do not fit. */
function stringEnd(buffer: Uint8Array, position: number, stop: number): number {
  if (position + 2 > stop) return -1;
  const end = position + 2 + ((buffer[position]! << 8) | buffer[position + 1]!);
  return end > stop ? -1 : end;
}

/** An interval of 0 is none, as for Mosquitto: a message that is over at once would be of no use. */
function expiryOf(seconds: number, now: number): number {
  return seconds === 0 ? 0 : now + seconds * 1000;
}

function readUint32(buffer: Uint8Array, at: number): number {
  return buffer[at]! * 0x1000000 + ((buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!);
}

/** The properties without the topic alias (3 bytes) and the message expiry interval (5 bytes). */
function without(
  buffer: Uint8Array,
  start: number,
  stop: number,
  aliasAt: number,
  expiryAt: number,
): Uint8Array {
  const left = new Uint8Array(stop - start - (aliasAt < 0 ? 0 : 3) - (expiryAt < 0 ? 0 : 5));
  let to = 0;
  let from = start;
  while (from < stop) {
    if (from === aliasAt) from += 3;
    else if (from === expiryAt) from += 5;
    else left[to++] = buffer[from++]!;
  }
  return left;
}

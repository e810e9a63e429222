/**
 * The MQTT 5.0 property blocks in a `mosquitto.db`. The broker sends these bytes to clients unchanged, so the
 * functions here read strictly and return `undefined` for a block that is not well formed.
 */
import { isValidUtf8 } from '../base/utf8.js';
import { PropertyId } from '../mqtt/property-ids.js';
import { varintLength, writeVarint } from '../mqtt/varint.js';

/**
 * @param block the properties of a message with their length field, or nothing at all
 * @returns the properties without their length field
 */
export function readMessageProperties(block: Uint8Array): Uint8Array | undefined {
  const properties = withoutLength(block);
  if (properties === undefined) return undefined;
  let position = 0;
  while (position >= 0 && position < properties.length) position = messagePropertyEnd(properties, position);
  return position === properties.length ? properties : undefined;
}

/** A property of a message, for people: under its name in MQTT 5.0. */
export interface ShownProperty {
  name: string;
  /** Correlation data as hexadecimal digits, a user property as its two texts. */
  value: number | string | readonly [string, string];
}

/** @returns the properties in their order; none if they are not well formed */
export function showMessageProperties(block: Uint8Array): ShownProperty[] {
  const bytes = readMessageProperties(block) ?? new Uint8Array(0);
  const shown: ShownProperty[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = messagePropertyEnd(bytes, at);
    shown.push(showProperty(Buffer.from(bytes.subarray(at, end))));
    at = end;
  }
  return shown;
}

/** @param property its identifier and its value, well formed */
function showProperty(property: Buffer): ShownProperty {
  const text = property.toString('utf8', 3);
  switch (property[0]) {
    case PropertyId.payloadFormatIndicator:
      return { name: 'payload-format-indicator', value: property[1]! };
    case PropertyId.contentType:
      return { name: 'content-type', value: text };
    case PropertyId.responseTopic:
      return { name: 'response-topic', value: text };
    case PropertyId.correlationData:
      return { name: 'correlation-data', value: property.toString('hex', 3) };
    default: {
      const nameEnd = 3 + property.readUInt16BE(1);
      const value = [property.toString('utf8', 3, nameEnd), property.toString('utf8', nameEnd + 2)] as const;
      return { name: 'user-property', value };
    }
  }
}

/** @returns the subscription identifiers of a client's message; empty if there are none */
export function readSubscriptionIds(block: Uint8Array): number[] | undefined {
  const properties = withoutLength(block);
  if (properties === undefined) return undefined;
  const ids: number[] = [];
  let position = 0;
  while (position < properties.length) {
    if (properties[position] !== PropertyId.subscriptionIdentifier) return undefined;
    const id = readVarint(properties, position + 1);
    if (id === undefined || id.value === 0) return undefined;
    ids.push(id.value);
    position = id.end;
  }
  return ids;
}

/** A property block with its length field; empty if there is no property. */
export function withLength(properties: Uint8Array): Uint8Array {
  if (properties.length === 0) return properties;
  return Buffer.concat([varint(properties.length), properties]);
}

/** The block that holds these subscription identifiers; empty if there are none. */
export function subscriptionIdBlock(ids: readonly number[]): Uint8Array {
  return withLength(
    Buffer.concat(ids.map((id) => Buffer.from([PropertyId.subscriptionIdentifier, ...varint(id)]))),
  );
}

function withoutLength(block: Uint8Array): Uint8Array | undefined {
  if (block.length === 0) return block;
  const length = readVarint(block, 0);
  if (length === undefined || length.end + length.value !== block.length) return undefined;
  return block.subarray(length.end);
}

/** The end of the property at `position`; -1 if a PUBLISH cannot have it, or if it is cut off. */
function messagePropertyEnd(bytes: Uint8Array, position: number): number {
  const value = position + 1;
  switch (bytes[position]) {
    case PropertyId.payloadFormatIndicator:
      return bytes[value] === 0 || bytes[value] === 1 ? value + 1 : -1;
    case PropertyId.contentType:
    case PropertyId.responseTopic:
      return textEnd(bytes, value);
    case PropertyId.correlationData:
      return binaryEnd(bytes, value);
    case PropertyId.userProperty: {
      const nameEnd = textEnd(bytes, value);
      return nameEnd < 0 ? -1 : textEnd(bytes, nameEnd);
    }
    default:
      return -1;
  }
}

function binaryEnd(bytes: Uint8Array, position: number): number {
  if (position + 2 > bytes.length) return -1;
  const end = position + 2 + ((bytes[position]! << 8) | bytes[position + 1]!);
  return end > bytes.length ? -1 : end;
}

function textEnd(bytes: Uint8Array, position: number): number {
  const end = binaryEnd(bytes, position);
  return end < 0 || !isValidUtf8(bytes, position + 2, end) ? -1 : end;
}

function readVarint(bytes: Uint8Array, position: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let shift = 0; shift <= 21; shift += 7) {
    const byte = bytes[position];
    if (byte === undefined) return undefined;
    position += 1;
    value += (byte & 0x7f) << shift;
    if (byte < 0x80) return { value, end: position };
  }
  return undefined;
}

function varint(value: number): Buffer {
  const bytes = Buffer.alloc(varintLength(value));
  writeVarint(bytes, 0, value);
  return bytes;
}

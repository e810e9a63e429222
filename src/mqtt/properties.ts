/**
 * The properties of MQTT 5.0 [MQTT 5.0, 2.2.2]: one table, and the reading and writing that follow from it.
 */
import { PacketError } from './packet-error.js';
import type { PacketReader } from './packet-reader.js';
import type { Properties, PropertyName, UserProperty } from './packets.js';
import { PropertyId } from './property-ids.js';
import { ReasonCode } from './reason-codes.js';
import { varintLength, writeVarint } from './varint.js';

/** What carries properties: a packet type, or the will inside CONNECT. */
export type PropertyHolder =
  | 'connect'
  | 'connack'
  | 'publish'
  | 'will'
  | 'puback'
  | 'pubrec'
  | 'pubrel'
  | 'pubcomp'
  | 'subscribe'
  | 'suback'
  | 'unsubscribe'
  | 'unsuback'
  | 'disconnect'
  | 'auth';

type WireType = 'byte' | 'uint16' | 'uint32' | 'varint' | 'text' | 'binary' | 'pair';

export interface PropertyRule {
  id: number;
  key: PropertyName;
  /** As logs and the `-D` option of the command-line clients have it. */
  name: string;
  type: WireType;
  holders: readonly PropertyHolder[];
  /** Where it may stand more than once. */
  repeatable?: readonly PropertyHolder[];
  min?: number;
  max?: number;
  /** The reason code of a value outside min and max; protocol error if not given. */
  outOfRange?: number;
}

const acknowledgements = ['puback', 'pubrec', 'pubrel', 'pubcomp', 'suback', 'unsuback'] as const;
const everywhere: readonly PropertyHolder[] = [
  'connect',
  'connack',
  'publish',
  'will',
  ...acknowledgements,
  'subscribe',
  'unsubscribe',
  'disconnect',
  'auth',
];

/** All properties. */
// biome-ignore format: one property a line
export const PROPERTY_RULES: readonly PropertyRule[] = [
  { id: PropertyId.payloadFormatIndicator, key: 'payloadFormatIndicator', name: 'payload-format-indicator', type: 'byte', holders: ['publish', 'will'], max: 1 },
  { id: PropertyId.messageExpiryInterval, key: 'messageExpiryInterval', name: 'message-expiry-interval', type: 'uint32', holders: ['publish', 'will'] },
  { id: PropertyId.contentType, key: 'contentType', name: 'content-type', type: 'text', holders: ['publish', 'will'] },
  { id: PropertyId.responseTopic, key: 'responseTopic', name: 'response-topic', type: 'text', holders: ['publish', 'will'] },
  { id: PropertyId.correlationData, key: 'correlationData', name: 'correlation-data', type: 'binary', holders: ['publish', 'will'] },
  { id: PropertyId.subscriptionIdentifier, key: 'subscriptionIdentifiers', name: 'subscription-identifier', type: 'varint', holders: ['publish', 'subscribe'], repeatable: ['publish'], min: 1 },
  { id: PropertyId.sessionExpiryInterval, key: 'sessionExpiryInterval', name: 'session-expiry-interval', type: 'uint32', holders: ['connect', 'connack', 'disconnect'] },
  { id: PropertyId.serverKeepAlive, key: 'serverKeepAlive', name: 'server-keep-alive', type: 'uint16', holders: ['connack'] },
  { id: PropertyId.topicAliasMaximum, key: 'topicAliasMaximum', name: 'topic-alias-maximum', type: 'uint16', holders: ['connect', 'connack'] },
  { id: PropertyId.assignedClientIdentifier, key: 'assignedClientIdentifier', name: 'assigned-client-identifier', type: 'text', holders: ['connack'] },
  { id: PropertyId.authenticationMethod, key: 'authenticationMethod', name: 'authentication-method', type: 'text', holders: ['connect', 'connack', 'auth'] },
  { id: PropertyId.authenticationData, key: 'authenticationData', name: 'authentication-data', type: 'binary', holders: ['connect', 'connack', 'auth'] },
  { id: PropertyId.requestProblemInformation, key: 'requestProblemInformation', name: 'request-problem-information', type: 'byte', holders: ['connect'], max: 1 },
  { id: PropertyId.willDelayInterval, key: 'willDelayInterval', name: 'will-delay-interval', type: 'uint32', holders: ['will'] },
  { id: PropertyId.requestResponseInformation, key: 'requestResponseInformation', name: 'request-response-information', type: 'byte', holders: ['connect'], max: 1 },
  { id: PropertyId.responseInformation, key: 'responseInformation', name: 'response-information', type: 'text', holders: ['connack'] },
  { id: PropertyId.serverReference, key: 'serverReference', name: 'server-reference', type: 'text', holders: ['connack', 'disconnect'] },
  { id: PropertyId.reasonString, key: 'reasonString', name: 'reason-string', type: 'text', holders: ['connack', ...acknowledgements, 'disconnect', 'auth'] },
  { id: PropertyId.topicAlias, key: 'topicAlias', name: 'topic-alias', type: 'uint16', holders: ['publish'], min: 1, outOfRange: ReasonCode.topicAliasInvalid },
  { id: PropertyId.retainAvailable, key: 'retainAvailable', name: 'retain-available', type: 'byte', holders: ['connack'], max: 1 },
  { id: PropertyId.maximumPacketSize, key: 'maximumPacketSize', name: 'maximum-packet-size', type: 'uint32', holders: ['connect', 'connack'], min: 1 },
  { id: PropertyId.receiveMaximum, key: 'receiveMaximum', name: 'receive-maximum', type: 'uint16', holders: ['connect', 'connack'], min: 1 },
  { id: PropertyId.maximumQos, key: 'maximumQos', name: 'maximum-qos', type: 'byte', holders: ['connack'], max: 1 },
  { id: PropertyId.wildcardSubscriptionAvailable, key: 'wildcardSubscriptionAvailable', name: 'wildcard-subscription-available', type: 'byte', holders: ['connack'], max: 1 },
  { id: PropertyId.subscriptionIdentifiersAvailable, key: 'subscriptionIdentifiersAvailable', name: 'subscription-identifier-available', type: 'byte', holders: ['connack'], max: 1 },
  { id: PropertyId.sharedSubscriptionAvailable, key: 'sharedSubscriptionAvailable', name: 'shared-subscription-available', type: 'byte', holders: ['connack'], max: 1 },
  { id: PropertyId.userProperty, key: 'userProperties', name: 'user-property', type: 'pair', holders: everywhere, repeatable: everywhere },
];

const ruleById: readonly (PropertyRule | undefined)[] = Array.from({ length: 0x80 }, (_, id) =>
  PROPERTY_RULES.find((rule) => rule.id === id),
);

const ruleByKey: ReadonlyMap<string, PropertyRule> = new Map(PROPERTY_RULES.map((rule) => [rule.key, rule]));

export type PropertyValue = number | string | Uint8Array | UserProperty;

const NO_VALUES: readonly PropertyValue[] = [];

// ------------------------------------------------------------------------------------------------- reading

/**
 * Reads properties with their length in front. What is wrong ends up in `reader.error`: an unknown identifier, one
 * that has no place here, or a value that is no value of its type is a malformed packet, a repeated property or a
 * value out of range a protocol error [MQTT 5.0, 2.2.2.2].
 */
export function readProperties(reader: PacketReader, holder: PropertyHolder): Properties {
  const length = reader.varint();
  const end = reader.position + length;
  const properties: Properties = {};
  if (end > reader.end) reader.malformed('incomplete data');
  while (reader.position < end && reader.error === undefined) readProperty(reader, holder, end, properties);
  return properties;
}

function readProperty(
  reader: PacketReader,
  holder: PropertyHolder,
  end: number,
  properties: Properties,
): void {
  const id = reader.byte(); // a variable byte integer, but none has more than one byte
  const rule = ruleById[id];
  if (rule === undefined || !rule.holders.includes(holder)) {
    reader.malformed(`invalid property 0x${id.toString(16).padStart(2, '0')}`);
    return;
  }
  const value = readValue(reader, rule);
  if (reader.position > end) reader.malformed('incomplete data');
  if (reader.error === undefined) checkValue(reader, rule, value);
  if (reader.error === undefined) addProperty(reader, holder, rule, value, properties);
}

function readValue(reader: PacketReader, rule: PropertyRule): PropertyValue {
  switch (rule.type) {
    case 'byte':
      return reader.byte();
    case 'uint16':
      return reader.uint16();
    case 'uint32':
      return reader.uint32();
    case 'varint':
      return reader.varint();
    case 'text':
      return reader.text(rule.name);
    case 'binary':
      return reader.binary();
    case 'pair':
      return [reader.text(rule.name), reader.text(rule.name)];
  }
}

function checkValue(reader: PacketReader, rule: PropertyRule, value: PropertyValue): void {
  if (typeof value === 'number') {
    const { min = 0, max = 0xffffffff, outOfRange = ReasonCode.protocolError } = rule;
    if (value >= min && value <= max) return;
    const message =
      rule.key === 'topicAlias'
        ? `PUBLISH invalid topic alias (${value}).`
        : `${reader.packetName} packet with ${rule.name} = ${value}.`;
    reader.fail(new PacketError(outOfRange, message));
  } else if (rule.key === 'responseTopic') {
    // A response topic is a topic name [MQTT-3.3.2-13], without wildcards [MQTT-3.3.2-14].
    if (value === '') reader.violation('empty response-topic');
    else if (/[+#]/.test(value as string)) reader.violation('wildcard in response-topic');
  }
}

function addProperty(
  reader: PacketReader,
  holder: PropertyHolder,
  rule: PropertyRule,
  value: PropertyValue,
  properties: Properties,
): void {
  const { key } = rule;
  if (properties[key] !== undefined && !rule.repeatable?.includes(holder)) {
    reader.violation(`duplicate ${rule.name}`);
  } else {
    appendProperty(properties, key, value);
  }
}

/** Adds a property behind those that are there; the caller has seen to it that it may be there twice. */
export function appendProperty(properties: Properties, key: PropertyName, value: PropertyValue): void {
  if (properties.order !== undefined) properties.order.push(key);
  else if (properties[key] !== undefined && Object.keys(properties).at(-1) !== key) {
    properties.order = [...inOrder(properties).map(({ rule }) => rule.key), key];
  }
  if (key === 'userProperties') {
    (properties.userProperties ??= []).push(value as UserProperty);
  } else if (key === 'subscriptionIdentifiers') {
    (properties.subscriptionIdentifiers ??= []).push(value as number);
  } else {
    (properties as Record<string, PropertyValue>)[key] = value;
  }
}

// ------------------------------------------------------------------------------------------------- writing

/** Bytes of the properties without the length in front. */
export function propertiesLength(properties: Properties): number {
  let length = 0;
  for (const { rule, value } of inOrder(properties)) length += 1 + valueLength(rule.type, value);
  return length;
}

/**
 * Writes the properties without the length in front; `target` must have room for `propertiesLength` bytes.
 * @returns the position behind them
 */
export function writeProperties(target: Buffer, at: number, properties: Properties): number {
  for (const { rule, value } of inOrder(properties)) {
    target[at] = rule.id;
    at = writeValue(target, at + 1, rule.type, value);
  }
  return at;
}

/** The properties as bytes, without the length in front. */
export function encodeProperties(properties: Properties): Uint8Array {
  const bytes = Buffer.allocUnsafeSlow(propertiesLength(properties));
  writeProperties(bytes, 0, properties);
  return bytes;
}

interface Property {
  rule: PropertyRule;
  value: PropertyValue;
}

const noProperties: readonly Property[] = [];

/** The properties that are there, in the order in which they were given. */
function inOrder(properties: Properties): readonly Property[] {
  let found: Property[] | undefined;
  const { order } = properties;
  if (order !== undefined) found = ordered(properties, order);
  for (const key in properties) {
    const rule = ruleByKey.get(key);
    if (rule === undefined || order?.includes(rule.key)) continue;
    for (const value of valuesOf(properties, rule)) (found ??= []).push({ rule, value });
  }
  return found ?? noProperties; // most packets have none
}

/** Of those that have been taken out since, `order` still has the names. */
function ordered(properties: Properties, order: readonly PropertyName[]): Property[] {
  const found: Property[] = [];
  const counts = new Map<PropertyName, number>();
  for (const key of order) {
    const rule = ruleByKey.get(key)!;
    const count = counts.get(key) ?? 0;
    counts.set(key, count + 1);
    const value = valuesOf(properties, rule)[count];
    if (value !== undefined) found.push({ rule, value });
  }
  return found;
}

function valuesOf(properties: Properties, rule: PropertyRule): readonly PropertyValue[] {
  const value = properties[rule.key];
  if (value === undefined) return NO_VALUES;
  return rule.repeatable === undefined ? [value as PropertyValue] : (value as PropertyValue[]);
}

function valueLength(type: WireType, value: PropertyValue): number {
  switch (type) {
    case 'byte':
      return 1;
    case 'uint16':
      return 2;
    case 'uint32':
      return 4;
    case 'varint':
      return varintLength(value as number);
    case 'text':
      return 2 + Buffer.byteLength(value as string);
    case 'binary':
      return 2 + (value as Uint8Array).length;
    case 'pair': {
      const [name, text] = value as UserProperty;
      return 4 + Buffer.byteLength(name) + Buffer.byteLength(text);
    }
  }
}

function writeValue(target: Buffer, at: number, type: WireType, value: PropertyValue): number {
  switch (type) {
    case 'byte':
      return target.writeUInt8(value as number, at);
    case 'uint16':
      return target.writeUInt16BE(value as number, at);
    case 'uint32':
      return target.writeUInt32BE(value as number, at);
    case 'varint':
      return writeVarint(target, at, value as number);
    case 'text':
      return writeText(target, at, value as string);
    case 'binary':
      return writeBinary(target, at, value as Uint8Array);
    case 'pair': {
      const [name, text] = value as UserProperty;
      return writeText(target, writeText(target, at, name), text);
    }
  }
}

/** Text behind its length in two bytes. */
export function writeText(target: Buffer, at: number, text: string): number {
  const length = target.write(text, at + 2);
  target.writeUInt16BE(length, at);
  return at + 2 + length;
}

/** Bytes behind their length in two bytes. */
export function writeBinary(target: Buffer, at: number, bytes: Uint8Array): number {
  target.writeUInt16BE(bytes.length, at);
  target.set(bytes, at + 2);
  return at + 2 + bytes.length;
}

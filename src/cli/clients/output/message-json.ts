/** A message as JSON, for `%j` and `%J`. */
import { strftime } from '../../../log/strftime.js';
import type { Properties, PropertyName, PublishPacket } from '../../../mqtt/packets.js';
import { PROPERTY_RULES } from '../../../mqtt/properties.js';
import type { FormatInput } from './format-input.js';
import { type JsonMember, type JsonValue, jsonBytes, parseJson, upToNul } from './json-text.js';

/** @returns `undefined`, after a complaint, if the payload is to be JSON and is not */
export function messageJson(input: FormatInput, payload: 'as-string' | 'as-json'): Uint8Array {
  const { message } = input;
  const value = payload === 'as-json' ? payloadAsJson(message) : payloadAsString(message);
  if (value === undefined) {
    input.complain(`Error: Message payload is not valid JSON on topic ${message.topic}.`);
    return new Uint8Array(0);
  }
  const members = [
    member('tst', text(timestamp(input))),
    member('topic', text(message.topic)),
    member('qos', number(message.qos)),
    member('retain', literal(message.retain ? 'true' : 'false')),
    member('payloadlen', number(message.payload.length)),
  ];
  if (message.qos > 0) members.push(member('mid', number(message.packetId)));
  const properties = propertyMembers(message.properties);
  if (properties.length > 0) members.push(member('properties', { kind: 'object', members: properties }));
  members.push(member('payload', value));
  return jsonBytes({ kind: 'object', members }, input.pretty);
}

function payloadAsString({ payload }: PublishPacket): JsonValue {
  return payload.length === 0 ? literal('null') : { kind: 'string', bytes: upToNul(payload) };
}

function payloadAsJson({ payload }: PublishPacket): JsonValue | undefined {
  return payload.length === 0 ? literal('null') : parseJson(payload);
}

/** Local time in microseconds, and the offset. */
function timestamp({ now }: FormatInput): string {
  const date = new Date(now.seconds * 1000);
  const microseconds = String(Math.floor(now.nanoseconds / 1000)).padStart(6, '0');
  return `${strftime('%Y-%m-%dT%H:%M:%S', date)}.${microseconds}${strftime('%z', date)}`;
}

/** The properties in the order of the packet. */
function propertyMembers(properties: Properties): JsonMember[] {
  const keys = Object.keys(properties).filter((key) => key !== 'order') as PropertyName[];
  return keys.flatMap((key) => propertyMember(key, properties));
}

function propertyMember(key: PropertyName, properties: Properties): JsonMember[] {
  if (key === 'userProperties') {
    const items = properties.userProperties!.map(userProperty);
    return [member('user-properties', { kind: 'array', items })];
  }
  const { name } = PROPERTY_RULES.find((rule) => rule.key === key)!;
  if (key === 'subscriptionIdentifiers') {
    return properties.subscriptionIdentifiers!.map((identifier) => member(name, number(identifier)));
  }
  return [member(name, propertyValue(properties[key] as string | number | Uint8Array))];
}

function userProperty([name, value]: readonly [string, string]): JsonValue {
  return { kind: 'object', members: [member(name, text(value))] };
}

function propertyValue(value: string | number | Uint8Array): JsonValue {
  if (typeof value === 'number') return number(value);
  return typeof value === 'string' ? text(value) : { kind: 'string', bytes: upToNul(value) };
}

function member(name: string, value: JsonValue): JsonMember {
  return [Buffer.from(name), value];
}

function text(value: string): JsonValue {
  return { kind: 'string', bytes: Buffer.from(value) };
}

function number(value: number): JsonValue {
  return { kind: 'number', value };
}

function literal(name: 'true' | 'false' | 'null'): JsonValue {
  return { kind: 'literal', text: name };
}

/** The `-D COMMAND NAME VALUE` option: MQTT 5.0 properties on the command line. */
import type { Properties, UserProperty } from '../../../mqtt/packets.js';
import { appendProperty, PROPERTY_RULES, type PropertyRule } from '../../../mqtt/properties.js';
import { isValidTopicNameText } from '../../../topic/topic-name.js';
import { leadingLong } from '../c-numbers.js';
import { isPacketString, textBytes } from './argument-text.js';
import { SetupError, UsageError } from './usage-error.js';

/** The packets (and the will) to which properties can be added. */
export type PropertyCommand = 'connect' | 'publish' | 'subscribe' | 'unsubscribe' | 'disconnect' | 'will';

export interface PropertyOption {
  rule: PropertyRule;
  value: number | string | Uint8Array | UserProperty;
}

export const PROPERTY_COMMANDS: readonly PropertyCommand[] = [
  'connect',
  'publish',
  'subscribe',
  'unsubscribe',
  'disconnect',
  'will',
];

/** Packets that clients send, but for which `-D` is refused. */
const COMMANDS_WITHOUT_OPTION: readonly string[] = ['auth', 'puback', 'pubrec', 'pubrel', 'pubcomp'];

const TEXT_BYTES_MAX = 0xffff;

const VALUE_MAX: Readonly<Record<string, number>> = {
  byte: 0xff,
  uint16: 0xffff,
  uint32: 0xffffffff,
  varint: 0x0fffffff,
};

/**
 * @param words the words after `-D`, to the end of the command line
 * @returns the number of words that belong to the option
 * @throws UsageError
 */
export function takePropertyOption(
  properties: Record<PropertyCommand, PropertyOption[]>,
  words: readonly string[],
): number {
  const [command, name, value] = words;
  if (command === undefined || name === undefined || value === undefined) throw notEnough();
  const holder = command.toLowerCase();
  const rule = findRule(command, holder, name.toLowerCase());
  if (rule.type !== 'pair') {
    properties[holder as PropertyCommand].push({ rule, value: parseValue(rule, value) });
    return 3;
  }
  const pairValue = words[3];
  if (pairValue === undefined) throw notEnough();
  const pair: UserProperty = [checkText(rule, value), checkText(rule, pairValue)];
  properties[holder as PropertyCommand].push({ rule, value: pair });
  return 4;
}

function notEnough(): UsageError {
  return fail('--property argument given but not enough arguments specified.');
}

function findRule(command: string, holder: string, name: string): PropertyRule {
  const takesOptions = (PROPERTY_COMMANDS as readonly string[]).includes(holder);
  if (!takesOptions && !COMMANDS_WITHOUT_OPTION.includes(holder)) {
    throw fail(`Invalid command ${command} given in --property argument.`);
  }
  const rule = PROPERTY_RULES.find((candidate) => candidate.name === name);
  if (rule === undefined) throw fail(`Invalid property name ${name} given in --property argument.`);
  if (!(rule.holders as readonly string[]).includes(holder)) {
    throw fail(`${name} property not allowed for ${holder} in --property argument.`);
  }
  if (!takesOptions || isServers(rule, holder)) {
    throw fail(`${name} property not supported for ${holder} in --property argument.`);
  }
  return rule;
}

/** A server adds the subscription identifier to a PUBLISH, a client never [MQTT-3.3.4-6]. */
function isServers(rule: PropertyRule, holder: string): boolean {
  return holder === 'publish' && rule.key === 'subscriptionIdentifiers';
}

/** The property names that a command of `-D` accepts. */
export function propertyNames(command: PropertyCommand): string[] {
  return PROPERTY_RULES.filter((rule) => rule.holders.includes(command) && !isServers(rule, command)).map(
    ({ name }) => name,
  );
}

function parseValue(rule: PropertyRule, text: string): number | string | Uint8Array {
  if (rule.type === 'text') return checkText(rule, text);
  if (rule.type === 'binary') {
    const bytes = textBytes(text);
    if (bytes.length > TEXT_BYTES_MAX) throw tooLong(rule);
    return bytes;
  }
  const value = leadingLong(text) ?? 0;
  if (value < 0 || value > VALUE_MAX[rule.type]!) {
    throw fail(`Property value (${text}) out of range for property ${rule.name}.`);
  }
  return value;
}

function checkText(rule: PropertyRule, text: string): string {
  if (textBytes(text).length > TEXT_BYTES_MAX) throw tooLong(rule);
  if (isPacketString(text)) return text;
  const errorCode = rule.type === 'pair' ? 7 : 6;
  throw new UsageError(`Error adding property ${rule.name} ${errorCode}`, 'one-blank-line');
}

function tooLong(rule: PropertyRule): UsageError {
  return fail(`Property value too long for property ${rule.name}.`);
}

function fail(message: string): UsageError {
  return new UsageError(`Error: ${message}`);
}

/**
 * The properties of one packet, from its `-D` options.
 * @throws UsageError, SetupError for a property given twice or with a value that MQTT does not allow
 */
export function toProperties(command: PropertyCommand, options: readonly PropertyOption[]): Properties {
  const properties: Properties = {};
  for (const { rule, value } of options) {
    const { key } = rule;
    if (typeof value === 'number' && value < (rule.min ?? 0)) {
      throw inPacket(command, 'A network protocol error occurred when communicating with the broker');
    }
    if (properties[key] !== undefined && key !== 'userProperties') throw duplicateProperty(command);
    appendProperty(properties, key, value);
  }
  checkResponseTopic(command, properties);
  return properties;
}

/** A response topic is a topic name [MQTT-3.3.2-14]; a broker ends the connection of who sends another. */
function checkResponseTopic(command: PropertyCommand, { responseTopic }: Properties): void {
  if (responseTopic === undefined || isValidTopicNameText(responseTopic)) return;
  throw new SetupError(
    command === 'will'
      ? 'Error: Problem setting will.'
      : 'Error: Protocol error when communicating with broker.',
  );
}

export function duplicateProperty(command: PropertyCommand): UsageError {
  return inPacket(command, 'Duplicate property in property list');
}

function inPacket(command: PropertyCommand, message: string): UsageError {
  return new UsageError(`Error in ${command.toUpperCase()} properties: ${message}`, 'one-blank-line');
}

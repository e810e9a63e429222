/**
 * Parses the value of a line into the value of a setting, by the option's type. Errors in Mosquitto's words, help in ours.
 */
import { assert } from '../base/assert.js';
import { customValueParsers } from './custom-values.js';
import { parseInteger } from './integer.js';
import { trimSpace, words } from './lexer.js';
import { nearestWord } from './nearest-word.js';
import type { EnumType, IntType, OutOfRange, StringType } from './option-types.js';
import { accepted, type Parsed, type RawValue, type Refused, type Remark, refused } from './parsed-value.js';
import { allowedValues, notAllowed, notInteger } from './value-syntax.js';

/**
 * Reads a value. Not for rows of kind `removed`, whose value is not looked at.
 *
 * [mosq: mosquitto.conf] bool, int and enum are the first word, what follows is ignored; a string is the rest of
 * the line without the white space around it.
 */
export function parseValue(raw: RawValue): Parsed<unknown> {
  const { type } = raw.row;
  assert(type.kind !== 'removed', `${raw.name} has no value`);
  if (trimSpace(raw.rest) === '') return emptyValue(raw);
  switch (type.kind) {
    case 'bool':
      return parseBool(raw);
    case 'int':
      return parseIntInRange(raw, type);
    case 'enum':
      return parseEnum(raw, type);
    case 'string':
      return parseString(raw, type);
    case 'strings':
      return parseStrings(raw);
    case 'custom':
      return raw.malformed && !type.tabsSeparate ? malformed(raw) : customValueParsers[type.value](raw);
    case 'directive':
      return parseText(raw);
  }
}

function emptyValue(raw: RawValue): Refused {
  const { type } = raw.row;
  const error = type.kind === 'custom' ? type.empty : undefined;
  return refused(
    error ?? `Error: Empty '${raw.name}' value in configuration.`,
    `The value is missing: ${allowedValues(raw)}`,
  );
}

/** Words that people write for the two that are understood. */
const boolSynonyms: Readonly<Record<string, string>> = { yes: 'true', on: 'true', no: 'false', off: 'false' };

function parseBool(raw: RawValue): Parsed<boolean> {
  const word = words(raw.rest)[0]!;
  if (word === 'true' || word === '1') return accepted(true);
  if (word === 'false' || word === '0') return accepted(false);
  const meant = boolSynonyms[word.toLowerCase()] ?? nearestWord(word, ['true', 'false']);
  return notAllowed(raw, word, `Error: Invalid '${raw.name}' value (${word}).`, meant);
}

function parseIntInRange(raw: RawValue, type: IntType): Parsed<number> {
  const word = words(raw.rest)[0]!;
  const number = parseInteger(word, type.max);
  if (typeof number === 'string') return notInteger(raw, word, number);
  if (type.min !== undefined && number < type.min) return outOfRange(raw, number, type.tooSmall);
  if (type.max !== undefined && number > type.max) return outOfRange(raw, number, type.tooLarge);
  return accepted(number);
}

function outOfRange(raw: RawValue, value: number, rule: OutOfRange | undefined): Parsed<number> {
  if (rule === undefined || 'error' in rule) {
    return notAllowed(raw, String(value), rule?.error ?? `Error: Invalid '${raw.name}' value (${value}).`);
  }
  const remarks: Remark[] = [];
  if (rule.notice !== undefined) remarks.push({ type: 'notice', text: rule.notice });
  if (rule.warning !== undefined) remarks.push({ type: 'warning', text: rule.warning });
  return accepted(rule.use, remarks);
}

function parseEnum(raw: RawValue, type: EnumType): Parsed<string> {
  const word = type.wholeLine ? trimSpace(raw.rest) : words(raw.rest)[0]!;
  if (type.values.includes(word)) {
    const warning = type.discouraged?.[word];
    return warning === undefined ? accepted(word) : accepted(word, [{ type: 'warning', text: warning }]);
  }
  if (type.otherwise !== undefined) return accepted(type.otherwise);
  const error =
    type.refused?.[word] ??
    type.invalid?.replace('{value}', () => word) ??
    `Error: Invalid '${raw.name}' value (${word}).`;
  return notAllowed(raw, word, error, nearestWord(word, type.values));
}

function parseText(raw: RawValue): Parsed<string> {
  return raw.malformed ? malformed(raw) : accepted(trimSpace(raw.rest));
}

function malformed(raw: RawValue): Refused {
  return refused(
    'Error: Malformed UTF-8 in configuration.',
    `The value of '${raw.name}' must be UTF-8 without control characters (a TAB is one).`,
  );
}

function parseString(raw: RawValue, type: StringType): Parsed<string> {
  const text = parseText(raw);
  if (!text.ok) return text;
  const { value } = text;
  const bytes = Buffer.byteLength(value);
  if (type.bytesMax !== undefined && bytes > type.bytesMax) {
    return refused(
      type.tooLong ?? `Error: '${raw.name}' length must be <= ${type.bytesMax}.`,
      `'${value}' is ${bytes} bytes long: ${allowedValues(raw)}`,
    );
  }
  if (type.topicPrefix && /[+#]/.test(value)) {
    return refused(
      `Error: Invalid '${raw.name}' value (${value}). Does it contain a wildcard character?`,
      `'${value}' is put before topics, which hold neither '+' nor '#'.`,
    );
  }
  return text;
}

function parseStrings(raw: RawValue): Parsed<readonly string[]> {
  const text = parseText(raw);
  if (!text.ok) return text;
  return accepted([...((raw.previous as readonly string[] | undefined) ?? []), text.value]);
}

/** What may stand for a value, in words: for help lines and for the documentation. */
import { int32Max } from './integer.js';
import type { IntType, OptionType } from './option-types.js';
import { type RawValue, type Refused, refused } from './parsed-value.js';

/** What an option takes, to follow "takes": `true or false`, `a whole number from 0 to 7`. */
export function valueSyntax(type: OptionType): string {
  switch (type.kind) {
    case 'bool':
      return 'true or false';
    case 'int':
      return integerSyntax(type);
    case 'enum':
      return alternatives(type.values);
    case 'string':
      return type.bytesMax === undefined ? type.syntax : `${type.syntax} of at most ${type.bytesMax} bytes`;
    case 'strings':
    case 'custom':
    case 'directive':
      return type.syntax;
    case 'removed':
      return 'anything';
  }
}

/** Leaves out bounds beyond which another number is used: any number may be written then. */
function integerSyntax(type: IntType): string {
  const min = type.tooSmall !== undefined && 'use' in type.tooSmall ? undefined : type.min;
  const isBound =
    !(type.tooLarge !== undefined && 'use' in type.tooLarge) && type.max !== Number.MAX_SAFE_INTEGER;
  const max = isBound ? type.max : undefined;
  if (min !== undefined && max !== undefined) return `a whole number from ${min} to ${max}`;
  if (min !== undefined) return `a whole number from ${min}`;
  if (max !== undefined) return `a whole number up to ${max}`;
  return 'a whole number';
}

function alternatives(values: readonly string[]): string {
  return values.length === 1 ? values[0]! : `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`;
}

/** Half a help line: `'protocol' takes mqtt, websockets or http_api.` */
export function allowedValues(raw: RawValue): string {
  return `'${raw.written}' takes ${valueSyntax(raw.row.type)}.`;
}

/**
 * Refuses a word.
 *
 * @param error In Mosquitto's words.
 * @param meant What may have been meant.
 */
export function notAllowed(raw: RawValue, word: string, error: string, meant?: string): Refused {
  const question = meant === undefined ? '' : ` Did you mean '${meant}'?`;
  return refused(error, `'${word}' is not allowed: ${allowedValues(raw)}${question}`);
}

/**
 * Refuses a word that should be a number.
 *
 * @param name The number's name in error lines, if a value has several.
 */
export function notInteger(
  raw: RawValue,
  word: string,
  why: 'not a number' | 'out of range',
  name = raw.name,
): Refused {
  const { error, help } = notAllowed(raw, word, `Error: '${name}' value ${why}.`).fault;
  return refused(error, why === 'out of range' ? `${help} The largest number is ${int32Max}.` : help);
}

/**
 * The format language of `-F`: a format is compiled once and expanded for each message. Pure: the message and the
 * time go in, bytes come out.
 *
 *   %[flag][width][.precision][separator]SPEC   a part of the message
 *   @X                                          strftime's %X of the local time, @N nanoseconds
 *   \n and others                               control characters
 */
import { NO_BYTES } from '../../../base/no-bytes.js';
import { strftime } from '../../../log/strftime.js';
import type { Properties } from '../../../mqtt/packets.js';
import { formatFixed } from '../c-numbers.js';
import { textBytes } from '../options/argument-text.js';
import { UsageError } from '../options/usage-error.js';
import type { FormatInput, Moment } from './format-input.js';
import { messageJson } from './message-json.js';

/** A compiled format. */
export type MessageFormat = readonly Part[];

/** One stretch of the output: literal bytes, or a function of the message. */
type Part = Buffer | ((input: FormatInput) => Uint8Array);

interface Specifier {
  leftAlign: boolean;
  zeroPad: boolean;
  /** 0 = no width. */
  width: number;
  precision: number | undefined;
  /** Between groups of `%x`. */
  separator: string;
}

/** @throws UsageError with Mosquitto's text if the format is not valid */
export function compileFormat(format: string): MessageFormat {
  const parts: Part[] = [];
  let literal = '';
  const add = (part: Part | string) => {
    if (typeof part === 'string') {
      literal += part;
      return;
    }
    if (literal !== '') parts.push(textBytes(literal));
    literal = '';
    parts.push(part);
  };
  for (let at = 0; at < format.length; ) {
    const compile = COMPILERS[format[at]!];
    if (compile === undefined) {
      add(format[at]!);
      at += 1;
      continue;
    }
    const { part, end } = compile(format, at + 1);
    add(part);
    at = end;
  }
  if (literal !== '') parts.push(textBytes(literal));
  return parts;
}

export function expandFormat(format: MessageFormat, input: FormatInput): Buffer {
  return Buffer.concat(format.map((part) => (typeof part === 'function' ? part(input) : part)));
}

// ---------------------------------------------------------------------------------------------- compiling

interface Compiled {
  part: Part | string;
  /** The position after its last character. */
  end: number;
}

/** The parsers by lead character; `at` is the position after it. */
const COMPILERS: Readonly<Record<string, (format: string, at: number) => Compiled>> = {
  '%': compileSpecifier,
  '@': compileTime,
  '\\': compileEscape,
};

function compileSpecifier(format: string, at: number): Compiled {
  // Both flags are taken, in this order only.
  const leftAlign = format[at] === '-';
  if (leftAlign) at += 1;
  const zeroPad = format[at] === '0';
  if (zeroPad) at += 1;
  const [width, precisionAt] = readDigits(format, at);
  at = precisionAt;
  let precision: number | undefined;
  if (format[at] === '.') [precision, at] = readDigits(format, at + 1);
  let separator = ' ';
  if (SEPARATOR.test(format[at] ?? '') && SPECIFIERS[format[at + 1] ?? ''] !== undefined) {
    separator = format[at]!;
    at += 1;
  }
  const letter = format[at];
  if (letter === undefined) throw new UsageError('Error: Incomplete format specifier.', 'one-blank-line');
  if (letter === '%') return { part: '%', end: at + 1 };
  const expand = SPECIFIERS[letter];
  if (expand === undefined) throw invalid('format', format, at);
  const specifier = { leftAlign, zeroPad, width, precision, separator };
  return { part: (input) => expand(input, specifier), end: at + 1 };
}

/** ASCII punctuation but `%`, or a space. */
const SEPARATOR = /^[ !-$&-/:-@[-`{-~]$/;

/** @returns the number (0 without digits) and where it ends */
function readDigits(format: string, at: number): [value: number, end: number] {
  const digits = /^\d*/.exec(format.slice(at))![0];
  return [Number(digits), at + digits.length];
}

function compileTime(format: string, at: number): Compiled {
  const character = String.fromCodePoint(format.codePointAt(at) ?? 0);
  if (at >= format.length) throw new UsageError('Error: Incomplete format specifier.', 'one-blank-line');
  const end = at + character.length;
  if (character === '@') return { part: '@', end };
  if (character === 'N') return { part: ({ now }) => Buffer.from(nanosecondDigits(now)), end };
  if (character === 's') return { part: ({ now }) => Buffer.from(String(now.seconds)), end };
  return { part: ({ now }) => textBytes(strftime(`%${character}`, localDate(now))), end };
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  '0': '\0',
  a: '\x07',
  e: '\x1b',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

function compileEscape(format: string, at: number): Compiled {
  if (at >= format.length) throw new UsageError('Error: Incomplete escape specifier.', 'one-blank-line');
  const part = ESCAPES[format[at]!];
  if (part === undefined) throw invalid('escape', format, at);
  return { part, end: at + 1 };
}

function invalid(what: 'format' | 'escape', format: string, at: number): UsageError {
  const character = String.fromCodePoint(format.codePointAt(at)!);
  return new UsageError(`Error: Invalid ${what} specifier '${character}'.`, 'one-blank-line');
}

// ---------------------------------------------------------------------------------------------- expanding

type Expand = (input: FormatInput, specifier: Specifier) => Uint8Array;

const SPECIFIERS: Readonly<Record<string, Expand>> = {
  A: ({ message }, specifier) => optionalNumber(message.properties.topicAlias, specifier),
  C: ({ message }, specifier) => cutText(message.properties.contentType ?? '', specifier),
  D: ({ message }) => message.properties.correlationData ?? NO_BYTES,
  d: (input, specifier) => floatingPoint(input, specifier, 8),
  E: ({ message }, specifier) => optionalNumber(message.properties.messageExpiryInterval, specifier),
  F: ({ message }, specifier) => optionalNumber(message.properties.payloadFormatIndicator, specifier),
  f: (input, specifier) => floatingPoint(input, specifier, 4),
  I: ({ now }, specifier) => cutText(strftime('%Y-%m-%dT%H:%M:%S%z', localDate(now)), specifier),
  j: (input) => messageJson(input, 'as-string'),
  J: (input) => messageJson(input, 'as-json'),
  l: ({ message }, specifier) => integer(message.payload.length, specifier),
  m: ({ message }, specifier) => integer(message.packetId, specifier),
  P: ({ message }) => Buffer.from(userPropertiesText(message.properties)),
  p: ({ message }, specifier) => payload(message.payload, specifier),
  q: ({ message }) => Buffer.from(String(message.qos)),
  R: ({ message }, specifier) => {
    const { responseTopic } = message.properties;
    return responseTopic === undefined ? NO_BYTES : cutText(responseTopic, specifier);
  },
  r: ({ message }) => Buffer.from(message.retain ? '1' : '0'),
  S: ({ message }, specifier) => optionalNumber(message.properties.subscriptionIdentifiers?.[0], specifier),
  t: ({ message }, specifier) => cutText(message.topic, specifier),
  U: ({ now }) => Buffer.from(`${now.seconds}.${nanosecondDigits(now)}`),
  X: ({ message }, specifier) => hexadecimal(message.payload, specifier, true),
  x: ({ message }, specifier) => hexadecimal(message.payload, specifier, false),
};

/** Numbers take the zero flag, unless they are left-aligned. */
function integer(value: number, specifier: Specifier): Buffer {
  return numberText(String(value), specifier);
}

function numberText(digits: string, { leftAlign, zeroPad, width }: Specifier): Buffer {
  if (leftAlign) return Buffer.from(digits.padEnd(width));
  if (!zeroPad) return Buffer.from(digits.padStart(width));
  const sign = digits.startsWith('-') ? '-' : '';
  return Buffer.from(sign + digits.slice(sign.length).padStart(width - sign.length, '0'));
}

/** An absent value prints as spaces of its width. */
function optionalNumber(value: number | undefined, specifier: Specifier): Buffer {
  if (value !== undefined) return integer(value, specifier);
  return Buffer.alloc(specifier.width, specifier.zeroPad ? '0' : ' ');
}

/** Text is cut at the precision, in bytes, and never padded with zeros. */
function cutText(text: string, { leftAlign, width, precision }: Specifier): Buffer {
  const bytes = Buffer.from(text);
  return pad(precision === undefined ? bytes : bytes.subarray(0, precision), width, leftAlign, ' ');
}

/** The width cuts as well as pads. */
function payload(bytes: Uint8Array, { leftAlign, zeroPad, width }: Specifier): Uint8Array {
  if (width === 0) return bytes;
  return pad(bytes.subarray(0, width), width, leftAlign, zeroPad && !leftAlign ? '0' : ' ');
}

/**
 * The width counts bytes of the payload where it cuts, and characters where it pads: at most `width` bytes, and
 * width − 2 · bytes characters of padding. Separators do not count.
 */
function hexadecimal(bytes: Uint8Array, specifier: Specifier, upperCase: boolean): Buffer {
  const { leftAlign, zeroPad, width, precision, separator } = specifier;
  const used = width === 0 ? bytes : bytes.subarray(0, width);
  let digits = Buffer.from(used.buffer, used.byteOffset, used.length).toString('hex');
  if (upperCase) digits = digits.toUpperCase();
  const padding = (zeroPad && !leftAlign ? '0' : ' ').repeat(Math.max(0, width - digits.length));
  const grouped = precision === undefined || precision === 0 ? digits : group(digits, precision, separator);
  return Buffer.from(leftAlign ? grouped + padding : padding + grouped);
}

function group(digits: string, size: number, separator: string): string {
  const groups: string[] = [];
  for (let at = 0; at < digits.length; at += size) groups.push(digits.slice(at, at + size));
  return groups.join(separator);
}

/** The payload is one number in this machine's byte order. */
function floatingPoint(input: FormatInput, specifier: Specifier, length: 4 | 8): Buffer {
  const { payload: bytes, topic } = input.message;
  if (bytes.length !== length) {
    const what = length === 8 ? 'double' : 'float';
    input.complain(`Error: Message payload is not a ${what} (${length} bytes) on topic ${topic}.`);
    return NO_BYTES;
  }
  const copy = Uint8Array.from(bytes).buffer;
  const value = length === 8 ? new Float64Array(copy)[0]! : new Float32Array(copy)[0]!;
  const digits = formatFixed(value, specifier.precision ?? 6);
  return numberText(digits, Number.isFinite(value) ? specifier : { ...specifier, zeroPad: false });
}

function pad(bytes: Uint8Array, width: number, leftAlign: boolean, filler: string): Buffer {
  const padding = Buffer.alloc(Math.max(0, width - bytes.length), filler);
  return Buffer.concat(leftAlign ? [bytes, padding] : [padding, bytes]);
}

function userPropertiesText(properties: Properties): string {
  return (properties.userProperties ?? []).map(([name, value]) => `${name}:${value}`).join(' ');
}

// --------------------------------------------------------------------------------------------------- time

function localDate(now: Moment): Date {
  return new Date(now.seconds * 1000 + Math.floor(now.nanoseconds / 1e6));
}

function nanosecondDigits(now: Moment): string {
  return String(now.nanoseconds).padStart(9, '0');
}

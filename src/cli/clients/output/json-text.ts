/**
 * JSON as Mosquitto's clients read and write it (they use cJSON): members keep their order and may repeat, strings
 * are bytes whether UTF-8 or not, numbers are printed with the fewest of 15 or 17 digits. `JSON.parse` and
 * `JSON.stringify` differ in all of these.
 */
import { formatGeneral } from '../c-numbers.js';

export type JsonValue =
  | { kind: 'object'; members: JsonMember[] }
  | { kind: 'array'; items: JsonValue[] }
  | { kind: 'string'; bytes: Uint8Array }
  | { kind: 'number'; value: number }
  | { kind: 'literal'; text: 'true' | 'false' | 'null' };

export type JsonMember = readonly [name: Uint8Array, value: JsonValue];

/** cJSON refuses deeper nesting. */
const DEPTH_MAX = 1000;

// ------------------------------------------------------------------------------------------------- reading

/** @returns `undefined` if cJSON refuses the text */
export function parseJson(bytes: Uint8Array): JsonValue | undefined {
  if (bytes.includes(0)) return undefined;
  const reader = new JsonReader(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return reader.document();
}

const BYTE_ORDER_MARK = Buffer.from('\ufeff');
const LITERALS = ['true', 'false', 'null'] as const;
const NUMBER = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/;
const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

/** A recursive descent parser; `undefined` stands for "not JSON". */
class JsonReader {
  readonly #bytes: Buffer;
  /** The same text with one character for each byte, to search and compare. */
  readonly #text: string;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#text = bytes.toString('latin1');
  }

  document(): JsonValue | undefined {
    if (this.#bytes.subarray(0, 3).equals(BYTE_ORDER_MARK)) this.#at = 3;
    const value = this.#value(0);
    this.#skipSpace();
    return this.#at === this.#text.length ? value : undefined;
  }

  #value(depth: number): JsonValue | undefined {
    this.#skipSpace();
    const first = this.#text[this.#at];
    if (first === '"') return this.#string();
    if (first === '{' || first === '[') {
      if (depth >= DEPTH_MAX) return undefined;
      this.#at += 1;
      return first === '{' ? this.#object(depth + 1) : this.#array(depth + 1);
    }
    for (const text of LITERALS) {
      if (this.#text.startsWith(text, this.#at)) {
        this.#at += text.length;
        return { kind: 'literal', text };
      }
    }
    return this.#number();
  }

  #number(): JsonValue | undefined {
    const first = this.#text[this.#at] ?? '';
    if (first !== '-' && (first < '0' || first > '9')) return undefined;
    const digits = NUMBER.exec(this.#text.slice(this.#at, this.#at + 400))?.[0];
    if (digits === undefined) return undefined;
    this.#at += digits.length;
    return { kind: 'number', value: Number(digits) };
  }

  #array(depth: number): JsonValue | undefined {
    const items: JsonValue[] = [];
    if (this.#take(']')) return { kind: 'array', items };
    do {
      const item = this.#value(depth);
      if (item === undefined) return undefined;
      items.push(item);
    } while (this.#take(','));
    return this.#take(']') ? { kind: 'array', items } : undefined;
  }

  #object(depth: number): JsonValue | undefined {
    const members: JsonMember[] = [];
    if (this.#take('}')) return { kind: 'object', members };
    do {
      this.#skipSpace();
      const name = this.#string();
      if (name === undefined || !this.#take(':')) return undefined;
      const value = this.#value(depth);
      if (value === undefined) return undefined;
      members.push([name.bytes, value]);
    } while (this.#take(','));
    return this.#take('}') ? { kind: 'object', members } : undefined;
  }

  #string(): { kind: 'string'; bytes: Uint8Array } | undefined {
    if (this.#text[this.#at] !== '"') return undefined;
    const parts: Buffer[] = [];
    this.#at += 1;
    for (;;) {
      const start = this.#at;
      while (this.#at < this.#text.length && !'"\\'.includes(this.#text[this.#at]!)) this.#at += 1;
      parts.push(this.#bytes.subarray(start, this.#at));
      const stop = this.#text[this.#at++];
      if (stop === '"') return { kind: 'string', bytes: upToNul(Buffer.concat(parts)) };
      const escaped = stop === '\\' ? this.#escape() : undefined;
      if (escaped === undefined) return undefined;
      parts.push(Buffer.from(escaped));
    }
  }

  /** The character behind a backslash. */
  #escape(): string | undefined {
    const letter = this.#text[this.#at++] ?? '';
    if (letter !== 'u') return SIMPLE_ESCAPES[letter];
    const first = this.#hexUnit();
    if (first === undefined || (first >= 0xdc00 && first <= 0xdfff)) return undefined;
    if (first < 0xd800 || first > 0xdbff) return String.fromCharCode(first);
    if (!this.#text.startsWith('\\u', this.#at)) return undefined;
    this.#at += 2;
    const second = this.#hexUnit();
    if (second === undefined || second < 0xdc00 || second > 0xdfff) return undefined;
    return String.fromCharCode(first, second);
  }

  #hexUnit(): number | undefined {
    const digits = this.#text.slice(this.#at, this.#at + 4);
    this.#at += 4;
    return /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : undefined;
  }

  #take(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /** cJSON takes every control character for space. */
  #skipSpace(): void {
    while (this.#at < this.#bytes.length && this.#bytes[this.#at]! <= 0x20) this.#at += 1;
  }
}

/** A C string ends at its first NUL. */
export function upToNul(bytes: Uint8Array): Uint8Array {
  const nul = bytes.indexOf(0);
  return nul < 0 ? bytes : bytes.subarray(0, nul);
}

// ------------------------------------------------------------------------------------------------- writing

/** @param pretty one member a line, indented with tabs; arrays stay on their line */
export function jsonBytes(value: JsonValue, pretty: boolean): Buffer {
  const parts: Buffer[] = [];
  write(parts, value, pretty, 0);
  return Buffer.concat(parts);
}

function write(parts: Buffer[], value: JsonValue, pretty: boolean, depth: number): void {
  switch (value.kind) {
    case 'object':
      writeObject(parts, value.members, pretty, depth + 1);
      return;
    case 'array':
      writeArray(parts, value.items, pretty, depth + 1);
      return;
    case 'string':
      writeString(parts, value.bytes);
      return;
    case 'number':
      parts.push(Buffer.from(numberText(value.value)));
      return;
    case 'literal':
      parts.push(Buffer.from(value.text));
      return;
  }
}

function writeObject(parts: Buffer[], members: readonly JsonMember[], pretty: boolean, depth: number): void {
  parts.push(Buffer.from(pretty ? '{\n' : '{'));
  members.forEach(([name, value], index) => {
    if (pretty) parts.push(Buffer.from('\t'.repeat(depth)));
    writeString(parts, name);
    parts.push(Buffer.from(pretty ? ':\t' : ':'));
    write(parts, value, pretty, depth);
    const isLast = index === members.length - 1;
    parts.push(Buffer.from((isLast ? '' : ',') + (pretty ? '\n' : '')));
  });
  parts.push(Buffer.from(pretty ? `${'\t'.repeat(depth - 1)}}` : '}'));
}

function writeArray(parts: Buffer[], items: readonly JsonValue[], pretty: boolean, depth: number): void {
  parts.push(Buffer.from('['));
  items.forEach((item, index) => {
    if (index > 0) parts.push(Buffer.from(pretty ? ', ' : ','));
    write(parts, item, pretty, depth);
  });
  parts.push(Buffer.from(']'));
}

/** Escapes what has to be; all other bytes stay as they are. */
function writeString(parts: Buffer[], bytes: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const escaped = text.replace(/[\x00-\x1f"\\]/g, escapeCharacter);
  parts.push(Buffer.from(`"${escaped}"`, 'latin1'));
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

function escapeCharacter(character: string): string {
  return ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** 15 digits if they say the same number but for the last bit, else 17. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return 'null';
  const short = formatGeneral(value, 15);
  const difference = Math.abs(Number(short) - value);
  const tolerance = Math.max(Math.abs(value), Math.abs(Number(short))) * Number.EPSILON;
  return difference <= tolerance ? short : formatGeneral(value, 17);
}

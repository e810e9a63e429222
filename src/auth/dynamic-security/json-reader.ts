/**
 * JSON as Mosquitto's plugin reads it, which differs from `JSON.parse` where files and requests show it: names of
 * fields are found without regard to case, of a repeated name the first one counts, `\u0000` ends a string, and what
 * follows the value is ignored. Each object knows where it begins, so that a fault can name its line.
 */
import { isUtf8 } from 'node:buffer';
import { asBuffer } from '../../base/as-buffer.js';

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject;

export class JsonObject {
  /** Where it begins in the text. */
  readonly at: number;
  /** By name in lower case. */
  readonly #fields = new Map<string, JsonValue>();

  constructor(at: number) {
    this.at = at;
  }

  add(name: string, value: JsonValue): void {
    const key = lowerCase(name);
    if (!this.#fields.has(key)) this.#fields.set(key, value);
  }

  get(name: string): JsonValue | undefined {
    return this.#fields.get(lowerCase(name));
  }

  /** @returns `undefined` if it is absent or of another type */
  text(name: string): string | undefined {
    const value = this.get(name);
    return typeof value === 'string' ? value : undefined;
  }
}

export class JsonFault extends Error {
  readonly at: number;

  constructor(at: number, message: string) {
    super(message);
    this.at = at;
  }
}

/** Objects and arrays within each other. */
const DEPTH_MAX = 1000;

/** @throws {JsonFault} */
export function readJson(text: string): JsonValue {
  return new Reader(text).read();
}

/** A character that no text may have, in place of bytes that are no UTF-8: whoever checks the text refuses it. */
const NO_CHARACTER = '\uFFFE';

export function decodeJsonText(bytes: Uint8Array): string {
  const text = asBuffer(bytes).toString('utf8');
  return isUtf8(bytes) ? text : text.replaceAll('\uFFFD', NO_CHARACTER);
}

/** The line of a place in the text, counted from 1. */
export function lineOf(text: string, at: number): number {
  let line = 1;
  for (let next = text.indexOf('\n'); next >= 0 && next < at; next = text.indexOf('\n', next + 1)) line += 1;
  return line;
}

function lowerCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

const NUMBER = /[-+0-9.eE]+/y;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

class Reader {
  readonly #text: string;
  #at: number;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
    this.#at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  }

  read(): JsonValue {
    this.#skipSpace();
    const text = this.#text;
    switch (text[this.#at]) {
      case undefined:
        throw new JsonFault(this.#at, 'the text ends where a value has to be');
      case '{':
        return this.#nested(() => this.#object());
      case '[':
        return this.#nested(() => this.#array());
      case '"':
        return this.#string();
      default:
        return this.#word();
    }
  }

  #nested<T>(read: () => T): T {
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX)
      throw new JsonFault(this.#at, `more than ${DEPTH_MAX} values lie in each other`);
    const value = read();
    this.#depth -= 1;
    return value;
  }

  #object(): JsonObject {
    const object = new JsonObject(this.#at);
    this.#at += 1;
    if (this.#takes('}')) return object;
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') this.#refuse('the name of a field, in double quotes,');
      const name = this.#string();
      if (!this.#takes(':')) this.#refuse('a colon');
      object.add(name, this.read());
    } while (this.#takes(','));
    if (!this.#takes('}')) this.#refuse('a comma or "}"');
    return object;
  }

  #array(): JsonValue[] {
    const values: JsonValue[] = [];
    this.#at += 1;
    if (this.#takes(']')) return values;
    do values.push(this.read());
    while (this.#takes(','));
    if (!this.#takes(']')) this.#refuse('a comma or "]"');
    return values;
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at + 1;
    let end = start;
    let isPlain = true;
    for (; ; end += 1) {
      const code = text.charCodeAt(end);
      if (Number.isNaN(code)) throw new JsonFault(this.#at, 'the text ends within a string');
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        isPlain = false;
        end += 1;
      }
    }
    const raw = text.slice(start, end);
    const value = isPlain ? raw : this.#unescape(raw, start);
    this.#at = end + 1;
    const zero = value.indexOf('\0');
    return zero < 0 ? value : value.slice(0, zero);
  }

  #unescape(raw: string, start: number): string {
    const value = raw.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gs, (written, hex?: string, letter?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      const character = ESCAPES[letter!];
      if (character === undefined) throw new JsonFault(start, `there is no escape "${written}"`);
      return character;
    });
    if (/[\ud800-\udfff]/u.test(value))
      throw new JsonFault(start, 'half of a surrogate pair is no character');
    return value;
  }

  #word(): JsonValue {
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (!this.#text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    NUMBER.lastIndex = this.#at;
    const written = NUMBER.exec(this.#text)?.[0] ?? '';
    const number = Number(written);
    if (written === '' || Number.isNaN(number)) this.#refuse('a value');
    this.#at += written.length;
    return number;
  }

  #takes(character: string): boolean {
    this.#skipSpace();
    if (this.#text[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  #skipSpace(): void {
    while (this.#text.charCodeAt(this.#at) <= 0x20) this.#at += 1;
  }

  #refuse(wanted: string): never {
    const found = this.#text[this.#at];
    throw new JsonFault(
      this.#at,
      found === undefined
        ? `the text ends where ${wanted} has to be`
        : `${wanted} has to be where ${JSON.stringify(found)} is`,
    );
  }
}

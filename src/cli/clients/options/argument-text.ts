/**
 * Arguments as text that loses no byte. A command line may hold bytes that are no UTF-8 (`-m $'\xff'`); Node
 * replaces them. Here each such byte stays as one half of a surrogate pair, U+DC80 to U+DCFF, which no valid text
 * has, so that payloads come out again byte for byte and a topic's malformed UTF-8 can be told.
 */
import { readFileSync } from 'node:fs';

const REPLACEMENT = '\ufffd';
const LONE_SURROGATE = /\p{Surrogate}/u;
const FIRST_ESCAPE = 0xdc00;

/** The words after the program's name. */
export function programArguments(): string[] {
  const words = process.argv.slice(2);
  if (!words.some((word) => word.includes(REPLACEMENT))) return words;
  return rawArguments(words.length) ?? words;
}

/** The last `count` words of the command line as the kernel has them; `undefined` if it does not show them. */
function rawArguments(count: number): string[] | undefined {
  try {
    const all = splitAtNul(readFileSync('/proc/self/cmdline'));
    return all.slice(all.length - count).map(decodeText);
  } catch {
    return undefined;
  }
}

function splitAtNul(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return parts;
}

/** Bytes as text; bytes that are not UTF-8 become surrogates, as the head of this file says. */
export function decodeText(bytes: Buffer): string {
  const text = bytes.toString();
  if (!text.includes(REPLACEMENT)) return text;
  let decoded = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes, at);
    decoded +=
      length === 0 ? String.fromCharCode(FIRST_ESCAPE + bytes[at]!) : bytes.toString('utf8', at, at + length);
    at += length || 1;
  }
  return decoded;
}

/** Bytes of the UTF-8 character at `at`; 0 = there is none. */
function characterLength(bytes: Buffer, at: number): number {
  const lead = bytes[at]!;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const end = Math.min(at + length, bytes.length);
  const isReplacementItself = bytes.toString('latin1', at, end) === '\xef\xbf\xbd';
  return isReplacementItself || !bytes.toString('utf8', at, end).includes(REPLACEMENT) ? length : 0;
}

/** The original bytes of the text. */
export function textBytes(text: string): Buffer {
  if (isWellFormed(text)) return Buffer.from(text);
  const parts: Buffer[] = [];
  for (const character of text) {
    const code = character.charCodeAt(0);
    const escaped = character.length === 1 && LONE_SURROGATE.test(character);
    parts.push(escaped ? Buffer.of(code - FIRST_ESCAPE) : Buffer.from(character));
  }
  return Buffer.concat(parts);
}

/** Bytes of the longest string: its length goes into two bytes [MQTT 5.0, 1.5.4]. */
const STRING_BYTES_MAX = 0xffff;

/** Control characters and non-characters, which receivers may take for malformed [MQTT 5.0, 1.5.4]. */
const DISALLOWED = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;

/** Whether it can be a string in a packet, for receivers that are as strict as Mosquitto. */
export function isPacketString(text: string): boolean {
  return isWellFormed(text) && !DISALLOWED.test(text) && Buffer.byteLength(text) <= STRING_BYTES_MAX;
}

/** Whether it can be binary data in a packet. */
export function isPacketData(bytes: Uint8Array): boolean {
  return bytes.length <= STRING_BYTES_MAX;
}

/** Whether all bytes of the argument were UTF-8. */
export function isWellFormed(text: string): boolean {
  return !LONE_SURROGATE.test(text);
}

/** UTF-8 strings as MQTT wants them [MQTT 5.0, 1.5.4]. */
import { asBuffer } from './as-buffer.js';

/**
 * Whether the bytes are well-formed UTF-8 without U+0000 [MQTT-1.5.4-2]: no surrogates [MQTT-1.5.4-1], no overlong
 * forms, nothing above U+10FFFF. U+FEFF is a character like any other [MQTT-1.5.4-3].
 */
export function isValidUtf8(buffer: Uint8Array, start: number, end: number): boolean {
  let at = start;
  while (at < end) {
    const lead = buffer[at]!;
    if (lead < 0x80) {
      if (lead === 0) return false;
      at += 1;
      continue;
    }
    const length = sequenceLength(lead);
    if (length === 0 || at + length > end) return false;
    const second = buffer[at + 1]!;
    if (second < secondByteMin(lead) || second > secondByteMax(lead)) return false;
    for (let i = at + 2; i < at + length; i += 1) {
      if ((buffer[i]! & 0xc0) !== 0x80) return false;
    }
    at += length;
  }
  return true;
}

/**
 * Whether the bytes are valid, and without control characters (U+0001 to U+001F, U+007F to U+009F) and non-characters
 * (U+FDD0 to U+FDEF, and the last two of each plane) [MQTT 5.0, 1.5.4]. Mosquitto's clients refuse a packet with them,
 * and reconnect for ever to a broker that sends it again.
 */
export function isPlainUtf8(buffer: Uint8Array, start: number, end: number): boolean {
  let isAscii = true;
  for (let i = start; i < end; i += 1) {
    const byte = buffer[i]!;
    if (byte < 0x20 || byte === 0x7f) return false;
    if (byte >= 0x80) isAscii = false;
  }
  return isAscii || (isValidUtf8(buffer, start, end) && !hasUnwantedCharacter(buffer, start, end));
}

/** Whether valid UTF-8 has a control character from U+0080 on, or a non-character. */
function hasUnwantedCharacter(buffer: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i += 1) {
    const lead = buffer[i]!;
    if (lead === 0xc2) {
      if (buffer[i + 1]! < 0xa0) return true;
    } else if (lead === 0xef) {
      const second = buffer[i + 1]!;
      const third = buffer[i + 2]!;
      if (second === 0xb7 && third >= 0x90 && third <= 0xaf) return true;
      if (second === 0xbf && third >= 0xbe) return true;
    } else if (lead >= 0xf0) {
      const endsPlane = (buffer[i + 1]! & 0x0f) === 0x0f && buffer[i + 2] === 0xbf;
      if (endsPlane && buffer[i + 3]! >= 0xbe) return true;
    }
  }
  return false;
}

/** Bytes of a character by its first byte, 0 if no character begins so. C0 and C1 would be overlong. */
function sequenceLength(lead: number): number {
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

/** Overlong forms are told by the second byte. */
function secondByteMin(lead: number): number {
  if (lead === 0xe0) return 0xa0;
  return lead === 0xf0 ? 0x90 : 0x80;
}

/** So are surrogates (ED A0 .. ED BF) and what lies above U+10FFFF (F4 90 ..). */
function secondByteMax(lead: number): number {
  if (lead === 0xed) return 0x9f;
  return lead === 0xf4 ? 0x8f : 0xbf;
}

/** @returns the text, or `undefined` if the bytes are not valid */
export function decodeUtf8(buffer: Uint8Array, start: number, end: number): string | undefined {
  if (!isValidUtf8(buffer, start, end)) return undefined;
  return asBuffer(buffer).toString('utf8', start, end);
}

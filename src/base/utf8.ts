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

/** Topic names, to which messages are published [MQTT 5.0, 4.7]. */
import { isPlainUtf8 } from '../base/utf8.js';

/** Bytes of the longest topic name or filter: its length goes into two bytes [MQTT-4.7.3-3]. */
const TOPIC_BYTES_MAX = 0xffff;

/** The most '/' that a topic name or filter may have [mosq: topics]. */
const TOPIC_SEPARATORS_MAX = 200;

/** Half of a character, which has no UTF-8 form [MQTT-1.5.4-1]. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** The character that topics of the broker's own begin with. */
export const DOLLAR = 0x24;

const SPACE = 0x20;
const SLASH = 0x2f;
const PLUS = 0x2b;
const HASH = 0x23;
const DELETE = 0x7f;

/**
 * Whether the bytes are a topic name: one character or more [MQTT-4.7.3-1], UTF-8 without U+0000 [MQTT-4.7.3-2],
 * no control characters and non-characters, no wildcards [MQTT-3.3.2-2], not too many levels.
 */
export function isValidTopicName(buffer: Uint8Array, start: number, end: number): boolean {
  if (start >= end || end - start > TOPIC_BYTES_MAX) return false;
  let separators = 0;
  let ascii = true;
  for (let i = start; i < end; i += 1) {
    const byte = buffer[i]!;
    if (byte === PLUS || byte === HASH || byte < SPACE || byte === DELETE) return false;
    if (byte === SLASH) separators += 1;
    else if (byte >= 0x80) ascii = false;
  }
  return separators <= TOPIC_SEPARATORS_MAX && (ascii || isPlainUtf8(buffer, start, end));
}

/** Whether the text would be a topic name if only it had fewer levels. */
export function hasTooManyLevels(text: string): boolean {
  return !/[+#\0]/.test(text) && countSeparators(text) > TOPIC_SEPARATORS_MAX;
}

/** Whether the text is a topic name. */
export function isValidTopicNameText(topic: string): boolean {
  return !topic.includes('+') && !topic.includes('#') && isTopicText(topic);
}

/** The rules that names and filters share: length, characters, number of levels. */
export function isTopicText(text: string): boolean {
  if (text === '' || text.includes('\0') || LONE_SURROGATE.test(text)) return false;
  // A UTF-16 unit takes up to three bytes; only long texts need to be measured.
  if (text.length * 3 > TOPIC_BYTES_MAX && Buffer.byteLength(text) > TOPIC_BYTES_MAX) return false;
  return countSeparators(text) <= TOPIC_SEPARATORS_MAX;
}

function countSeparators(text: string): number {
  let count = 0;
  for (let at = text.indexOf('/'); at >= 0; at = text.indexOf('/', at + 1)) count += 1;
  return count;
}

/** Below `$SYS`: the broker's own topics, which every worker holds and no store keeps. */
export function isSysTopic(topic: string): boolean {
  return topic.startsWith('$SYS');
}

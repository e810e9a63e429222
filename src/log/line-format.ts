/**
 * Formats log lines: the timestamp, the length, and one line whatever a client puts into it.
 */
import { strftime } from './strftime.js';

/** Bytes of a line with its line end; longer ones are cut, as Mosquitto cuts them. */
export const LINE_BYTES_MAX = 1000;

/** Most bytes that UTF-8 needs for a UTF-16 unit. */
const BYTES_PER_UNIT_MAX = 3;

const cutBuffer = new Uint8Array(LINE_BYTES_MAX);
const encoder = new TextEncoder();

/** Cuts between two characters. @param bytesMax at most `LINE_BYTES_MAX` */
export function cutToBytes(text: string, bytesMax: number): string {
  if (text.length * BYTES_PER_UNIT_MAX <= bytesMax) return text;
  const { read } = encoder.encodeInto(text, cutBuffer.subarray(0, bytesMax));
  return read === text.length ? text : text.slice(0, read);
}

/** Control characters except the tab, which Mosquitto's lines use, and Unicode's own line ends. */
const HARMFUL = /[\0-\x08\n-\x1f\x7f-\x9f\u2028\u2029]/;
const ALL_HARMFUL = new RegExp(HARMFUL, 'g');

/**
 * Escapes what would end the line early or steer a terminal: client ids and topics come from anyone, and a newline
 * in one of them must not forge a log entry. `\n` becomes `\x0a`.
 */
export function harmless(text: string): string {
  return HARMFUL.test(text) ? text.replace(ALL_HARMFUL, escapeCharacter) : text;
}

function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? `\\u${code.toString(16)}` : `\\x${code.toString(16).padStart(2, '0')}`;
}

/** `log_timestamp` and `log_timestamp_format`. */
export interface TimestampOptions {
  logTimestamp: boolean;
  /** As of strftime(3); without it, seconds since 1970. */
  logTimestampFormat: string | undefined;
}

/** @returns gives what a line of this time, in milliseconds since the epoch, begins with */
export function timestampPrefix({
  logTimestamp,
  logTimestampFormat,
}: TimestampOptions): (time: number) => string {
  if (!logTimestamp) return () => '';
  let secondOfPrefix = Number.NaN;
  let prefix = '';
  return (time) => {
    const second = Math.floor(time / 1000);
    if (second !== secondOfPrefix) {
      secondOfPrefix = second;
      prefix = `${logTimestampFormat === undefined ? second : formatTime(logTimestampFormat, time)}: `;
    }
    return prefix;
  };
}

function formatTime(format: string, time: number): string {
  // As Mosquitto has it for a format that says nothing.
  return harmless(strftime(format, new Date(time))) || 'Time error';
}

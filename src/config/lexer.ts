/**
 * Splits the bytes of a configuration file into lines of a name and the rest. It knows no option.
 *
 * [mosq: mosquitto.conf] A comment has `#` as the very first byte; the name ends at the first space; a TAB is not
 * a space; all CR and LF at the end of a line go.
 */

export interface ConfigLine {
  /** 1 for the first line of the file. */
  readonly number: number;
  readonly name: string;
  /** All that follows the space after the name; empty when there is nothing. */
  readonly rest: string;
  /** The rest is not UTF-8, or holds control characters: no string may be taken from it. */
  readonly malformed: boolean;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const numberSign = 0x23;

/** C0 and C1 control characters and the noncharacters of the basic plane. */
const notText = /[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]/;

/** A byte order mark is kept: it is part of the first name, which the parser does not know then. */
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const lenientUtf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The lines of a file that carry an option, in order. Never fails: the parser reports faults. */
export function configLines(bytes: Uint8Array): ConfigLine[] {
  const lines: ConfigLine[] = [];
  let number = 0;
  for (let start = 0; start < bytes.length; ) {
    const lineFeedAt = bytes.indexOf(lineFeed, start);
    const end = lineFeedAt === -1 ? bytes.length : lineFeedAt;
    number++;
    const line = configLine(bytes.subarray(start, end), number);
    if (line !== undefined) lines.push(line);
    start = end + 1;
  }
  return lines;
}

function configLine(bytes: Uint8Array, number: number): ConfigLine | undefined {
  if (bytes[0] === numberSign || bytes[0] === carriageReturn) return undefined;
  const { text, isUtf8 } = decode(bytes);
  const content = text.replace(/\r+$/, '').replace(/^ +/, '');
  if (content === '') return undefined;
  const nameEnd = content.indexOf(' ');
  if (nameEnd === -1) return { number, name: content, rest: '', malformed: false };
  const rest = content.slice(nameEnd + 1);
  return {
    number,
    name: content.slice(0, nameEnd),
    rest,
    malformed: !isUtf8 || notText.test(trimSpace(rest)),
  };
}

function decode(bytes: Uint8Array): { text: string; isUtf8: boolean } {
  try {
    return { text: strictUtf8.decode(bytes), isUtf8: true };
  } catch {
    return { text: lenientUtf8.decode(bytes), isUtf8: false };
  }
}

/** The words of a value; only spaces separate them. */
export function words(rest: string): string[] {
  return rest.split(' ').filter((word) => word !== '');
}

/** A string without the white space of C's isspace(3) around it. */
export function trimSpace(text: string): string {
  return text.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, '');
}

/**
 * Packets written down as bytes, so that tables of them can be read. Three kinds of words, spaces between them:
 *
 *   003c      hexadecimal digits, as they are
 *   "text"    text behind its length in two bytes, as MQTT has its strings
 *   'text'    text as it is
 */
import { varintLength, writeVarint } from '../../src/mqtt/varint.js';

const word = /\s*(?:"([^"]*)"|'([^']*)'|((?:[0-9a-fA-F]{2})+))(?=\s|$)/y;

export function bytes(text: string): Buffer {
  const parts: Buffer[] = [];
  word.lastIndex = 0;
  while (word.lastIndex < text.trimEnd().length) {
    const match = word.exec(text);
    if (match === null) throw new Error(`not a word of bytes: ${text}`);
    const [, prefixed, plain, hex] = match;
    if (prefixed !== undefined) parts.push(withLength(prefixed));
    else parts.push(plain !== undefined ? Buffer.from(plain) : Buffer.from(hex!, 'hex'));
  }
  return Buffer.concat(parts);
}

/** A whole packet: the first byte and the remaining length are put in front of the body. */
export function packetBytes(firstByte: number, body: string): Buffer {
  const content = bytes(body);
  const header = Buffer.alloc(1 + varintLength(content.length));
  header[0] = firstByte;
  writeVarint(header, 1, content.length);
  return Buffer.concat([header, content]);
}

function withLength(text: string): Buffer {
  const content = Buffer.from(text);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(content.length);
  return Buffer.concat([length, content]);
}

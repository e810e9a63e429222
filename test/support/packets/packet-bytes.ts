/**
 * Packets written down as bytes, so that tables of them can be read. Three kinds of words, with or without spaces between them:
 *
 *   003c      hexadecimal digits, as they are
 *   "text"    text behind its length in two bytes, as MQTT has its strings
 *   'text'    text as it is
 */
import assert from 'node:assert/strict';
import { decodePacket, type PacketOrigin } from '../../../src/mqtt/decode.js';
import type { PacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { varintLength, writeVarint } from '../../../src/mqtt/varint.js';

const word = /\s*(?:"([^"]*)"|'([^']*)'|((?:[0-9a-fA-F]{2})+))/y;

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

/** Decodes one packet; that the bytes are exactly one packet is part of the test. */
export function decodeWhole(
  packet: Uint8Array,
  version: ProtocolVersion,
  origin: PacketOrigin,
): Packet | PacketError {
  let bodyStart = 1;
  let remainingLength = 0;
  for (let shift = 0; bodyStart <= 4; shift += 7) {
    const byte = packet[bodyStart++]!;
    remainingLength |= (byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  assert.equal(packet.length, bodyStart + remainingLength, 'remaining length');
  return decodePacket(packet, 0, bodyStart, packet.length, version, origin);
}

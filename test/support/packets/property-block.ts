import type { PacketError } from '../../../src/mqtt/packet-error.js';
import { PacketReader } from '../../../src/mqtt/packet-reader.js';
import type { Properties } from '../../../src/mqtt/packets.js';
import { type PropertyHolder, readProperties } from '../../../src/mqtt/properties.js';
import { varintLength, writeVarint } from '../../../src/mqtt/varint.js';

/** Properties as `encodeProperties` makes them: without the length that packets have in front of them. */
export function decodeProperties(block: Uint8Array, holder: PropertyHolder): Properties | PacketError {
  const length = Buffer.alloc(varintLength(block.length));
  writeVarint(length, 0, block.length);
  const bytes = Buffer.concat([length, block]);
  const reader = new PacketReader(bytes, 0, bytes.length, holder.toUpperCase());
  const properties = readProperties(reader, holder);
  return reader.error ?? properties;
}

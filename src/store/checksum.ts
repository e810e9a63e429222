/** The checksum at the end of a record: CRC-32, as in zip files, so that each change of up to three bits is found. */
import * as zlib from 'node:zlib';

export const CHECKSUM_LENGTH = 4;

/** Of bytes that end with their own CRC-32, least significant byte first. */
const CRC_OF_WHOLE = 0x2144df1c;

type Crc32 = (bytes: Uint8Array) => number;

/** Node has it since version 20.15, and it is the faster one from 70 bytes on. */
export const crc32: Crc32 = (zlib as { crc32?: Crc32 }).crc32 ?? tableCrc32;

/** Writes the checksum of all that is before it. @param record with room for it at the end */
export function seal(record: Buffer): Buffer {
  const end = record.length - CHECKSUM_LENGTH;
  record.writeUInt32LE(crc32(record.subarray(0, end)), end);
  return record;
}

export function isSealed(record: Uint8Array): boolean {
  const { length, byteLength } = record;
  if (length < CHECKSUM_LENGTH) return false;
  // LMDB's binding may give a larger buffer whose length it has set.
  return crc32(length === byteLength ? record : record.subarray(0, length)) === CRC_OF_WHOLE;
}

let table: Int32Array | undefined;

/** For older versions of Node. */
export function tableCrc32(bytes: Uint8Array): number {
  table ??= makeTable();
  let crc = -1;
  for (let i = 0; i < bytes.length; i += 1) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ -1) >>> 0;
}

function makeTable(): Int32Array {
  return Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    return crc;
  });
}

/**
 * The bytes that records are made of: big-endian numbers, and texts and byte strings that begin with their length.
 * Reading is strict: what does not fit is a `DamagedRecordError`, never a guess.
 */

import { asBuffer } from '../base/as-buffer.js';
import { copyBytes } from '../base/copy-bytes.js';
import { NO_BYTES } from '../base/no-bytes.js';
import { isValidUtf8 } from '../base/utf8.js';
import { writeVarint } from '../mqtt/varint.js';
import { CHECKSUM_LENGTH, isSealed, seal } from './checksum.js';

/** A record that nothing of ours wrote, or that has rotted. */
export class DamagedRecordError extends Error {
  override readonly name = 'DamagedRecordError';
}

/** The version of a record that ends with a checksum: far from all others, should it be a bit of this byte that flips. */
export const SEALED = 0xa5;

/** Collects the fields of one record. */
export class RecordWriter {
  #scratch = Buffer.allocUnsafe(4096);
  #length = 0;

  start(): this {
    this.#length = 0;
    return this;
  }

  get length(): number {
    return this.#length;
  }

  /** Puts a number where four bytes were left for it. */
  uint32At(position: number, value: number): void {
    this.#scratch.writeUInt32BE(value, position);
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#scratch[this.#length] = value;
    this.#length += 1;
    return this;
  }

  uint16(value: number): this {
    this.#reserve(2);
    this.#length = this.#scratch.writeUInt16BE(value, this.#length);
    return this;
  }

  uint32(value: number): this {
    this.#reserve(4);
    this.#length = this.#scratch.writeUInt32BE(value, this.#length);
    return this;
  }

  float64(value: number): this {
    this.#reserve(8);
    this.#length = this.#scratch.writeDoubleBE(value, this.#length);
    return this;
  }

  varint(value: number): this {
    this.#reserve(4);
    this.#length = writeVarint(this.#scratch, this.#length, value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    return this.part(bytes, 0, bytes.length);
  }

  /** `bytes[start, end)` */
  part(bytes: Uint8Array, start: number, end: number): this {
    this.#reserve(end - start);
    copyBytes(bytes, start, end, this.#scratch, this.#length);
    this.#length += end - start;
    return this;
  }

  text(text: string): this {
    if (text === '') return this.varint(0);
    const length = Buffer.byteLength(text);
    this.varint(length).#reserve(length);
    this.#length += this.#scratch.write(text, this.#length);
    return this;
  }

  /** @returns the record, with `rest[start, end)` and its checksum at its end, in memory of its own */
  finish(rest: Uint8Array = NO_BYTES, start = 0, end = rest.length): Buffer {
    const record = Buffer.allocUnsafe(this.#length + end - start + CHECKSUM_LENGTH);
    copyBytes(this.#scratch, 0, this.#length, record, 0);
    copyBytes(rest, start, end, record, this.#length);
    return seal(record);
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#scratch.length) return;
    const larger = Buffer.allocUnsafe(2 * (this.#length + length));
    this.#scratch.copy(larger, 0, 0, this.#length);
    this.#scratch = larger;
  }
}

/** Records are written one after the other, so one is enough for a thread. */
export const writer = new RecordWriter();

/** Reads the fields of one record in turn. Every method throws `DamagedRecordError` at the end of the record. */
export class RecordReader {
  readonly #record: Buffer;
  #position = 0;
  /** Where its fields end. */
  #recordEnd: number;
  #end: number;
  #narrowed = false;

  constructor(record: Uint8Array) {
    this.#record = asBuffer(record);
    this.#recordEnd = record.length;
    this.#end = record.length;
  }

  /**
   * Reads the version, which comes first. Records without a checksum are those of earlier versions of Midge.
   * @throws {DamagedRecordError} if the checksum is wrong
   */
  version(): number {
    const version = this.uint8();
    if (version !== SEALED) return version;
    if (!isSealed(this.#record)) throw new DamagedRecordError('its checksum is wrong');
    this.#recordEnd -= CHECKSUM_LENGTH;
    this.#end = this.#recordEnd;
    return version;
  }

  get buffer(): Buffer {
    return this.#record;
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  uint8(): number {
    return this.#record[this.#advance(1)]!;
  }

  uint16(): number {
    return this.#record.readUInt16BE(this.#advance(2));
  }

  uint32(): number {
    return this.#record.readUInt32BE(this.#advance(4));
  }

  /** Milliseconds since the epoch. */
  time(): number {
    const value = this.#record.readDoubleBE(this.#advance(8));
    if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) throw new DamagedRecordError(`time ${value}`);
    return value;
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.uint8();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new DamagedRecordError('an integer of more than four bytes');
  }

  bytes(length: number): Uint8Array {
    if (length === 0) return NO_BYTES;
    const start = this.#advance(length);
    return this.#record.subarray(start, start + length);
  }

  text(): string {
    return this.textOf(this.varint());
  }

  textToEnd(): string {
    return this.textOf(this.remaining);
  }

  textOf(length: number): string {
    if (length === 0) return '';
    const start = this.#advance(length);
    if (!isValidUtf8(this.#record, start, start + length))
      throw new DamagedRecordError('text that is not UTF-8');
    return this.#record.toString('utf8', start, start + length);
  }

  end(): void {
    if (this.remaining !== 0) throw new DamagedRecordError(`${this.remaining} bytes too many`);
  }

  /** Skips a number of bytes. @returns where they begin */
  skip(length: number): number {
    return this.#advance(length);
  }

  /** From here on the record seems to end after this number of bytes. */
  narrow(length: number): void {
    if (length > this.remaining) throw new DamagedRecordError('the record is cut off');
    this.#end = this.#position + length;
    this.#narrowed = true;
  }

  /** Goes on behind what it was narrowed down to, if it was. */
  widen(): void {
    if (!this.#narrowed) return;
    this.#position = this.#end;
    this.#end = this.#recordEnd;
    this.#narrowed = false;
  }

  #advance(length: number): number {
    if (length > this.remaining) throw new DamagedRecordError('the record is cut off');
    const position = this.#position;
    this.#position += length;
    return position;
  }
}

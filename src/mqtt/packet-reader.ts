/**
 * Reads the fields of one packet in order. The first fault is in `error`, and everything read
 * after it is empty: a decoder reads straight on and asks once at the end.
 */

import { decodeUtf8, isPlainUtf8 } from '../base/utf8.js';
import { PacketError } from './packet-error.js';
import { ReasonCode } from './reason-codes.js';

const EMPTY = new Uint8Array(0);

export class PacketReader {
  /** The packet's name, for messages. */
  readonly packetName: string;
  position: number;
  readonly end: number;
  error: PacketError | undefined = undefined;
  readonly #buffer: Uint8Array;
  readonly #start: number;

  constructor(buffer: Uint8Array, start: number, end: number, packetName: string) {
    this.packetName = packetName;
    this.#buffer = buffer;
    this.#start = start;
    this.position = start;
    this.end = end;
  }

  /** False at the end and after an error, so that loops over what is left stop. */
  get hasMore(): boolean {
    return this.position < this.end;
  }

  fail(error: PacketError): void {
    this.error ??= error;
    this.position = this.end;
  }

  /** The bytes cannot be parsed [MQTT 5.0, 4.13.1]. */
  malformed(what: string): void {
    this.fail(new PacketError(ReasonCode.malformedPacket, `${this.packetName} packet with ${what}.`));
  }

  /** The bytes can be parsed, but say what must not be said. */
  violation(what: string): void {
    this.fail(new PacketError(ReasonCode.protocolError, `${this.packetName} packet with ${what}.`));
  }

  byte(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#buffer[at]!;
  }

  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : (this.#buffer[at]! << 8) | this.#buffer[at + 1]!;
  }

  uint32(): number {
    const at = this.#take(4);
    if (at < 0) return 0;
    const buffer = this.#buffer;
    return ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
  }

  /** A variable byte integer, in as few bytes as it needs [MQTT-1.5.5-1]. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte === 0 && shift > 0) break;
      if (byte < 0x80) return value;
    }
    this.malformed('overlong variable byte integer');
    return 0;
  }

  /**
   * A UTF-8 string behind its length.
   * @param what its name, for messages
   * @param reasonCode of a string that is no UTF-8, or has characters that Mosquitto refuses
   */
  text(what: string, reasonCode: number = ReasonCode.malformedPacket): string {
    const length = this.uint16();
    const at = this.#take(length);
    if (at < 0) return '';
    const text = decodeUtf8(this.#buffer, at, at + length);
    if (text !== undefined && isPlainUtf8(this.#buffer, at, at + length)) return text;
    const fault = text === undefined ? 'malformed UTF-8' : 'a control character or non-character';
    this.fail(new PacketError(reasonCode, `${this.packetName} packet with ${fault} in ${what}.`));
    return '';
  }

  /** Binary data behind its length, as a copy: the buffer is used again. */
  binary(): Uint8Array {
    return this.#copy(this.uint16());
  }

  /** All that is left, as a copy. */
  rest(): Uint8Array {
    return this.#copy(this.end - this.position);
  }

  /** Nothing may follow what was read. */
  expectEnd(): void {
    if (this.hasMore) {
      this.malformed(`overlong remaining length (${this.end - this.#start}:${this.position - this.#start})`);
    }
  }

  #copy(length: number): Uint8Array {
    const at = this.#take(length);
    return at < 0 || length === 0 ? EMPTY : new Uint8Array(this.#buffer.subarray(at, at + length));
  }

  /** @returns where the bytes begin, or -1 when they are not there */
  #take(length: number): number {
    const at = this.position;
    if (this.error !== undefined) return -1;
    if (length > this.end - at) {
      this.malformed('incomplete data');
      return -1;
    }
    this.position = at + length;
    return at;
  }
}

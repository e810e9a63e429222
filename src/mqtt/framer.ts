/**
 * Finds the packets in a stream of bytes (hot path). Packets that lie whole in what was read are handed over where
 * they lie; only one that is cut off at the end is copied, and completed by what is read next.
 *
 *   push: [ frame | frame | fra ]     pending: [ fra ]
 *   push: [ me | frame | frame ]      pending: [ frame ] handed over, then on in place
 */

import { returnChunk, takeChunk } from '../base/chunk-pool.js';
import { NO_BYTES } from '../base/no-bytes.js';
import { PacketError, reservedPacket } from './packet-error.js';
import { ReasonCode } from './reason-codes.js';

/**
 * Takes one packet; the bytes may be overwritten after it returns.
 *
 * @param start where the packet begins
 * @param bodyStart behind its remaining length
 * @param end behind its last byte
 * @returns false to stop: no further packet is handed over until `resume`
 */
export type OnFrame = (buffer: Uint8Array, start: number, bodyStart: number, end: number) => boolean;

/** What `#readHeader` returns when there is no packet to hand over yet, or never will be. */
const INCOMPLETE = 0;
const INVALID = -1;

/** Bits of the remaining length in its first three bytes; a fourth byte is its last [MQTT 5.0, 2.1.4]. */
const LAST_SHIFT = 21;

/** Bytes first set aside for a packet that is cut off. From there the space doubles as its bytes really arrive. */
const PENDING_BYTES_MIN = 64;

/** From here on that space is lent by the pool: large packets follow one another. */
const LENT_BYTES_MIN = 16 * 1024;

export class Framer {
  /** Bytes of the largest packet that is taken, its fixed header included. May change at any time. */
  maximumPacketSize: number;
  readonly #onFrame: OnFrame;
  #stopped = false;
  /** The beginning of a packet that is not complete, or after a stop whatever came; `#pendingLength` bytes of it. */
  #pending: Buffer = NO_BYTES;
  #pendingLength = 0;
  /** Where the packet whose header was read last ends. */
  #end = 0;
  #error: PacketError | undefined = undefined;

  /** @param maximumPacketSize bytes; none given: as much as MQTT allows */
  constructor(onFrame: OnFrame, { maximumPacketSize = Number.POSITIVE_INFINITY } = {}) {
    this.#onFrame = onFrame;
    this.maximumPacketSize = maximumPacketSize;
  }

  /** Bytes set aside for what was not handed over. */
  get pendingBytes(): number {
    return this.#pending.length;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Takes the first `length` bytes of the buffer, which may be used again afterwards.
   *
   * @returns what is wrong with the stream, from where on it cannot be read: a remaining length of more than four
   * bytes, a packet that is too large, or one of type 0
   */
  push(buffer: Uint8Array, length: number): PacketError | undefined {
    if (this.#stopped) {
      this.#addPending(buffer, 0, length, 0);
      return undefined;
    }
    const at = this.#pendingLength === 0 ? 0 : this.#complete(buffer, length);
    return at === INVALID ? this.#error : this.#consume(buffer, at, length);
  }

  /** Goes on after a stop. @returns as `push` */
  resume(): PacketError | undefined {
    this.#stopped = false;
    const pending = this.#pending;
    const length = this.#pendingLength;
    this.#pending = NO_BYTES;
    this.#pendingLength = 0;
    const fault = this.push(pending, length);
    returnChunk(pending);
    return fault;
  }

  /**
   * Takes out the bytes that were not handed over, in memory of their own, so that they can be sent to another
   * thread. The packet at which the framer was stopped is not among them.
   */
  rest(): Buffer {
    const bytes = Buffer.allocUnsafeSlow(this.#pendingLength);
    this.#pending.copy(bytes, 0, 0, this.#pendingLength);
    this.#dropPending();
    return bytes;
  }

  /** Hands over the packets from `at` on, in place. */
  #consume(buffer: Uint8Array, at: number, length: number): PacketError | undefined {
    while (at < length && !this.#stopped) {
      const bodyStart = this.#readHeader(buffer, at, length);
      if (bodyStart === INVALID) return this.#error;
      const end = this.#end;
      if (bodyStart === INCOMPLETE || end > length) {
        this.#addPending(buffer, at, length, bodyStart === INCOMPLETE ? 0 : end - at);
        return undefined;
      }
      this.#stopped = !this.#onFrame(buffer, at, bodyStart, end);
      at = end;
    }
    if (at < length) this.#addPending(buffer, at, length, length - at);
    return undefined;
  }

  /**
   * Completes the packet whose beginning is pending.
   * @returns how many bytes of the buffer that took
   */
  #complete(buffer: Uint8Array, length: number): number {
    let at = 0;
    let bodyStart = this.#readHeader(this.#pending, 0, this.#pendingLength);
    while (bodyStart === INCOMPLETE) {
      if (at === length) return at;
      this.#addPending(buffer, at, at + 1, 0);
      at += 1;
      bodyStart = this.#readHeader(this.#pending, 0, this.#pendingLength);
    }
    if (bodyStart === INVALID) return INVALID;
    const frameLength = this.#end;
    const copied = Math.min(length - at, frameLength - this.#pendingLength);
    this.#addPending(buffer, at, at + copied, frameLength);
    if (this.#pendingLength === frameLength) {
      const frame = this.#pending;
      this.#pending = NO_BYTES;
      this.#pendingLength = 0;
      this.#stopped = !this.#onFrame(frame, 0, bodyStart, frameLength);
      returnChunk(frame);
    }
    return at + copied;
  }

  /**
   * Reads the fixed header of the packet at `at`, as far as it is there, and finds the packet's end. A remaining
   * length in more bytes than needed is taken, as Mosquitto does.
   *
   * @returns where its body begins, INCOMPLETE or INVALID
   */
  #readHeader(buffer: Uint8Array, at: number, length: number): number {
    // Type 0: what follows is no packet either, and may never be complete.
    if (buffer[at]! < 0x10) return this.#fail(reservedPacket());
    let bodyStart = at + 1;
    let remainingLength = 0;
    for (let shift = 0; bodyStart < length; shift += 7) {
      const byte = buffer[bodyStart]!;
      bodyStart += 1;
      remainingLength |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.#end = bodyStart + remainingLength;
        return this.#end - at <= this.maximumPacketSize ? bodyStart : this.#fail(tooLarge());
      }
      if (shift === LAST_SHIFT) return this.#fail(overlongRemainingLength());
    }
    return INCOMPLETE;
  }

  #fail(error: PacketError): number {
    this.#error = error;
    return INVALID;
  }

  /**
   * Adds `buffer[start, end)` to what is pending. However long the packet claims to be (`lengthMax`; 0 = not known yet),
   * space is only taken in proportion to what has arrived.
   */
  #addPending(buffer: Uint8Array, start: number, end: number, lengthMax: number): void {
    const length = this.#pendingLength + end - start;
    if (length > this.#pending.length) {
      const space = Math.max(PENDING_BYTES_MIN, 2 * length);
      const bytes = lengthMax < length ? space : Math.min(space, lengthMax);
      const larger = bytes < LENT_BYTES_MIN ? Buffer.allocUnsafe(bytes) : takeChunk(0, bytes);
      larger.set(this.#pending.subarray(0, this.#pendingLength));
      returnChunk(this.#pending);
      this.#pending = larger;
    }
    this.#pending.set(buffer.subarray(start, end), this.#pendingLength);
    this.#pendingLength = length;
  }

  #dropPending(): void {
    returnChunk(this.#pending);
    this.#pending = NO_BYTES;
    this.#pendingLength = 0;
  }
}

function tooLarge(): PacketError {
  return new PacketError(ReasonCode.packetTooLarge, 'Packet larger than the maximum packet size.');
}

/** Mosquitto cuts the peer off without a DISCONNECT. */
function overlongRemainingLength(): PacketError {
  const message = 'Packet with overlong remaining length.';
  return new PacketError(ReasonCode.malformedPacket, message, { silent: true });
}

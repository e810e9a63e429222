/**
 * Finds the message over which the other broker ends each connection: the first that it has not acknowledged, several
 * times in a row. It would be sent again for ever, and nothing behind it would arrive.
 */
import { ReasonCode } from '../mqtt/reason-codes.js';

/** Connections that end over a message until it is dropped. */
const ENDS_MIN = 5;

/**
 * The same at the most. A broker that ends each connection for a time, as it has no memory, must not cost many messages:
 * if nothing was acknowledged since the last one was dropped, the next one is dropped after twice as many ends.
 */
const ENDS_MAX = 40;

/** Reasons of a DISCONNECT that may be about a packet: the others are about the connection, or about all messages. */
const ABOUT_PACKETS: readonly number[] = [
  ReasonCode.unspecifiedError,
  ReasonCode.malformedPacket,
  ReasonCode.protocolError,
  ReasonCode.implementationSpecificError,
  ReasonCode.notAuthorized,
  ReasonCode.topicNameInvalid,
  ReasonCode.packetTooLarge,
  ReasonCode.payloadFormatInvalid,
  ReasonCode.retainNotSupported,
  ReasonCode.qosNotSupported,
];

export function isAboutPackets(reasonCode: number): boolean {
  return ABOUT_PACKETS.includes(reasonCode);
}

export class StuckMessage {
  #message: object | null = null;
  #ends = 0;
  #endsMax = ENDS_MIN;

  /** How many connections in a row have ended with the same message as the first that is not acknowledged. */
  get ends(): number {
    return this.#ends;
  }

  /** It is to be sent alone, so that no other message is to blame. */
  get isSuspected(): boolean {
    return this.#ends > 1;
  }

  /**
   * The other broker has ended the connection.
   * @param first the first message that was sent over it and is not acknowledged, the same object each time
   * @returns whether the message is to be dropped
   */
  ended(first: object | undefined): boolean {
    if (first === undefined || first !== this.#message) {
      this.#message = first ?? null;
      this.#ends = first === undefined ? 0 : 1;
      return false;
    }
    this.#ends += 1;
    return this.#ends >= this.#endsMax;
  }

  /** The message is dropped. */
  dropped(): void {
    this.#message = null;
    this.#ends = 0;
    this.#endsMax = Math.min(ENDS_MAX, 2 * this.#endsMax);
  }

  /** The other broker has acknowledged a message. */
  acknowledged(): void {
    this.#endsMax = ENDS_MIN;
  }
}

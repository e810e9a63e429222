/** What is wrong with a packet that a peer sent: an expected failure, so it is returned and never thrown. */
import type { ProtocolVersion } from './packets.js';
import { ReasonCode } from './reason-codes.js';

export class PacketError {
  /** An MQTT 5.0 reason code, whatever version the peer speaks. */
  readonly reasonCode: number;
  /** What the log says; see `logLine`. */
  readonly message: string;
  /** The peer gets no DISCONNECT: the connection just closes [mosq: protocol fault table]. */
  readonly silent: boolean;
  /** Of a CONNECT: the version in which it is answered, once that is known. */
  readonly version: ProtocolVersion | undefined;
  /** Of a CONNECT: the code for the CONNACK in that version; `undefined` = close without one. */
  readonly connackCode: number | undefined;
  /** Of a CONNECT of MQTT 5.0: bytes of the largest packet that the client takes, if it has said so before the fault. */
  readonly packetSizeMax: number | undefined;

  /** @param message the text after "Protocol error from ID: ", or a whole line with `{id}` or `{address}` in it */
  constructor(reasonCode: number, message: string, details: PacketErrorDetails = {}) {
    this.reasonCode = reasonCode;
    this.message = message;
    this.silent = details.silent ?? false;
    this.version = details.version;
    this.connackCode = details.connackCode;
    this.packetSizeMax = details.packetSizeMax;
  }

  /**
   * The line for Mosquitto's log, at level information.
   * @param id the client id, or the address before that is known
   */
  logLine(id: string, address: string): string {
    if (this.message.includes('{id}')) return this.message.replace('{id}', () => id);
    if (this.message.includes('{address}')) return this.message.replace('{address}', () => address);
    return `Protocol error from ${id}: ${this.message}`;
  }
}

interface PacketErrorDetails {
  silent?: boolean;
  version?: ProtocolVersion | undefined;
  connackCode?: number | undefined;
  packetSizeMax?: number | undefined;
}

/** A packet of type 0, or of one that the version does not have. */
export function reservedPacket(): PacketError {
  return new PacketError(ReasonCode.protocolError, 'RESERVED packet.');
}

export function isPacketError(value: unknown): value is PacketError {
  return value instanceof PacketError;
}

/** A connected client as its session sees it: writes down what it is sent. */
import type { Qos } from '../../../src/mqtt/packets.js';
import type { Publication } from '../../../src/mqtt/publication.js';
import type { Peer } from '../../../src/session/outbound.js';

export interface SentPublish {
  payload: string;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  packetId: number;
  identifiers: readonly number[] | null;
}

export class TestPeer implements Peer {
  readonly waitingBytes = 0;
  sendMaximum: number;
  /** Payload bytes of the largest message it takes. */
  payloadMax = Number.POSITIVE_INFINITY;
  isBlocked = false;
  readonly #sent: (SentPublish | { pubrel: number })[] = [];

  constructor(sendMaximum = 20) {
    this.sendMaximum = sendMaximum;
  }

  sendPublish(
    publication: Publication,
    qos: Qos,
    retain: boolean,
    dup: boolean,
    packetId: number,
    identifiers: readonly number[] | null,
  ): boolean {
    if (publication.payloadLength > this.payloadMax) return false;
    const payload = Buffer.from(publication.payload()).toString();
    this.#sent.push({ payload, qos, retain, dup, packetId, identifiers });
    return true;
  }

  sendPubrel(packetId: number): void {
    this.#sent.push({ pubrel: packetId });
  }

  takenOver(): void {}

  /** What was sent since the last call. */
  take(): (SentPublish | { pubrel: number })[] {
    return this.#sent.splice(0);
  }

  /** The same in short: "payload#id", with "!" for DUP, or "PUBREL#id". */
  takeShort(): string[] {
    return this.take().map((sent) => {
      if ('pubrel' in sent) return `PUBREL#${sent.pubrel}`;
      const id = sent.qos === 0 ? '' : `#${sent.packetId}`;
      return `${sent.payload}${id}${sent.dup ? '!' : ''}`;
    });
  }
}

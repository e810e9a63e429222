/**
 * What a client's session has from one connection to the next: its packet ids, messages on their way to the server, and
 * QoS 2 messages from the server that are not released yet. Knows no connection and does no I/O.
 */
import { assert } from '../base/assert.js';
import type { Properties, PublishPacket, Qos } from '../mqtt/packets.js';

/** A message to publish. */
export interface OutgoingMessage {
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: Properties;
}

/**
 * A QoS 1 or 2 message between its PUBLISH and its last acknowledgement.
 *
 *   waiting ──PUBLISH──► published ──PUBACK──► (gone)
 *                            └──PUBREC──► released ──PUBCOMP──► (gone)
 */
export interface InFlightMessage {
  readonly packetId: number;
  readonly message: OutgoingMessage;
  /** `waiting`: there was no room in the window, or no connection yet. */
  state: 'waiting' | 'published' | 'released';
}

const PACKET_ID_MAX = 0xffff;

export class ClientSession {
  /** By packet id, in the order in which they were published. */
  readonly outbound = new Map<number, InFlightMessage>();
  /** QoS 2 messages that were received and not released yet [MQTT-4.3.3-10]. */
  readonly inbound = new Map<number, PublishPacket>();
  #lastPacketId = 0;

  /** The next packet id that no message on its way uses. Ids are given in turn, also to what needs none. */
  nextPacketId(): number {
    assert(this.outbound.size < PACKET_ID_MAX, 'a packet id is free');
    do {
      this.#lastPacketId = this.#lastPacketId === PACKET_ID_MAX ? 1 : this.#lastPacketId + 1;
    } while (this.outbound.has(this.#lastPacketId));
    return this.#lastPacketId;
  }

  /**
   * Brings the messages on their way in line with what the server remembers.
   *
   * @param sessionPresent false: the server has forgotten them. A QoS 2 message that it had accepted is with its
   *   subscribers, what is not accepted starts from the beginning.
   * @returns the packet ids of messages that are thereby complete
   */
  resume(sessionPresent: boolean): number[] {
    if (sessionPresent) return [];
    this.inbound.clear();
    const complete: number[] = [];
    for (const inFlight of this.outbound.values()) {
      if (inFlight.state === 'released') complete.push(inFlight.packetId);
      else inFlight.state = 'waiting';
    }
    for (const packetId of complete) this.outbound.delete(packetId);
    return complete;
  }
}

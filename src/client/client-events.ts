/** What a client connection tells its owner, one union. Events come in the order in which things happened. */
import type {
  ConnackPacket,
  DisconnectPacket,
  Packet,
  Properties,
  PublishPacket,
  SubackPacket,
  UnsubackPacket,
} from '../mqtt/packets.js';

/** Why a connection cannot go on. */
export type ClientFault =
  /** The server sent bytes that are no MQTT, or a packet that has no place there. */
  | 'protocol-error'
  /** The server did not answer a PINGREQ in time. */
  | 'keep-alive';

export type ClientEvent =
  /** The server took the connection: CONNACK with reason code 0. */
  | { kind: 'connected'; packet: ConnackPacket }
  /** It did not; the connection is of no more use. */
  | { kind: 'refused'; packet: ConnackPacket }
  /** A message to this client; one with QoS 2 comes when it is released. Its topic alias is resolved. */
  | { kind: 'message'; packet: PublishPacket }
  /**
   * A message of this client is done with: QoS 0 written, QoS 1 and 2 acknowledged. A reason code of 128 and above
   * says that the server did not take it.
   */
  | { kind: 'published'; packetId: number; reasonCode: number; properties: Properties }
  | { kind: 'subscribed'; packet: SubackPacket }
  | { kind: 'unsubscribed'; packet: UnsubackPacket }
  /** The server says why it is about to close the connection (MQTT 5.0). */
  | { kind: 'disconnected'; packet: DisconnectPacket }
  /** The owner is to close the connection; `message` is for logs. */
  | { kind: 'failed'; fault: ClientFault; message: string }
  /** Only with the option `trace`: packets as they pass, before what they bring about. */
  | { kind: 'sent'; packet: Packet }
  | { kind: 'received'; packet: Packet };

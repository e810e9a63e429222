/**
 * The chunks of a `mosquitto.db`, Mosquitto's persistence file, as plain data. The same shapes for all versions of
 * the format (2 to 6): what a version does not have is 0 or empty.
 *
 *   file   := magic(15) crc(4) version(4) chunk*
 *   chunk  := header body            the header gives the body's type and length
 *
 * Names and topics are kept as bytes here; `to-model.ts` decides what is valid.
 */

/** The bytes with which every such file begins. */
export const MAGIC = Buffer.from('\x00\xb5\x00mosquitto db', 'latin1');

/** Magic, a checksum that is never used, and the format version. */
export const FILE_HEADER_LENGTH = MAGIC.length + 8;

/** The format that we write, and that Mosquitto 1.6.11 to 2.1 read and write. */
export const VERSION_WRITTEN = 6;

export const ChunkType = {
  config: 1,
  message: 2,
  clientMessage: 3,
  retain: 4,
  subscription: 5,
  client: 6,
} as const;

/** General data; one a file. */
export interface ConfigChunk {
  kind: 'config';
  /** The message id last handed out. */
  lastMessageId: bigint;
  /** Whether the broker wrote the file at an orderly end. */
  shutdown: boolean;
  /** Bytes of a message id: 8 in every file that can be read. */
  messageIdSize: number;
}

/** A message, stored once and referred to by its id. */
export interface MessageChunk {
  kind: 'message';
  messageId: bigint;
  /** Seconds since the epoch, 0 = never. */
  expiryTime: bigint;
  /** Packet id used by the publisher, 0 with QoS 0. */
  sourcePacketId: number;
  sourceClientId: Uint8Array;
  sourceUsername: Uint8Array;
  /** Port of the listener that received it, 0 = the broker itself. */
  sourcePort: number;
  topic: Uint8Array;
  qos: number;
  retain: number;
  payload: Uint8Array;
  /** An MQTT 5.0 property block with its length field; empty where there is none. */
  properties: Uint8Array;
}

/** A message in a client's queue, waiting or in flight. */
export interface ClientMessageChunk {
  kind: 'clientMessage';
  clientId: Uint8Array;
  messageId: bigint;
  packetId: number;
  qos: number;
  /** One of `MessageState`. */
  state: number;
  retain: number;
  /** How often it was sent again. */
  dup: number;
  /** 0 = from the client, 1 = to the client. */
  direction: number;
  /** A property block with its length field that holds the subscription identifier; empty where there is none. */
  properties: Uint8Array;
}

/** The retained message of its topic. */
export interface RetainChunk {
  kind: 'retain';
  messageId: bigint;
}

export interface SubscriptionChunk {
  kind: 'subscription';
  clientId: Uint8Array;
  filter: Uint8Array;
  qos: number;
  /** `SubscriptionOption` bits. */
  options: number;
  /** 0 = none. */
  subscriptionId: number;
}

export interface ClientChunk {
  kind: 'client';
  clientId: Uint8Array;
  username: Uint8Array;
  lastPacketId: number;
  listenerPort: number;
  /** Seconds since the epoch at which the session ends, 0 = never. Versions 5 and 6. */
  sessionExpiryTime: bigint;
  /** Seconds; 0xFFFFFFFF = never. Versions 5 and 6; `undefined` before. */
  sessionExpiryInterval: number | undefined;
  /** Seconds since the epoch. Versions 3 and 4. */
  disconnectTime: bigint;
}

export type Chunk =
  | ConfigChunk
  | MessageChunk
  | ClientMessageChunk
  | RetainChunk
  | SubscriptionChunk
  | ClientChunk;

/** `SubscriptionChunk.options`. */
export const SubscriptionOption = {
  noLocal: 0x04,
  retainAsPublished: 0x08,
  /** Two bits; only Mosquitto 2.1 fills them. */
  retainHandlingShift: 4,
} as const;

/** `ClientMessageChunk.state`: where a delivery stands. */
export const MessageState = {
  publishQos0: 1,
  publishQos1: 2,
  awaitingPuback: 3,
  publishQos2: 4,
  awaitingPubrec: 5,
  resendPubrel: 6,
  awaitingPubrel: 7,
  resendPubcomp: 8,
  awaitingPubcomp: 9,
  sendPubrec: 10,
  queued: 11,
} as const;

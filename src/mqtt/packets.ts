/**
 * The MQTT control packets as plain data: one shape a packet type, the same for MQTT 3.1, 3.1.1 and 5.0.
 *
 * These are what `decode.ts` returns and `encode.ts` takes. The PUBLISH of the hot path does not use them: the
 * broker reads its fields by offset (see `publication.ts`), and only the clients and the tests decode a PUBLISH
 * into an object.
 */

/** 3 = MQTT 3.1 ("MQIsdp"), 4 = MQTT 3.1.1, 5 = MQTT 5.0: the protocol level byte of CONNECT. */
export type ProtocolVersion = 3 | 4 | 5;

/** Quality of service of a message. */
export type Qos = 0 | 1 | 2;

/** MQTT control packet types, the upper four bits of a packet's first byte [MQTT 5.0, 2.1.2]. */
export const PacketType = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
} as const;

/** A user property: name and value, in the order sent. Names may repeat. */
export type UserProperty = readonly [name: string, value: string];

/** MQTT 5.0 properties, by their names in the specification. A packet of an older version has none. */
export interface Properties {
  payloadFormatIndicator?: 0 | 1;
  /** Seconds. */
  messageExpiryInterval?: number;
  contentType?: string;
  responseTopic?: string;
  correlationData?: Uint8Array;
  /** One in SUBSCRIBE; a delivered PUBLISH may carry several. */
  subscriptionIdentifiers?: number[];
  /** Seconds; 0xFFFFFFFF = never. */
  sessionExpiryInterval?: number;
  assignedClientIdentifier?: string;
  /** Seconds. */
  serverKeepAlive?: number;
  authenticationMethod?: string;
  authenticationData?: Uint8Array;
  requestProblemInformation?: 0 | 1;
  /** Seconds. */
  willDelayInterval?: number;
  requestResponseInformation?: 0 | 1;
  responseInformation?: string;
  serverReference?: string;
  reasonString?: string;
  receiveMaximum?: number;
  topicAliasMaximum?: number;
  topicAlias?: number;
  maximumQos?: 0 | 1;
  retainAvailable?: 0 | 1;
  userProperties?: UserProperty[];
  /** Bytes. */
  maximumPacketSize?: number;
  wildcardSubscriptionAvailable?: 0 | 1;
  subscriptionIdentifiersAvailable?: 0 | 1;
  sharedSubscriptionAvailable?: 0 | 1;
  /** The order in which they stand in the packet, if another property stands between two of one name. */
  order?: PropertyName[];
}

/** What is a property among `Properties`. */
export type PropertyName = Exclude<keyof Properties, 'order'>;

export interface Will {
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  properties: Properties;
}

export interface ConnectPacket {
  type: 'connect';
  version: ProtocolVersion;
  /** Bit 7 of the protocol level byte: the peer is another broker's bridge, which MQTT 5.0 does not know [mosq: try_private]. */
  bridge: boolean;
  cleanStart: boolean;
  /** Seconds; 0 = off. */
  keepAlive: number;
  clientId: string;
  will?: Will;
  username?: string;
  password?: Uint8Array;
  properties: Properties;
}

export interface ConnackPacket {
  type: 'connack';
  sessionPresent: boolean;
  /** MQTT 5.0: a reason code; older versions: a return code, 0 to 5. */
  reasonCode: number;
  properties: Properties;
}

export interface PublishPacket {
  type: 'publish';
  topic: string;
  payload: Uint8Array;
  qos: Qos;
  retain: boolean;
  dup: boolean;
  /** 0 with QoS 0. */
  packetId: number;
  properties: Properties;
}

/** PUBACK, PUBREC, PUBREL and PUBCOMP share one shape. */
export interface AckPacket {
  type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp';
  packetId: number;
  /** Always 0 before MQTT 5.0. */
  reasonCode: number;
  properties: Properties;
}

export interface SubscriptionRequest {
  filter: string;
  qos: Qos;
  noLocal: boolean;
  retainAsPublished: boolean;
  /** 0 send retained messages, 1 only if the subscription is new, 2 never [MQTT 5.0, 3.8.3.1]. */
  retainHandling: 0 | 1 | 2;
}

export interface SubscribePacket {
  type: 'subscribe';
  packetId: number;
  subscriptions: SubscriptionRequest[];
  properties: Properties;
}

export interface SubackPacket {
  type: 'suback';
  packetId: number;
  /** One a filter, in the order of the SUBSCRIBE. */
  reasonCodes: number[];
  properties: Properties;
}

export interface UnsubscribePacket {
  type: 'unsubscribe';
  packetId: number;
  filters: string[];
  properties: Properties;
}

export interface UnsubackPacket {
  type: 'unsuback';
  packetId: number;
  /** One a filter; empty before MQTT 5.0. */
  reasonCodes: number[];
  properties: Properties;
}

export interface PingreqPacket {
  type: 'pingreq';
}

export interface PingrespPacket {
  type: 'pingresp';
}

export interface DisconnectPacket {
  type: 'disconnect';
  /** Always 0 before MQTT 5.0. */
  reasonCode: number;
  properties: Properties;
}

export interface AuthPacket {
  type: 'auth';
  reasonCode: number;
  properties: Properties;
}

export type Packet =
  | ConnectPacket
  | ConnackPacket
  | PublishPacket
  | AckPacket
  | SubscribePacket
  | SubackPacket
  | UnsubscribePacket
  | UnsubackPacket
  | PingreqPacket
  | PingrespPacket
  | DisconnectPacket
  | AuthPacket;

/** By their type, as log lines call them. */
export const PACKET_NAMES = [
  'RESERVED',
  'CONNECT',
  'CONNACK',
  'PUBLISH',
  'PUBACK',
  'PUBREC',
  'PUBREL',
  'PUBCOMP',
  'SUBSCRIBE',
  'SUBACK',
  'UNSUBSCRIBE',
  'UNSUBACK',
  'PINGREQ',
  'PINGRESP',
  'DISCONNECT',
  'AUTH',
] as const;

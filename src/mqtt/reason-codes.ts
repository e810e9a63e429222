/**
 * Reason codes of MQTT 5.0 and return codes of 3.1 and 3.1.1: their names, their texts, where each may stand, and
 * how one becomes the other.
 */
import { PacketType } from './packets.js';

/** All reason codes [MQTT 5.0, 2.4]. Below 0x80: success. */
export const ReasonCode = {
  success: 0x00,
  normalDisconnection: 0x00,
  grantedQos0: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWillMessage: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reAuthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
} as const;

/** As Mosquitto's clients print them. */
const TEXTS: ReadonlyMap<number, string> = new Map([
  [0x00, 'Success'],
  [0x01, 'Granted QoS 1'],
  [0x02, 'Granted QoS 2'],
  [0x04, 'Disconnect with Will Message'],
  [0x10, 'No matching subscribers'],
  [0x11, 'No subscription existed'],
  [0x18, 'Continue authentication'],
  [0x19, 'Re-authenticate'],
  [0x80, 'Unspecified error'],
  [0x81, 'Malformed Packet'],
  [0x82, 'Protocol Error'],
  [0x83, 'Implementation specific error'],
  [0x84, 'Unsupported Protocol Version'],
  [0x85, 'Client Identifier not valid'],
  [0x86, 'Bad User Name or Password'],
  [0x87, 'Not authorized'],
  [0x88, 'Server unavailable'],
  [0x89, 'Server busy'],
  [0x8a, 'Banned'],
  [0x8b, 'Server shutting down'],
  [0x8c, 'Bad authentication method'],
  [0x8d, 'Keep Alive timeout'],
  [0x8e, 'Session taken over'],
  [0x8f, 'Topic Filter invalid'],
  [0x90, 'Topic Name invalid'],
  [0x91, 'Packet Identifier in use'],
  [0x92, 'Packet Identifier not found'],
  [0x93, 'Receive Maximum exceeded'],
  [0x94, 'Topic Alias invalid'],
  [0x95, 'Packet too large'],
  [0x96, 'Message rate too high'],
  [0x97, 'Quota exceeded'],
  [0x98, 'Administrative action'],
  [0x99, 'Payload format invalid'],
  [0x9a, 'Retain not supported'],
  [0x9b, 'QoS not supported'],
  [0x9c, 'Use another server'],
  [0x9d, 'Server moved'],
  [0x9e, 'Shared Subscriptions not supported'],
  [0x9f, 'Connection rate exceeded'],
  [0xa0, 'Maximum connect time'],
  [0xa1, 'Subscription identifiers not supported'],
  [0xa2, 'Wildcard Subscriptions not supported'],
]);

export function reasonText(reasonCode: number): string {
  return TEXTS.get(reasonCode) ?? 'Unknown reason';
}

/** Of CONNACK in MQTT 3.1 and 3.1.1, in Mosquitto's words, by return code. */
const RETURN_CODE_TEXTS: readonly string[] = [
  '',
  'unacceptable protocol version',
  'identifier rejected',
  'broker unavailable',
  'bad user name or password',
  'not authorised',
];

/** @returns `undefined` for one that the standard does not have */
export function returnCodeText(returnCode: number): string | undefined {
  return RETURN_CODE_TEXTS[returnCode];
}

/** Return codes of CONNACK in MQTT 3.1 and 3.1.1 [MQTT 3.1.1, 3.2.2.3]. */
export const ConnectReturnCode = {
  accepted: 0,
  unacceptableProtocolVersion: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badUserNameOrPassword: 4,
  notAuthorized: 5,
} as const;

/** The return code with which a refusal is expressed to a client of MQTT 3.1 or 3.1.1. */
export function toConnectReturnCode(reasonCode: number): number {
  if (reasonCode < 0x80) return ConnectReturnCode.accepted;
  switch (reasonCode) {
    case ReasonCode.unsupportedProtocolVersion:
      return ConnectReturnCode.unacceptableProtocolVersion;
    case ReasonCode.clientIdentifierNotValid:
      return ConnectReturnCode.identifierRejected;
    case ReasonCode.badUserNameOrPassword:
      return ConnectReturnCode.badUserNameOrPassword;
    case ReasonCode.notAuthorized:
    case ReasonCode.banned:
    case ReasonCode.badAuthenticationMethod:
    case ReasonCode.packetTooLarge: // [mosq: message_size_limit]
      return ConnectReturnCode.notAuthorized;
    default:
      return ConnectReturnCode.serverUnavailable;
  }
}

/**
 * Which codes may stand on which packet, by packet type (the tables of MQTT 5.0, 3.2.2.2 to 3.15.2.1). Who sends a
 * code is not looked at. Packet too large on PUBACK and PUBREC is Mosquitto's addition [mosq: message_size_limit].
 */
const publishAcknowledgement = new Set([0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x95, 0x97, 0x99]);
const releaseAcknowledgement = new Set([0x00, 0x92]);
const ALLOWED: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [
    PacketType.connack,
    new Set([
      0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99,
      0x9a, 0x9b, 0x9c, 0x9d, 0x9f,
    ]),
  ],
  [PacketType.puback, publishAcknowledgement],
  [PacketType.pubrec, publishAcknowledgement],
  [PacketType.pubrel, releaseAcknowledgement],
  [PacketType.pubcomp, releaseAcknowledgement],
  [PacketType.suback, new Set([0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2])],
  [PacketType.unsuback, new Set([0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91])],
  [
    PacketType.disconnect,
    new Set([
      0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96,
      0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
    ]),
  ],
  [PacketType.auth, new Set([0x00, 0x18, 0x19])],
]);

/** @param packetType one of `PacketType`; packets that carry no reason code allow none */
export function isReasonCodeAllowed(packetType: number, reasonCode: number): boolean {
  return ALLOWED.get(packetType)?.has(reasonCode) ?? false;
}

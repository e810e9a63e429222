/** Makes the CONNECT of a bridge and judges the other broker's CONNACK. Pure. */
import type { BridgeSettings } from '../config/settings.js';
import type { ConnackPacket, ConnectPacket, Properties, ProtocolVersion, Qos } from '../mqtt/packets.js';
import { ReasonCode, reasonText, returnCodeText } from '../mqtt/reason-codes.js';

const VERSIONS: Readonly<Record<BridgeSettings['bridgeProtocolVersion'], ProtocolVersion>> = {
  mqttv31: 3,
  mqttv311: 4,
  mqttv50: 5,
};

/** What a bridge asks of the other broker. It asks for less if that did not take more. */
export interface Demands {
  version: ProtocolVersion;
  /** Say that this is a bridge [mosq: try_private]; MQTT 5.0 has other means. */
  private: boolean;
  /** Send retained messages as such. */
  retain: boolean;
  qosMax: Qos;
}

export function firstDemands(settings: BridgeSettings): Demands {
  const version = VERSIONS[settings.bridgeProtocolVersion];
  return {
    version,
    private: settings.tryPrivate,
    retain: settings.bridgeOutgoingRetain,
    qosMax: 2,
  };
}

export const stateTopic = ({ notificationTopic, remoteClientid }: BridgeSettings): string =>
  notificationTopic ?? `$SYS/broker/connection/${remoteClientid}/state`;

/** @param packetSizeMax bytes of the largest packet that is taken, to be announced in MQTT 5.0; 0 = none is announced */
export function connectPacket(
  settings: BridgeSettings,
  demands: Demands,
  packetSizeMax: number,
): ConnectPacket {
  const { remoteUsername, remotePassword } = settings;
  const packet: ConnectPacket = {
    type: 'connect',
    version: demands.version,
    bridge: demands.private && demands.version !== 5,
    cleanStart: settings.cleansession,
    keepAlive: settings.keepaliveInterval,
    clientId: settings.remoteClientid,
    properties: demands.version === 5 ? connectProperties(settings, packetSizeMax) : {},
  };
  if (settings.notifications && !settings.notificationsLocalOnly) {
    packet.will = {
      topic: stateTopic(settings),
      payload: Buffer.from('0'),
      qos: Math.min(1, demands.qosMax) as Qos,
      retain: demands.retain,
      properties: {},
    };
  }
  if (remoteUsername !== undefined) packet.username = remoteUsername;
  if (remotePassword !== undefined) packet.password = Buffer.from(remotePassword);
  return packet;
}

function connectProperties(settings: BridgeSettings, packetSizeMax: number): Properties {
  const { bridgeReceiveMaximum, bridgeMaxTopicAlias, bridgeSessionExpiryInterval } = settings;
  const properties: Properties = {};
  if (bridgeReceiveMaximum < 0xffff) properties.receiveMaximum = bridgeReceiveMaximum;
  if (bridgeMaxTopicAlias > 0) properties.topicAliasMaximum = bridgeMaxTopicAlias;
  if (bridgeSessionExpiryInterval > 0) properties.sessionExpiryInterval = bridgeSessionExpiryInterval;
  if (packetSizeMax > 0) properties.maximumPacketSize = packetSizeMax;
  return properties;
}

/** The return code with which brokers before MQTT 5.0 refuse a protocol version. */
const UNACCEPTABLE_VERSION = 1;

/** @returns the lesser demands to try; `null` if asking for less would not help */
export function lesserDemands(demands: Demands, { reasonCode }: ConnackPacket): Demands | null {
  const isVersionRefused =
    reasonCode === UNACCEPTABLE_VERSION || reasonCode === ReasonCode.unsupportedProtocolVersion;
  if (isVersionRefused && demands.version === 5) return { ...demands, version: 4 };
  if (isVersionRefused && demands.private) return { ...demands, private: false };
  if (reasonCode === ReasonCode.retainNotSupported && demands.retain) return { ...demands, retain: false };
  if (reasonCode === ReasonCode.qosNotSupported && demands.qosMax > 0) {
    return { ...demands, qosMax: (demands.qosMax - 1) as Qos };
  }
  return null;
}

/** Why the other broker does not take the connection. */
export function refusalText({ reasonCode }: ConnackPacket, version: ProtocolVersion): string {
  if (version === 5 && reasonCode >= 0x80) return reasonText(reasonCode);
  return returnCodeText(reasonCode) ?? `unknown reason (code ${reasonCode})`;
}

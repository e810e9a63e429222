/** The lines of `-d`, which describe packets in the words of Mosquitto's clients. */
import type { Packet, PublishPacket, SubscriptionRequest } from '../../../mqtt/packets.js';

/** @returns one line for most packets; one for each filter of SUBSCRIBE and UNSUBSCRIBE */
export function sentLines(packet: Packet, clientId: string): string[] {
  const line = (text: string) => `Client ${shownId(clientId)} sending ${text}`;
  switch (packet.type) {
    case 'connect':
    case 'disconnect':
    case 'pingreq':
      return [line(packet.type.toUpperCase())];
    case 'publish':
      return [line(publishText(packet))];
    case 'puback':
    case 'pubrec':
      return [line(`${packet.type.toUpperCase()} (m${packet.packetId}, rc${packet.reasonCode})`)];
    case 'pubrel':
    case 'pubcomp':
      return [line(`${packet.type.toUpperCase()} (m${packet.packetId})`)];
    case 'subscribe':
      return packet.subscriptions.map((subscription) =>
        line(`SUBSCRIBE (Mid: ${packet.packetId}, ${subscriptionText(subscription)})`),
      );
    case 'unsubscribe':
      return packet.filters.map((filter) => line(`UNSUBSCRIBE (Mid: ${packet.packetId}, Topic: ${filter})`));
    default:
      return [];
  }
}

export function receivedLines(packet: Packet, clientId: string): string[] {
  const line = (text: string) => `Client ${shownId(clientId)} received ${text}`;
  switch (packet.type) {
    case 'connack':
      return [line(`CONNACK (${packet.reasonCode})`)];
    case 'publish':
      return [line(publishText(packet))];
    case 'puback':
    case 'pubcomp':
      return [line(`${packet.type.toUpperCase()} (Mid: ${packet.packetId}, RC:${packet.reasonCode})`)];
    case 'pubrec':
    case 'pubrel':
      return [line(`${packet.type.toUpperCase()} (Mid: ${packet.packetId})`)];
    case 'suback':
    case 'unsuback':
    case 'pingresp':
      return [line(packet.type.toUpperCase())];
    case 'disconnect':
      return [`Received DISCONNECT (${packet.reasonCode})`];
    default:
      return [];
  }
}

function shownId(clientId: string): string {
  return clientId === '' ? 'null' : clientId;
}

function publishText(packet: PublishPacket): string {
  const { dup, qos, retain, packetId, payload } = packet;
  const topic = packet.topic === '' ? '(null)' : packet.topic;
  const flags = `d${dup ? 1 : 0}, q${qos}, r${retain ? 1 : 0}, m${packetId}`;
  return `PUBLISH (${flags}, '${topic}', ... (${payload.length} bytes))`;
}

function subscriptionText(subscription: SubscriptionRequest): string {
  const { filter, qos, noLocal, retainAsPublished, retainHandling } = subscription;
  const options = (noLocal ? 0x04 : 0) | (retainAsPublished ? 0x08 : 0) | (retainHandling << 4);
  return `Topic: ${filter}, QoS: ${qos}, Options: 0x${options.toString(16).padStart(2, '0')}`;
}

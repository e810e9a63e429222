/** Publications as the broker has them, made from packets. */
import assert from 'node:assert/strict';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { ProtocolVersion, PublishPacket } from '../../../src/mqtt/packets.js';
import { Publication, readPublish } from '../../../src/mqtt/publication.js';

/** A PUBLISH packet with the usual values. */
export function publishPacket(fields: Partial<PublishPacket> = {}): PublishPacket {
  const packet: PublishPacket = {
    type: 'publish',
    topic: 'a/b',
    payload: Buffer.from('payload'),
    qos: 0,
    retain: false,
    dup: false,
    packetId: 0,
    properties: {},
    ...fields,
  };
  return packet.qos > 0 && packet.packetId === 0 ? { ...packet, packetId: 1 } : packet;
}

/** Reads a PUBLISH. @returns the reason code, 0 if it was taken */
export function readBytes(
  into: Publication,
  bytes: Uint8Array,
  version: ProtocolVersion,
  now: number,
): number {
  let bodyStart = 2;
  while (bytes[bodyStart - 1]! >= 0x80) bodyStart += 1;
  return readPublish(into, bytes, 0, bodyStart, bytes.length, version, now);
}

/** The packet as it is on its way through the broker. */
export function publicationOf(
  packet: PublishPacket,
  version: ProtocolVersion = 4,
  now: number = Date.UTC(2024, 0),
): Publication {
  const publication = new Publication();
  assert.equal(readBytes(publication, encodePacket(packet, version), version, now), 0);
  publication.topic = packet.topic;
  return publication;
}

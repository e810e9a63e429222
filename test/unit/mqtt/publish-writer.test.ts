import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { OutgoingBuffer } from '../../../src/mqtt/outgoing-buffer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, PublishPacket } from '../../../src/mqtt/packets.js';
import type { Publication } from '../../../src/mqtt/publication.js';
import { type Delivery, newDelivery, writePublish } from '../../../src/mqtt/publish-writer.js';
import { sentPacket } from '../../support/packets/packet-arbitraries.js';
import { decodeWhole } from '../../support/packets/packet-bytes.js';
import { plain } from '../../support/packets/plain-packet.js';
import { publicationOf, publishPacket } from '../../support/packets/publication.js';

const now = Date.UTC(2024, 0);

const usual: Delivery = { ...newDelivery(4), now };

/** What goes out; `null` where nothing does. */
function written(publication: Publication, delivery: Delivery, packetSizeMax = 1e9): Buffer | null {
  let bytes: Buffer | null = null;
  const sink = {
    write: (chunk: Buffer, length: number): boolean => {
      bytes = Buffer.from(chunk.subarray(0, length));
      return true;
    },
  };
  const out = new OutgoingBuffer(sink, { add: () => {} });
  const sent = writePublish(out, publication, delivery, packetSizeMax);
  out.flush();
  assert.equal(sent, bytes !== null);
  return bytes;
}

function decoded(bytes: Uint8Array | null, version: Delivery['version']): Packet {
  assert.ok(bytes !== null);
  const packet = decodeWhole(bytes, version, 'server');
  if (isPacketError(packet)) assert.fail(packet.message);
  return packet;
}

/** One packet of a client, and how it reaches a subscriber. */
const passage = fc.record({
  incoming: sentPacket.filter(({ origin, packet }) => origin === 'client' && packet.type === 'publish'),
  how: fc.constantFrom('at once', 'owned', 'slab'),
  waitedMs: fc.nat(100_000),
  delivery: fc.record({
    version: fc.constantFrom<Delivery['version']>(3, 4, 5),
    qos: fc.constantFrom<Delivery['qos']>(0, 1, 2),
    retain: fc.boolean(),
    dup: fc.boolean(),
    packetId: fc.integer({ min: 1, max: 0xffff }),
    alias: fc.constantFrom('none', 'with topic', 'alone'),
    topicAlias: fc.integer({ min: 1, max: 0xffff }),
    identifiers: fc.constantFrom<(number[] | null)[]>(null, [1], [127, 128], [268_435_455, 1]),
  }),
});

describe('a PUBLISH on its way out', () => {
  test('says what came in, in the version and with the QoS and flags of the subscriber', () => {
    fc.assert(
      fc.property(passage, ({ incoming, how, waitedMs, delivery }) => {
        const sent = incoming.packet as PublishPacket;
        const v5 = delivery.version === 5;
        const topic = sent.topic === '' ? 'resolved/alias' : sent.topic;
        const publication = publicationOf({ ...sent, topic }, incoming.version, now);
        const message =
          how === 'at once' ? publication : how === 'owned' ? publication.toOwned() : publication.toSlab();
        const { alias, identifiers, ...fields } = delivery;
        const topicAlias = v5 && alias !== 'none' ? fields.topicAlias : 0;
        const withTopic = topicAlias === 0 || alias !== 'alone';
        const packetId = fields.qos === 0 ? 0 : fields.packetId;
        const dup = fields.qos > 0 && fields.dup;
        const bytes = written(message, {
          ...fields,
          dup,
          packetId,
          topicAlias,
          withTopic,
          subscriptionIdentifiers: v5 ? identifiers : null,
          now: now + waitedMs,
        });
        const { topicAlias: _, messageExpiryInterval: interval, ...forwarded } = sent.properties;
        const properties = {
          ...forwarded,
          ...(interval && {
            messageExpiryInterval: Math.max(1, interval - Math.floor(waitedMs / 1000)),
          }),
          ...(topicAlias > 0 && { topicAlias }),
          ...(identifiers !== null && { subscriptionIdentifiers: identifiers }),
        };
        const expected: PublishPacket = {
          ...sent,
          topic: withTopic ? topic : '',
          qos: fields.qos,
          retain: fields.retain,
          dup,
          packetId,
          properties: v5 ? properties : {},
        };
        assert.deepEqual(plain(decoded(bytes, delivery.version)), plain(expected));
      }),
      { numRuns: 500 },
    );
  });

  test('goes out as it came where nothing has to change', () => {
    for (const version of [4, 5] as const) {
      const properties = version === 5 ? { contentType: 'text', userProperties: [['k', 'v']] as const } : {};
      const packet = publishPacket({ qos: 1, properties: { ...properties } as PublishPacket['properties'] });
      const publication = publicationOf(packet, version);
      const bytes = written(publication, { ...usual, version, qos: 1, packetId: 1 });
      assert.deepEqual(bytes, publication.buffer);
    }
  });

  test('[MQTT-3.1.2-24] is not written where it is larger than the peer takes', () => {
    const fresh = publicationOf(publishPacket({ qos: 1 }), 4);
    for (const publication of [fresh, fresh.toOwned()]) {
      const delivery: Delivery = { ...usual, qos: 1, packetId: 1 };
      const size = written(publication, delivery)!.length;
      assert.equal(written(publication, delivery, size)!.length, size);
      assert.equal(written(publication, delivery, size - 1), null);
    }
  });

  test('[MQTT-3.3.2-6] tells the seconds that are left, rounded up', () => {
    const packet = publishPacket({ properties: { messageExpiryInterval: 10 } });
    const publication = publicationOf(packet, 5, now);
    const rows = [
      [0, 10],
      [1, 10],
      [1000, 9],
      [9001, 1],
      [10_000, 1], // it was on its way before it ended
    ] as const;
    for (const [waitedMs, left] of rows) {
      const out = decoded(written(publication, { ...usual, version: 5, now: now + waitedMs }), 5);
      assert.deepEqual((out as PublishPacket).properties, { messageExpiryInterval: left });
    }
  });

  test('of every length of remaining length', () => {
    for (const length of [0, 120, 121, 122, 16_378, 16_379, 16_380, 2_097_146, 2_097_147, 3_000_000]) {
      const packet = publishPacket({ payload: Buffer.alloc(length, 7) });
      for (const publication of [publicationOf(packet), publicationOf(packet).toOwned()]) {
        const out = decoded(written(publication, usual), 4) as PublishPacket;
        assert.equal(out.payload.length, length);
      }
    }
  });
});

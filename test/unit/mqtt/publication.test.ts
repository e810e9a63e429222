import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, PublishPacket } from '../../../src/mqtt/packets.js';
import { NO_ALIAS, Publication } from '../../../src/mqtt/publication.js';
import { isValidTopicName } from '../../../src/topic/topic-name.js';
import { sentPacket } from '../../support/packets/packet-arbitraries.js';
import { decodeWhole } from '../../support/packets/packet-bytes.js';
import { plain } from '../../support/packets/plain-packet.js';
import { decodeProperties } from '../../support/packets/property-block.js';
import { publicationOf, publishPacket, readBytes } from '../../support/packets/publication.js';

const now = Date.UTC(2024, 0);

/** PUBLISH packets of clients, of every version. */
const sentPublish = sentPacket
  .filter(({ origin, packet }) => origin === 'client' && packet.type === 'publish')
  .map(({ version, packet }) => ({ version, packet: packet as PublishPacket }));

/** What the publication says, in the shape of a packet; of the properties, those that are forwarded. */
function asPacket(publication: Publication): unknown {
  const { buffer, topicStart, topicEnd, qos, retain, dup, packetId } = publication;
  const { properties, propertiesStart, propertiesEnd } = publication;
  const topic = Buffer.from(buffer.subarray(topicStart, topicEnd)).toString();
  const forwarded = decodeProperties(properties.subarray(propertiesStart, propertiesEnd), 'publish');
  const payload = publication.payload();
  return plain({ type: 'publish', topic, payload, qos, retain, dup, packetId, properties: forwarded });
}

function withForwardedProperties(packet: PublishPacket): unknown {
  const { topicAlias: _, messageExpiryInterval: __, ...properties } = packet.properties;
  return plain({ ...packet, properties });
}

describe('reading a PUBLISH by offset', () => {
  test('gives what the decoder gives', () => {
    fc.assert(
      fc.property(sentPublish, ({ version, packet }) => {
        const publication = new Publication();
        assert.equal(readBytes(publication, encodePacket(packet, version), version, now), 0);
        assert.deepEqual(asPacket(publication), withForwardedProperties(packet));
        const { topicAlias, messageExpiryInterval } = packet.properties;
        assert.equal(publication.topicAlias, topicAlias ?? NO_ALIAS);
        // An interval of 0 is none [mosq: message expiry interval].
        const expiresAt = messageExpiryInterval ? now + messageExpiryInterval * 1000 : 0;
        assert.equal(publication.expiresAt, expiresAt);
        assert.equal(publication.version, version);
        assert.equal(publication.payloadLength, packet.payload.length);
      }),
      { numRuns: 300 },
    );
  });

  test('takes what the decoder takes, of damaged packets too', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(sentPublish, damage, fc.nat(5), ({ version, packet }, changes, cutOff) => {
        const encoded = encodePacket(packet, version);
        if (encoded[1]! >= 0x80) return; // its remaining length would have to be changed as well
        const bytes = Buffer.from(encoded.subarray(0, Math.max(2, encoded.length - cutOff)));
        bytes[1] = bytes.length - 2;
        const body = bytes.subarray(2);
        for (const [at, byte] of changes) if (body.length > 0) body[at % body.length] = byte;
        const decoded = decodeWhole(bytes, version, 'client');
        const publication = new Publication();
        const reason = readBytes(publication, bytes, version, now);
        if (isPacketError(decoded)) assert.ok(isRefused(reason, publication), decoded.message);
        else assert.deepEqual([reason, asPacket(publication)], [0, forwarded(decoded)]);
      }),
      { numRuns: 500 },
    );
  });

  // biome-ignore format: one packet a line
  const rows: [name: string, packet: string, passedOn: boolean][] = [
    ['a packet of the usual form', '30 05 000161 00 78', true],
    ['[MQTT-1.5.5-1] a remaining length in more bytes than needed', '30 8500 000161 00 78', false],
    ['properties that are forwarded', '30 06 000161 02 0101', true],
    ['a message expiry interval, which runs down', '30 09 000161 05 0200000001', false],
    ['a topic alias, which is that of this connection', '30 07 000161 03 230001', false],
  ];
  for (const [name, packet, passedOn] of rows) {
    test(`${name}: ${passedOn ? 'may go out' : 'does not go out'} as it came`, () => {
      const publication = new Publication();
      assert.equal(readBytes(publication, Buffer.from(packet.replaceAll(' ', ''), 'hex'), 5, now), 0);
      assert.equal(publication.frameStart >= 0, passedOn);
    });
  }
});

/** The reader leaves a topic's characters to whoever resolves it, and an empty topic to the topic aliases. */
function isRefused(reason: number, { buffer, topicStart, topicEnd, topicAlias }: Publication): boolean {
  const named = topicStart < topicEnd || topicAlias === NO_ALIAS;
  return reason !== 0 || topicAlias === 0 || (named && !isValidTopicName(buffer, topicStart, topicEnd));
}

function forwarded(packet: Packet): unknown {
  return withForwardedProperties(packet as PublishPacket);
}

describe('a copy of a publication', () => {
  const copies = { toOwned: 'an owned copy', toSlab: 'a copy in a slab' } as const;
  for (const copy of Object.keys(copies) as (keyof typeof copies)[]) {
    test(`${copies[copy]} says the same when the read buffer is used again`, () => {
      fc.assert(
        fc.property(sentPublish, ({ version, packet }) => {
          const publication = publicationOf(packet, version, now);
          publication.origin = 'publisher';
          const made = publication[copy]();
          publication.buffer.fill(0xee);
          publication.properties.fill(0xee);
          assert.deepEqual(asPacket(made), withForwardedProperties({ ...packet, dup: false }));
          const { topic, origin, expiresAt } = made;
          assert.deepEqual([topic, origin], [packet.topic, 'publisher']);
          assert.equal(expiresAt, publication.expiresAt);
          assert.equal(made.frameStart, -1);
        }),
      );
    });
  }

  test('is made once, however many queues keep it', () => {
    const publication = publicationOf(publishPacket());
    const owned = publication.toOwned();
    assert.equal(publication.toOwned(), owned);
    assert.equal(owned.toOwned(), owned);
  });

  test('is made anew when the object describes another message', () => {
    const publication = publicationOf(publishPacket({ payload: Buffer.from('first') }));
    const first = publication.toOwned();
    readBytes(publication, encodePacket(publishPacket({ payload: Buffer.from('second') }), 4), 4, now);
    assert.equal(Buffer.from(publication.toOwned().payload()).toString(), 'second');
    assert.equal(Buffer.from(first.payload()).toString(), 'first');
  });

  test('in a slab does not hold the slab with its owned copy', () => {
    const inSlab = publicationOf(publishPacket()).toSlab();
    const owned = inSlab.toOwned();
    assert.ok(inSlab.buffer.length > 1024);
    assert.equal(owned.buffer.length, 'a/bpayload'.length);
  });

  test('messages in a slab do not run into each other', () => {
    const payloads = Array.from({ length: 500 }, (_, i) => Buffer.alloc(i * 5, i));
    const inSlab = payloads.map((payload) => publicationOf(publishPacket({ payload })).toSlab());
    for (const [i, { topic, payloadLength }] of inSlab.entries()) {
      assert.deepEqual([topic, payloadLength], ['a/b', i * 5]);
      assert.ok(payloads[i]!.equals(inSlab[i]!.payload()));
    }
  });
});

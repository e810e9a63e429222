import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import { encodeProperties, PROPERTY_RULES, propertiesLength } from '../../../src/mqtt/properties.js';
import { propertiesOf, sentPacket } from '../../support/packets/packet-arbitraries.js';
import { decodeWhole } from '../../support/packets/packet-bytes.js';
import { plain } from '../../support/packets/plain-packet.js';
import { decodeProperties } from '../../support/packets/property-block.js';

test('every packet comes back from its bytes as it was', () => {
  fc.assert(
    fc.property(sentPacket, ({ version, origin, packet }) => {
      const decoded = decodeWhole(encodePacket(packet, version), version, origin);
      assert.deepEqual(plain(decoded), plain(packet));
    }),
    { numRuns: 1500 },
  );
});

test('every kind of packet is among those tried', () => {
  const kinds = new Set(fc.sample(sentPacket, { numRuns: 500, seed: 1 }).map(({ packet }) => packet.type));
  assert.equal(kinds.size, 15);
});

test('a packet cut short anywhere is malformed, and never something else', () => {
  fc.assert(
    fc.property(sentPacket, fc.nat(), ({ version, origin, packet }, cut) => {
      const whole = encodePacket(packet, version);
      const headerLength = whole.findIndex((byte, i) => i > 0 && byte < 0x80) + 1;
      const bodyLength = whole.length - headerLength;
      fc.pre(bodyLength > 0 && packet.type !== 'publish');
      const shorter = encodeHeader(
        whole[0]!,
        whole.subarray(headerLength, headerLength + (cut % bodyLength)),
      );
      const decoded = decodeWhole(shorter, version, origin);
      // What may be left out may also be cut off: then it is a shorter packet of the same kind.
      if (!isPacketError(decoded)) assert.equal(decoded.type, packet.type);
      else assert.ok([0x81, 0x82, 0x85].includes(decoded.reasonCode), decoded.message);
    }),
  );
});

function encodeHeader(firstByte: number, body: Uint8Array): Buffer {
  const length = body.length;
  const header = length < 128 ? [firstByte, length] : [firstByte, (length & 0x7f) | 0x80, length >> 7];
  return Buffer.concat([Buffer.from(header), body]);
}

const holders = [...new Set(PROPERTY_RULES.flatMap((rule) => rule.holders))];

for (const holder of holders) {
  test(`properties of ${holder} come back as they were`, () => {
    fc.assert(
      fc.property(propertiesOf(holder), (properties) => {
        const bytes = encodeProperties(properties);
        assert.equal(bytes.length, propertiesLength(properties));
        assert.deepEqual(plain(decodeProperties(bytes, holder)), plain(properties));
      }),
      { numRuns: 100 },
    );
  });
}

test('there are 14 holders of properties', () => {
  assert.equal(holders.length, 14);
});

test('each property is refused wherever it has no place', () => {
  for (const rule of PROPERTY_RULES) {
    const [properties] = fc
      .sample(propertiesOf(rule.holders[0]!), { numRuns: 200, seed: 1 })
      .filter((candidate) => candidate[rule.key] !== undefined)
      .map((candidate) => ({ [rule.key]: candidate[rule.key] }));
    const bytes = encodeProperties(properties!);
    for (const holder of holders) {
      const decoded = decodeProperties(bytes, holder);
      const refused = isPacketError(decoded) && decoded.reasonCode === 0x81;
      assert.equal(refused, !rule.holders.includes(holder), `${rule.name} in ${holder}`);
    }
  }
});

test('properties stay in any order in which they may stand in a packet', () => {
  const blocks = ['26000161000131', '26000162000132', '260001620000', '0300027874', '0101', '0200000064'];
  fc.assert(
    fc.property(fc.shuffledSubarray(blocks), (parts) => {
      const bytes = Buffer.from(parts.join(''), 'hex');
      const properties = decodeProperties(bytes, 'will');
      assert.ok(!isPacketError(properties));
      assert.equal(Buffer.from(encodeProperties(properties)).toString('hex'), parts.join(''));
      const { messageExpiryInterval: _, ...others } = properties;
      const left = parts.filter((part) => !part.startsWith('02')).join('');
      assert.equal(Buffer.from(encodeProperties(others)).toString('hex'), left);
    }),
  );
});

test('several subscription identifiers stay in their order, too', () => {
  const bytes = Buffer.from('0b012600016100000b0203000278740b03', 'hex');
  const properties = decodeProperties(bytes, 'publish');
  assert.ok(!isPacketError(properties));
  assert.deepEqual(properties.subscriptionIdentifiers, [1, 2, 3]);
  assert.equal(Buffer.from(encodeProperties(properties)).toString('hex'), bytes.toString('hex'));
});

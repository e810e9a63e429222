import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { decodeInSteps, decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Packet, Properties, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { bytes, decodeWhole, packetBytes } from '../../support/packets/packet-bytes.js';
import { packetSamples } from '../../support/packets/packet-samples.js';
import { plain } from '../../support/packets/plain-packet.js';

describe('a packet and its bytes', () => {
  for (const { name, version, origin, packet, bytes: encoded } of packetSamples) {
    test(name, () => {
      assert.equal(encodePacket(packet, version).toString('hex'), encoded.toString('hex'));
      assert.deepEqual(plain(decodeWhole(encoded, version, origin)), plain(packet));
    });
  }
});

describe('bytes that are taken, though one would not send them', () => {
  // biome-ignore format: one packet a line
  const rows: [name: string, version: ProtocolVersion, packet: Uint8Array, taken: object][] = [
    ['an acknowledgement with reason 0 spelled out', 5, bytes('40 03 0001 00'), { packetId: 1, reasonCode: 0 }],
    ['an acknowledgement with no properties spelled out', 5, bytes('62 04 0001 00 00'), { properties: {} }],
    ['a DISCONNECT with everything spelled out', 5, bytes('e0 02 00 00'), { type: 'disconnect', properties: {} }],
    ['a remaining length in four bytes', 4, bytes('c0 80808000'), { type: 'pingreq' }],
    ['v3.1 reserved connect flag', 3, packetBytes(0x10, '"MQIsdp" 03 03 003c "p"'), { clientId: 'p' }],
    ['v3.1 will retain without a will', 3, packetBytes(0x10, '"MQIsdp" 03 22 003c "p"'), { clientId: 'p' }],
    ['v3.1 user name missing', 3, packetBytes(0x10, '"MQIsdp" 03 82 003c "p"'), { clientId: 'p' }],
    ['v3.1 password missing', 3, packetBytes(0x10, '"MQIsdp" 03 c2 003c "p" "u"'), { username: 'u' }],
    ['v5 an empty client id without clean start', 5, packetBytes(0x10, '"MQTT" 05 00 003c 00 ""'), { clientId: '' }],
    ['a topic with a byte order mark [MQTT-1.5.4-3]', 4, packetBytes(0x30, '"\ufeffa"'), { topic: '\ufeffa' }],
    ['a topic with 200 separators', 4, packetBytes(0x30, `"${'/'.repeat(200)}"`), { topic: '/'.repeat(200) }],
    ['a shared subscription with an empty group', 4, packetBytes(0x82, '0001 "$share//a" 00'), { packetId: 1 }],
  ];
  for (const [name, version, packet, taken] of rows) {
    test(name, () => {
      const decoded = Object.entries(decodeWhole(packet, version, 'client'));
      assert.deepEqual(Object.fromEntries(decoded.filter(([key]) => key in taken)), taken);
    });
  }

  test('v5 refused by a server that does not know it: a return code and no properties', () => {
    const connack = decodeWhole(bytes('20 02 00 01'), 5, 'server');
    assert.deepEqual(connack, { type: 'connack', sessionPresent: false, reasonCode: 1, properties: {} });
  });

  test('v3.1 CONNACK: the reserved byte is no session present', () => {
    const connack = decodeWhole(bytes('20 02 01 00'), 3, 'server');
    assert.deepEqual(connack, { type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} });
  });
});

describe('what a version cannot say is left out', () => {
  const properties: Properties = { reasonString: 'why', userProperties: [['k', 'v']] };
  // biome-ignore format: one packet a line
  const rows: [name: string, version: ProtocolVersion, packet: Packet, encoded: string][] = [
    ['properties of PUBLISH', 4, { ...publishA(), properties: { contentType: 'c' } }, '30 04 "a" \'x\''],
    ['reason of PUBACK', 4, { type: 'puback', packetId: 1, reasonCode: 0x87, properties }, '40 02 0001'],
    ['reason of PUBREC', 3, { type: 'pubrec', packetId: 1, reasonCode: 0x87, properties }, '50 02 0001'],
    ['reason of DISCONNECT', 4, { type: 'disconnect', reasonCode: 0x8e, properties }, 'e0 00'],
    ['reasons of UNSUBACK', 4, { type: 'unsuback', packetId: 1, reasonCodes: [0x11], properties }, 'b0 02 0001'],
    ['which failure it is in a SUBACK', 4, { type: 'suback', packetId: 1, reasonCodes: [1, 0x87], properties }, '90 04 0001 01 80'],
    ['failure in a SUBACK', 3, { type: 'suback', packetId: 1, reasonCodes: [1, 0x87], properties }, '90 04 0001 01 00'],
    ['session present', 3, { type: 'connack', sessionPresent: true, reasonCode: 0, properties }, '20 02 00 00'],
    [
      'subscription options',
      4,
      {
        type: 'subscribe',
        packetId: 1,
        subscriptions: [{ filter: 'a', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
        properties,
      },
      '82 06 0001 "a" 01',
    ],
  ];
  for (const [name, version, packet, encoded] of rows) {
    test(`v${version} ${name}`, () => {
      assert.equal(encodePacket(packet, version).toString('hex'), bytes(encoded).toString('hex'));
    });
  }
});

describe('decoding copies', () => {
  test('what was read stays when the buffer is used again', () => {
    for (const { packet, version, origin, bytes: encoded } of packetSamples) {
      const buffer = Buffer.from(encoded);
      const decoded = decodeWhole(buffer, version, origin);
      buffer.fill(0xff);
      assert.deepEqual(plain(decoded), plain(packet));
    }
  });

  test('a packet is found in the middle of a buffer, of whatever kind of bytes', () => {
    for (const { packet, version, origin, bytes: encoded } of packetSamples) {
      const header = encoded.length < 130 ? 2 : encoded.length < 16_387 ? 3 : 4;
      const around = new Uint8Array(encoded.length + 20).fill(0x22);
      around.set(encoded, 10);
      const decoded = decodePacket(around, 10, 10 + header, 10 + encoded.length, version, origin);
      assert.deepEqual(plain(decoded), plain(packet));
    }
  });
});

test('SUBSCRIBE and UNSUBSCRIBE read in steps are what they are at once, whole and cut short', () => {
  for (const { version, origin, bytes: encoded } of packetSamples) {
    const type = encoded[0]! >> 4;
    if (origin !== 'client' || (type !== 8 && type !== 10) || encoded.length > 129) continue;
    for (let length = 2; length <= encoded.length; length += 1) {
      const cut = encoded.subarray(0, length);
      const step = decodeInSteps(cut, 2, version, 1);
      let decoded = step();
      while (decoded === null) decoded = step();
      assert.deepEqual(plain(decoded), plain(decodePacket(cut, 0, 2, length, version, 'client')));
    }
  }
});

test('a text of more than 65535 bytes is an error of the caller', () => {
  assert.throws(() => encodePacket({ ...publishA(), topic: 'a'.repeat(65_536) }, 4), RangeError);
});

function publishA(): Packet & { type: 'publish' } {
  const flags = { qos: 0, retain: false, dup: false, packetId: 0 } as const;
  return { type: 'publish', topic: 'a', payload: bytes("'x'"), ...flags, properties: {} };
}

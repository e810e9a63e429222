import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket } from '../../../src/mqtt/encode.js';
import type { Packet, Properties, ProtocolVersion, UserProperty } from '../../../src/mqtt/packets.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

/** User properties that make a packet of this size. */
function filledTo(size: number, make: (properties: Properties) => Packet): Buffer {
  const userProperties: UserProperty[] = [];
  for (let i = 0; i < Math.floor(size / 50_010); i += 1) userProperties.push(['k', 'v'.repeat(50_000)]);
  const length = (last: number): number =>
    encodePacket(make({ userProperties: [...userProperties, ['k', 'v'.repeat(last)]] }), 5).length;
  const last = size - length(0);
  for (let less = 0; less < 4; less += 1) {
    if (length(last - less) !== size) continue;
    return encodePacket(make({ userProperties: [...userProperties, ['k', 'v'.repeat(last - less)]] }), 5);
  }
  throw new Error(`no packet has ${size} bytes`);
}

const request = { filter: 't', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

describe('packets of MQTT 5.0 that are longer than an honest client makes them [mosq: built-in limits]', () => {
  const rows: [name: string, sizeMax: number, make: (properties: Properties) => Packet][] = [
    [
      'SUBSCRIBE',
      100_000,
      (properties) => ({ type: 'subscribe', packetId: 1, subscriptions: [request], properties }),
    ],
    [
      'UNSUBSCRIBE',
      100_000,
      (properties) => ({ type: 'unsubscribe', packetId: 1, filters: ['t'], properties }),
    ],
    ['PUBACK', 10_000, (properties) => ({ type: 'puback', packetId: 1, reasonCode: 0, properties })],
    ['PUBREL', 10_000, (properties) => ({ type: 'pubrel', packetId: 1, reasonCode: 0, properties })],
  ];
  for (const [name, sizeMax, make] of rows) {
    test(`${name}: ${sizeMax} bytes are taken, more close the connection`, async () => {
      const fixture = new BrokerFixture();
      const client = await fixture.connect(5);
      client.send(filledTo(sizeMax, make));
      assert.ok(!client.isClosed);
      client.take();
      client.send(filledTo(sizeMax + 1, make));
      client.expectClosed();
      assert.match(fixture.log.at(-1)!, /disconnected: oversize packet\.$/);
    });
  }

  test('AUTH as long as CONNECT is answered like any other', async () => {
    const client = await new BrokerFixture().connect(5);
    const make = (properties: Properties): Packet => ({
      type: 'auth',
      reasonCode: 0x19,
      properties: { authenticationMethod: 'm', ...properties },
    });
    client.send(filledTo(90_000, make));
    client.expectClosed(0x82);
  });

  for (const version of [3, 4] as const satisfies ProtocolVersion[]) {
    test(`v${version}: a SUBSCRIBE may be as long as max_packet_size allows`, async () => {
      const client = await new BrokerFixture().connect(version);
      const subscriptions = Array.from({ length: 200 }, (_, i) => ({
        ...request,
        filter: `${i}`.repeat(400),
      }));
      const packet: Packet = { type: 'subscribe', packetId: 1, subscriptions, properties: {} };
      assert.ok(encodePacket(packet, version).length > 100_000);
      client.send(packet);
      assert.equal(client.expectPacket('suback').reasonCodes.length, 200);
    });
  }
});

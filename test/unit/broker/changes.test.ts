/** What counts as a change [mosq: autosave_on_changes]. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type { BrokerClient } from '../../support/brokers/broker-client.js';
import { BrokerFixture } from '../../support/brokers/broker-fixture.js';

describe('autosave_on_changes', () => {
  let changes = 0;
  let fixture: BrokerFixture;
  let away: BrokerClient;
  let here: BrokerClient;
  let publisher: BrokerClient;

  function begin(autosaveOnChanges: boolean): BrokerFixture {
    const add = () => {
      changes += 1;
    };
    return new BrokerFixture({ settings: { autosaveOnChanges }, changes: { add } });
  }

  beforeEach(async () => {
    fixture = begin(true);
    away = await fixture.connect(4, { clientId: 'away', cleanStart: false });
    away.subscribe('away', 2);
    away.disconnect();
    here = await fixture.connect();
    here.subscribe('here', 2);
    publisher = await fixture.connect();
    changes = 0;
  });

  const cases: [what: string, count: number, act: () => unknown][] = [
    ['a CONNECT without clean start', 1, () => fixture.connect(4, { clientId: 'new', cleanStart: false })],
    ['a CONNECT of MQTT 5.0 without clean start', 1, () => fixture.connect(5, { cleanStart: false })],
    ['a CONNECT with clean start', 0, () => fixture.connect(4)],
    [
      'a CONNECT with clean start whose session stays',
      0,
      () => fixture.connect(5, { properties: { sessionExpiryInterval: 60 } }),
    ],
    ['a SUBSCRIBE', 1, () => here.subscribe('a', 1)],
    ['an UNSUBSCRIBE of two filters', 1, () => here.unsubscribe('here', 'b')],
    ['a retained message', 1, () => publisher.publish('kept', 'x', { retain: true })],
    [
      'a retained message that is replaced and cleared',
      3,
      () => {
        for (const payload of ['x', 'y', '']) publisher.publish('kept', payload, { retain: true });
      },
    ],
    ['a message that is queued', 1, () => publisher.publish('away', 'x', { qos: 1 })],
    ['a message that is delivered at once', 0, () => publisher.publish('here', 'x')],
    [
      'a QoS 1 message that its receiver acknowledges',
      1,
      () => {
        publisher.publish('here', 'x', { qos: 1 });
        here.ack('puback', here.expectPacket('publish').packetId);
      },
    ],
    [
      'a QoS 2 message that its receiver completes',
      1,
      () => {
        publisher.publish('here', 'x', { qos: 2, packetId: 7 });
        publisher.ack('pubrel', 7);
        const { packetId } = here.expectPacket('publish');
        here.ack('pubrec', packetId);
        here.expectPacket('pubrel');
        here.ack('pubcomp', packetId);
      },
    ],
    ['a DISCONNECT', 0, () => here.disconnect()],
    ['updates of $SYS', 0, () => fixture.advance(30)],
  ];
  for (const [what, count, act] of cases) {
    test(`${what}: ${count}`, async () => {
      await act();
      assert.equal(changes, count);
    });
  }

  test('nothing is counted without it, and a reload begins to', () => {
    fixture.reload({ autosaveOnChanges: false });
    here.subscribe('a', 1);
    assert.equal(changes, 0);
    fixture.reload({ autosaveOnChanges: true });
    here.subscribe('a', 1);
    assert.equal(changes, 1);
  });
});

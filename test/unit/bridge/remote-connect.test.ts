/** The CONNECT of a bridge, and what it asks for when the other broker does not take that. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  connectPacket,
  firstDemands,
  lesserDemands,
  refusalText,
} from '../../../src/bridge/remote-connect.js';
import { type BridgeSettings, defaultsOf } from '../../../src/config/settings.js';
import type { ConnackPacket } from '../../../src/mqtt/packets.js';

function settings(change: Partial<BridgeSettings> = {}): BridgeSettings {
  return {
    ...defaultsOf('bridge'),
    name: 'up',
    remoteClientid: 'host.up',
    localClientid: 'local.host.up',
    localCleansession: false,
    bridgeReceiveMaximum: 20,
    givenAt: {},
    ...change,
  };
}

const refusal = (reasonCode: number): ConnackPacket => ({
  type: 'connack',
  sessionPresent: false,
  reasonCode,
  properties: {},
});

function connectOf(change: Partial<BridgeSettings> = {}) {
  const own = settings(change);
  return connectPacket(own, firstDemands(own), 0);
}

describe('CONNECT', () => {
  test('MQTT 3.1.1, as a bridge, with the state as its will', () => {
    const { version, bridge, cleanStart, keepAlive, clientId, will, properties } = connectOf();
    assert.deepEqual(
      { version, bridge, cleanStart, keepAlive, clientId, properties },
      { version: 4, bridge: true, cleanStart: false, keepAlive: 60, clientId: 'host.up', properties: {} },
    );
    const { topic, payload, qos, retain } = will!;
    assert.deepEqual(
      { topic, payload: `${payload}`, qos, retain },
      { topic: '$SYS/broker/connection/host.up/state', payload: '0', qos: 1, retain: true },
    );
  });

  test('no will without notifications, or where only this broker is told', () => {
    assert.equal(connectOf({ notifications: false }).will, undefined);
    assert.equal(connectOf({ notificationsLocalOnly: true }).will, undefined);
  });

  test('the will goes to notification_topic, and is not retained where nothing is to be', () => {
    const { will } = connectOf({ notificationTopic: 'state', bridgeOutgoingRetain: false });
    assert.equal(will?.topic, 'state');
    assert.equal(will?.retain, false);
  });

  test('MQTT 5.0 has properties instead of the bridge bit', () => {
    const packet = connectOf({ bridgeProtocolVersion: 'mqttv50', bridgeSessionExpiryInterval: 7 });
    assert.equal(packet.bridge, false);
    assert.deepEqual(packet.properties, {
      receiveMaximum: 20,
      topicAliasMaximum: 10,
      sessionExpiryInterval: 7,
    });
  });

  test('options that are a field of it', () => {
    assert.equal(connectOf({ cleansession: true }).cleanStart, true);
    assert.equal(connectOf({ keepaliveInterval: 7 }).keepAlive, 7);
    assert.equal(connectOf({ tryPrivate: false }).bridge, false);
    assert.equal(connectOf({ bridgeProtocolVersion: 'mqttv31' }).version, 3);
    const v5 = {
      bridgeProtocolVersion: 'mqttv50',
      bridgeReceiveMaximum: 65535,
      bridgeMaxTopicAlias: 0,
    } as const;
    assert.deepEqual(connectOf(v5).properties, {});
    assert.deepEqual(connectOf({ ...v5, bridgeReceiveMaximum: 3 }).properties, { receiveMaximum: 3 });
  });

  test('user name and password', () => {
    const { username, password } = connectOf({ remoteUsername: 'u', remotePassword: 'p' });
    assert.equal(username, 'u');
    assert.equal(`${password}`, 'p');
  });
});

describe('refusals', () => {
  const v311 = firstDemands(settings());
  const v5 = firstDemands(settings({ bridgeProtocolVersion: 'mqttv50' }));
  const rows = [
    ['3.1.1, code 1: without the bridge bit', v311, 1, { ...v311, private: false }],
    ['3.1.1 without the bit, code 1', { ...v311, private: false }, 1, null],
    ['3.1.1, not authorised', v311, 5, null],
    ['5.0, answered by a broker that has 3.1.1', v5, 1, { ...v5, version: 4 }],
    ['5.0, unsupported version', v5, 0x84, { ...v5, version: 4 }],
    ['5.0, no retained messages', v5, 0x9a, { ...v5, retain: false }],
    ['5.0, no retained messages, though none are sent', { ...v5, retain: false }, 0x9a, null],
    ['5.0, QoS 2 too high', v5, 0x9b, { ...v5, qosMax: 1 }],
    ['5.0, QoS 0 too high', { ...v5, qosMax: 0 } as const, 0x9b, null],
    ['5.0, not authorised', v5, 0x87, null],
  ] as const;
  for (const [name, demands, reasonCode, lesser] of rows) {
    test(name, () => assert.deepEqual(lesserDemands(demands, refusal(reasonCode)), lesser));
  }

  test('in words', () => {
    assert.equal(refusalText(refusal(5), 4), 'not authorised');
    assert.equal(refusalText(refusal(9), 4), 'unknown reason (code 9)');
    assert.equal(refusalText(refusal(1), 5), 'unacceptable protocol version');
    assert.match(refusalText(refusal(0x87), 5), /not authori[sz]ed/i);
  });
});

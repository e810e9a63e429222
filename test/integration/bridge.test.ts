/**
 * Bridges between real brokers, Midge and Debian's Mosquitto, in every direction and QoS. Each test speaks to both
 * ends of a bridge as a client.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import type { Qos } from '../../src/mqtt/packets.js';
import { type Kind, Listener, startPair } from '../support/brokers/bridge-pair.js';
import type { Broker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';

const mosquitto = '/usr/sbin/mosquitto';
const pairs: readonly (readonly [near: Kind, far: Kind])[] = [
  ['Midge', 'Midge'],
  ['Midge', 'Mosquitto'],
  ['Mosquitto', 'Midge'],
];
const versions = ['mqttv31', 'mqttv311', 'mqttv50'] as const;
const stateTopic = '$SYS/broker/connection/gateway/state';
const allQos: readonly Qos[] = [0, 1, 2];

function skipFor(...kinds: Kind[]): string | false {
  return kinds.includes('Mosquitto') && skipWithout(mosquitto);
}

/** Publishes once with each QoS, retained ones too, and waits for all of them at the other end. */
async function expectPassage(
  t: TestContext,
  from: Broker,
  to: Broker,
  [topic, renamed]: readonly [string, string],
  qosMax: Qos,
): Promise<void> {
  const listener = await Listener.connect(t, to, [`${renamed}/#`]);
  const { client } = await Listener.connect(t, from, []);
  for (const qos of allQos) await client.publish(`${topic}/${qos}`, Buffer.from(`message ${qos}`), qos);
  await listener.until('three messages', () => listener.messages.length >= 3);
  const came = listener.messages.map(({ topic: at, payload, qos }) => `${at} ${Buffer.from(payload)} ${qos}`);
  const wanted = allQos.map((qos) => `${renamed}/${qos} message ${qos} ${Math.min(qos, qosMax)}`);
  assert.deepEqual(came.sort(), wanted);
}

describe('every direction, QoS and version', { concurrency: 3 }, () => {
  for (const [near, far] of pairs) {
    for (const version of versions) {
      test(`${near} bridges to ${far}, ${version}`, { skip: skipFor(near, far) }, async (t) => {
        const bridge = [
          `bridge_protocol_version ${version}`,
          'remote_clientid gateway',
          'topic # out 2 o/ out/',
          'topic # in 1 i/ in/',
          'topic # both 2 b/ both/',
          'topic "" both 1 alias/here there',
        ];
        const pair = await startPair(t, { near, far, bridge: bridge.join('\n') });
        for (const broker of [pair.near, pair.far]) {
          await (await Listener.connect(t, broker, [stateTopic])).untilLast(stateTopic, '1');
        }
        await expectPassage(t, pair.near, pair.far, ['o', 'out'], 2);
        await expectPassage(t, pair.far, pair.near, ['in', 'i'], 1);
        await expectPassage(t, pair.near, pair.far, ['b', 'both'], 2);
        await expectPassage(t, pair.far, pair.near, ['both', 'b'], 2);
        const here = await Listener.connect(t, pair.near, ['alias/here']);
        const { client } = await Listener.connect(t, pair.far, []);
        for (const text of ['one topic', 'to another']) await client.publish('there', Buffer.from(text), 1);
        await here.untilLast('alias/here', 'to another');
        // No loop: what came in over `both` did not go out and come back.
        assert.deepEqual(here.on('alias/here'), ['one topic', 'to another']);
      });
    }
  }
});

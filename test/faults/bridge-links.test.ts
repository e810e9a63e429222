/** Bridges over bad links: what is acknowledged arrives, once where that was promised, and in order. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Qos } from '../../src/mqtt/packets.js';
import { type BridgePair, type Kind, Listener, startPair } from '../support/brokers/bridge-pair.js';
import { optionsFor, type Way } from '../support/brokers/bridge-ways.js';
import type { Broker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { inShortOrLong } from '../support/run-length.js';
import { until } from '../support/within.js';

const mosquitto = '/usr/sbin/mosquitto';
const stateTopic = '$SYS/broker/connection/gateway/state';
const pairs: readonly (readonly [near: Kind, far: Kind])[] = [
  ['Midge', 'Midge'],
  ['Midge', 'Mosquitto'],
  ['Mosquitto', 'Midge'],
];
const ways: readonly Way[] = ['TCP', 'TLS', 'PSK'];
/** Between two messages of a stream. */
const paceMs = inShortOrLong(40, 10);
/** Of the link, from Midge; Mosquitto takes its time to come back. */
const cuts = inShortOrLong(6, 40);
const cutsOfMosquitto = inShortOrLong(1, 3);

function skipFor(way: Way, ...kinds: Kind[]): string | false {
  const programs = way === 'TLS' ? ['/usr/bin/openssl'] : [];
  return skipWithout(...programs, ...(kinds.includes('Mosquitto') ? [mosquitto] : []));
}

/** Numbers published one after the other on a topic, until told to stop. */
class Stream {
  count = 0;
  readonly #broker: Broker;
  readonly #topic: string;
  readonly #qos: Qos;
  #isOver = false;
  #done: Promise<void> = Promise.resolve();

  constructor(broker: Broker, topic: string, qos: Qos) {
    this.#broker = broker;
    this.#topic = topic;
    this.#qos = qos;
  }

  async start(t: TestContext): Promise<void> {
    const { client } = await Listener.connect(t, this.#broker, []);
    this.#done = (async () => {
      while (!this.#isOver) {
        await client.publish(this.#topic, Buffer.from(String(this.count)), this.#qos);
        this.count += 1;
        await wait(paceMs);
      }
      await client.publish(this.#topic, Buffer.from('end'), this.#qos);
    })();
    this.#done.catch(() => {});
  }

  stop(): Promise<void> {
    this.#isOver = true;
    return this.#done;
  }
}

const numbersTo = (count: number): string[] => [...Array.from({ length: count }, (_, i) => String(i)), 'end'];

/**
 * @param sender Mosquitto 2.0 sends new messages before older ones that wait for a client that is just back, so of its
 *   messages only the count can be asked for.
 */
function expectAll(sender: Kind, came: string[], count: number): void {
  if (sender === 'Mosquitto') came.sort((a, b) => rank(a) - rank(b));
  assert.deepEqual(came, numbersTo(count));
}

const rank = (text: string): number => (text === 'end' ? Number.POSITIVE_INFINITY : Number(text));

const hasAll = (listener: Listener, topic: string, { count }: Stream): boolean =>
  firsts(listener.on(topic)).length > count;

/** With QoS 1 messages may come twice, but each first in its place. */
const firsts = (came: string[]): string[] => [...new Set(came)];

async function cutOften(pair: BridgePair, cuts: number): Promise<void> {
  for (let cut = 0; cut < cuts; cut += 1) {
    const accepted = pair.proxy.accepted;
    pair.proxy.cut();
    await until(() => pair.proxy.accepted > accepted, 'a new connection of the bridge');
    // Somewhere in the middle of connecting, or of what follows.
    await wait((cut % 6) * 37);
  }
}

/** A slow link that is cut again and again, and then goes deaf until a keepalive of ours notices. */
async function mistreat(
  pair: BridgePair,
  near: Kind,
  ends: { near: Listener; far: Listener },
): Promise<void> {
  pair.proxy.delay(5);
  pair.proxy.throttle(200_000);
  await cutOften(pair, near === 'Mosquitto' ? cutsOfMosquitto : cuts);
  await ends.near.untilLast(stateTopic, '1');
  await ends.far.untilLast(stateTopic, '1');
  pair.proxy.goDeaf();
  // As long as it has something to send Mosquitto does not notice, but the broker that it sends to does.
  await (near === 'Mosquitto' ? ends.far : ends.near).untilLast(stateTopic, '0');
  await pair.proxy.restore();
  if (near === 'Mosquitto') pair.proxy.cut();
}

describe('a link that is slow, cut again and again, and goes deaf', { concurrency: 9 }, () => {
  for (const [near, far] of pairs) {
    for (const way of ways) {
      const skip = skipFor(way, near, far);
      test(`${near} bridges to ${far}, ${way}: QoS 1 loses nothing, QoS 2 doubles nothing`, {
        skip,
      }, async (t) => {
        const limits = 'listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0';
        const options = {
          near,
          far,
          nearConfig: limits,
          farConfig: limits,
          bridge: 'remote_clientid gateway\nkeepalive_interval 5\ntopic up/# out 2\ntopic down/# in 2',
        };
        const pair = await startPair(t, await optionsFor(t, way, options));
        const nearEnd = await Listener.connect(t, pair.near, ['down/#', stateTopic]);
        const farEnd = await Listener.connect(t, pair.far, ['up/#', stateTopic]);
        await nearEnd.untilLast(stateTopic, '1');
        const up1 = new Stream(pair.near, 'up/1', 1);
        const up2 = new Stream(pair.near, 'up/2', 2);
        const down1 = new Stream(pair.far, 'down/1', 1);
        const down2 = new Stream(pair.far, 'down/2', 2);
        const streams = [up1, up2, down1, down2];
        for (const stream of streams) await stream.start(t);
        await mistreat(pair, near, { near: nearEnd, far: farEnd });
        for (const stream of streams) await stream.stop();
        const isUp = () => hasAll(farEnd, 'up/1', up1) && hasAll(farEnd, 'up/2', up2);
        const isDown = () => hasAll(nearEnd, 'down/1', down1) && hasAll(nearEnd, 'down/2', down2);
        await farEnd.until('all', isUp);
        await nearEnd.until('all', isDown);
        assert.ok(up2.count > 50 && down2.count > 50, 'there was traffic to lose');
        expectAll(near, firsts(farEnd.on('up/1')), up1.count);
        expectAll(far, firsts(nearEnd.on('down/1')), down1.count);
        expectAll(near, farEnd.on('up/2'), up2.count);
        expectAll(far, nearEnd.on('down/2'), down2.count);
      });
    }
  }
});

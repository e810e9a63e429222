/** Bridges over bad links: what is acknowledged arrives, once where that was promised, and in order. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { Qos } from '../../src/mqtt/packets.js';
import { type BridgePair, type Kind, Listener, startPair } from '../support/brokers/bridge-pair.js';
import { optionsFor, type Way } from '../support/brokers/bridge-ways.js';
import type { Broker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';

const mosquitto = '/usr/sbin/mosquitto';
const stateTopic = '$SYS/broker/connection/gateway/state';
const pairs: readonly (readonly [near: Kind, far: Kind])[] = [
  ['Midge', 'Midge'],
  ['Midge', 'Mosquitto'],
  ['Mosquitto', 'Midge'],
];
const ways: readonly Way[] = ['TCP', 'TLS', 'PSK'];
/** Mosquitto's keepalive and its waits add up. */
const patienceMs = 40_000;

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
        await wait(10);
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
    for (let waited = 0; pair.proxy.accepted === accepted && waited < 10_000; waited += 20) await wait(20);
    // Somewhere in the middle of connecting, or of what follows.
    await wait(cut * 37);
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
  // Mosquitto takes its time to come back.
  await cutOften(pair, near === 'Mosquitto' ? 1 : 6);
  await ends.near.untilLast(stateTopic, '1');
  await ends.far.untilLast(stateTopic, '1');
  pair.proxy.goDeaf();
  // As long as it has something to send Mosquitto does not notice, but the broker that it sends to does.
  await (near === 'Mosquitto' ? ends.far : ends.near).untilLast(stateTopic, '0');
  await pair.proxy.restore();
  if (near === 'Mosquitto') pair.proxy.cut();
}

describe('bad links', { concurrency: 2 }, () => {
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
          await farEnd.until('all', isUp, patienceMs);
          await nearEnd.until('all', isDown, patienceMs);
          assert.ok(up2.count > 50 && down2.count > 50, 'there was traffic to lose');
          expectAll(near, firsts(farEnd.on('up/1')), up1.count);
          expectAll(far, firsts(nearEnd.on('down/1')), down1.count);
          expectAll(near, farEnd.on('up/2'), up2.count);
          expectAll(far, nearEnd.on('down/2'), down2.count);
        });
      }
    }
  });

  describe('a link that is gone', { concurrency: 4 }, () => {
    test('a half-open one is noticed by its keepalive, and the state topic tells', async (t) => {
      const bridge = 'remote_clientid gateway\nkeepalive_interval 5\ntopic # out 1';
      const { near, proxy } = await startPair(t, { bridge });
      const listener = await Listener.connect(t, near, [stateTopic, '$SYS/broker/bridge/up/#']);
      await listener.untilLast(stateTopic, '1');
      proxy.goDeaf();
      await listener.untilLast(stateTopic, '0');
      assert.match(listener.on('$SYS/broker/bridge/up/last_error').at(-1)!, /does not answer any more/);
      proxy.cut();
      await proxy.restore();
      await listener.untilLast(stateTopic, '1');
    });

    test('what waits is counted, leaves in order and at its pace, and live traffic passes it by', async (t) => {
      const bridge =
        'remote_clientid gateway\nbridge_max_drain_rate 100\ntopic up/# out 2\ntopic live out 0\ntopic down in 1';
      const { near, far, proxy } = await startPair(t, { bridge });
      const nearEnd = await Listener.connect(t, near, [stateTopic, '$SYS/broker/bridge/up/#', 'down']);
      const farEnd = await Listener.connect(t, far, ['up/#', 'live']);
      await nearEnd.untilLast(stateTopic, '1');
      await proxy.close();
      await nearEnd.untilLast(stateTopic, '0');
      for (let i = 0; i < 300; i += 1) await nearEnd.client.publish('up/a', Buffer.from(String(i)), 1);
      await nearEnd.client.publish('up/a', Buffer.from('end'), 2);
      await nearEnd.untilLast('$SYS/broker/bridge/up/backlog/messages', '301');
      assert.match(nearEnd.on('$SYS/broker/bridge/up/next_try').at(-1)!, /^\d{4}-.*Z$/);
      await proxy.restore();
      await nearEnd.untilLast(stateTopic, '1');
      const since = Date.now();
      await nearEnd.client.publish('live', Buffer.from('quick'), 0);
      await farEnd.client.publish('down', Buffer.from('quick'), 1);
      await farEnd.untilLast('live', 'quick');
      await nearEnd.untilLast('down', 'quick');
      assert.ok(farEnd.on('up/a').length < 250, 'live traffic came before the backlog was through');
      await farEnd.untilLast('up/a', 'end');
      const seconds = (Date.now() - since) / 1000;
      assert.ok(seconds > 2 && seconds < 6, `301 messages took ${seconds} s`);
      assert.deepEqual(farEnd.on('up/a'), numbersTo(300));
      await nearEnd.untilLast('$SYS/broker/bridge/up/backlog/messages', '0');
    });

    test('with local_cleansession nothing is kept for it', async (t) => {
      const bridge = 'remote_clientid gateway\nlocal_cleansession true\ntopic up out 1';
      const { near, far, proxy } = await startPair(t, { bridge });
      const nearEnd = await Listener.connect(t, near, [stateTopic]);
      const farEnd = await Listener.connect(t, far, ['up']);
      await nearEnd.untilLast(stateTopic, '1');
      await proxy.close();
      await nearEnd.untilLast(stateTopic, '0');
      await nearEnd.client.publish('up', Buffer.from('missed'), 1);
      await proxy.restore();
      await nearEnd.untilLast(stateTopic, '1');
      await nearEnd.client.publish('up', Buffer.from('seen'), 1);
      await farEnd.untilLast('up', 'seen');
      assert.deepEqual(farEnd.on('up'), ['seen']);
    });

    test('a slow one: everything arrives, in order, and local clients wait for nothing', async (t) => {
      const { near, far, proxy } = await startPair(t, { bridge: 'remote_clientid gateway\ntopic up out 1' });
      const nearEnd = await Listener.connect(t, near, [stateTopic, 'up']);
      const farEnd = await Listener.connect(t, far, ['up']);
      await nearEnd.untilLast(stateTopic, '1');
      proxy.delay(20);
      proxy.throttle(20_000);
      const payload = Buffer.alloc(1000, '.');
      for (let i = 0; i < 60; i += 1) await nearEnd.client.publish('up', payload, 1);
      assert.ok(farEnd.messages.length < 60, 'it is slow');
      assert.equal(nearEnd.on('up').length, 60);
      await nearEnd.client.publish('up', Buffer.from('end'), 1);
      await farEnd.untilLast('up', 'end');
      assert.equal(farEnd.messages.length, 61);
    });
  });
});

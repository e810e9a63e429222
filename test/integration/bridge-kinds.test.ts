/** When bridges connect, where, and what a reload does to them. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { decodePacket } from '../../src/mqtt/decode.js';
import { Framer } from '../../src/mqtt/framer.js';
import { isPacketError } from '../../src/mqtt/packet-error.js';
import type { ConnectPacket } from '../../src/mqtt/packets.js';
import { Listener, startPair } from '../support/brokers/bridge-pair.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { afterTest } from '../support/cleanup.js';
import { FlakyProxy } from '../support/network/flaky-proxy.js';
import { freePort } from '../support/network/free-port.js';

const stateTopic = '$SYS/broker/connection/gateway/state';
const openListener = 'listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n';

/** Where in the log the last connection was lost. */
const lastCut = ({ log }: Broker): number => log.findLastIndex((line) => line.includes('disconnected'));

describe('when and where', { concurrency: 2 }, () => {
  describe('start_type', { concurrency: 4 }, () => {
    test('lazy: connects when enough waits, disconnects when idle, and again', async (t) => {
      const bridge = 'remote_clientid gateway\nstart_type lazy\nthreshold 3\nidle_timeout 1\ntopic up out 1';
      const { near, far } = await startPair(t, { bridge });
      const nearEnd = await Listener.connect(t, near, [stateTopic]);
      const farEnd = await Listener.connect(t, far, ['up', stateTopic]);
      await nearEnd.untilLast(stateTopic, '0');
      for (const round of [1, 2]) {
        // QoS 0 counts too: a lazy bridge keeps it.
        for (const qos of [0, 1, 0] as const)
          await nearEnd.client.publish('up', Buffer.from(`${round}`), qos);
        await farEnd.until('three a round', () => farEnd.on('up').length === 3 * round);
        await nearEnd.untilLast(stateTopic, '1');
        await near.waitForLog(/has exceeded idle timeout, disconnecting/);
        await nearEnd.untilLast(stateTopic, '0');
        await farEnd.untilLast(stateTopic, '0');
      }
      assert.deepEqual(farEnd.on('up'), ['1', '1', '1', '2', '2', '2']);
    });

    test('once: never again', async (t) => {
      const { near, proxy } = await startPair(t, {
        bridge: 'remote_clientid gateway\nstart_type once\ntopic up out 1',
      });
      const nearEnd = await Listener.connect(t, near, [stateTopic]);
      await nearEnd.untilLast(stateTopic, '1');
      proxy.cut();
      await nearEnd.untilLast(stateTopic, '0');
      const again = near.waitForLog(/Connecting bridge/, { from: near.log.length, timeoutMs: 2500 });
      await assert.rejects(again, /still waiting/);
      assert.equal(proxy.accepted, 1);
    });
  });

  describe('several addresses', { concurrency: 4 }, () => {
    test('the next one serves while the first is gone, and the first again when it is back', async (t) => {
      const far = await startBroker(t);
      const first = await FlakyProxy.open(t, far.port);
      const second = await FlakyProxy.open(t, far.port);
      await first.close();
      const near = await startBroker(t, {
        config: `${openListener}connection up\naddresses 127.0.0.1:${first.port} 127.0.0.1:${second.port}
restart_timeout 1\nremote_clientid gateway\ntopic up out 1`,
      });
      const nearEnd = await Listener.connect(t, near, [stateTopic]);
      await near.waitForLog(new RegExp(`is connected to 127.0.0.1:${second.port}`));
      await nearEnd.untilLast(stateTopic, '1');
      await first.restore();
      await near.waitForLog(new RegExp(`goes back to its first address 127.0.0.1:${first.port}`));
      await near.waitForLog(new RegExp(`is connected to 127.0.0.1:${first.port}`));
      await nearEnd.untilLast(stateTopic, '1');
    });

    test('round_robin: the one that serves is kept', async (t) => {
      const far = await startBroker(t);
      const proxies = [await FlakyProxy.open(t, far.port), await FlakyProxy.open(t, far.port)] as const;
      const near = await startBroker(t, {
        config: `${openListener}connection up\naddress 127.0.0.1:${proxies[0].port} 127.0.0.1:${proxies[1].port}
round_robin true\nrestart_timeout 1\nremote_clientid gateway\ntopic up out 1`,
      });
      for (const at of [0, 1, 0]) {
        await near.waitForLog(new RegExp(`is connected to 127.0.0.1:${proxies[at]!.port}`), {
          from: lastCut(near),
        });
        proxies[at]!.cut();
      }
    });
  });

  describe('SIGHUP', { concurrency: 4 }, () => {
    test('adds, removes and changes bridges; one that stays keeps its connection and its queue', async (t) => {
      const far = await startBroker(t);
      const kept = await FlakyProxy.open(t, far.port);
      const other = await FlakyProxy.open(t, far.port);
      const bridge = (name: string, port: number, topics: string) =>
        `connection ${name}\naddress 127.0.0.1:${port}\nrestart_timeout 1\nremote_clientid ${name}\n${topics}\n`;
      const port = await freePort();
      const base = `listener ${port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n`;
      const near = await startBroker(t, {
        config:
          base +
          bridge('kept', kept.port, 'topic kept out 1') +
          bridge('gone', other.port, 'topic gone out 1') +
          bridge('changed', other.port, 'topic before out 1\nbridge_reload_type immediate'),
      });
      Object.assign(near, { port });
      const state = (name: string) => `$SYS/broker/connection/${name}/state`;
      const nearEnd = await Listener.connect(t, near, [state('+'), '$SYS/broker/bridge/#']);
      const farEnd = await Listener.connect(t, far, ['#']);
      for (const name of ['kept', 'gone', 'changed']) await nearEnd.untilLast(state(name), '1');
      await kept.close();
      await nearEnd.untilLast(state('kept'), '0');
      await nearEnd.client.publish('kept', Buffer.from('waits'), 1);

      const config =
        base +
        bridge('kept', kept.port, 'topic kept out 1') +
        bridge('new', other.port, 'topic new out 1') +
        bridge('changed', other.port, 'topic after out 1\nbridge_reload_type immediate');
      writeFileSync(join(near.folder, 'broker.conf'), config);
      const from = near.log.length;
      near.program.signal('SIGHUP');
      await near.waitForLog(/Bridge new is connected/, { from });
      await near.waitForLog(/Bridge changed is connected/, { from });
      await nearEnd.untilLast(state('gone'), '0');
      for (const topic of ['gone', 'before', 'new', 'after']) {
        await nearEnd.client.publish(topic, Buffer.from('x'), 1);
      }
      await kept.restore();
      await farEnd.until('three', () =>
        ['kept', 'new', 'after'].every((topic) => farEnd.on(topic).length === 1),
      );
      assert.deepEqual([...farEnd.on('gone'), ...farEnd.on('before')], []);
      await nearEnd.untilLast('$SYS/broker/bridge/gone/connected', '');
    });

    test('lazy: new settings come with the next connection', async (t) => {
      const bridge = 'remote_clientid gateway\ntopic before out 1';
      const { near, far, proxy } = await startPair(t, {
        bridge,
        nearConfig: `listener {port} 127.0.0.1\nallow_anonymous true`,
      });
      const nearEnd = await Listener.connect(t, near, [stateTopic]);
      const farEnd = await Listener.connect(t, far, ['#']);
      await nearEnd.untilLast(stateTopic, '1');
      const config = `listener ${near.port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\nconnection up
address localhost:${proxy.port}\nrestart_timeout 1\nremote_clientid gateway\ntopic after out 1`;
      writeFileSync(join(near.folder, 'broker.conf'), config);
      near.program.signal('SIGHUP');
      await near.waitForLog(/Changed: topic/);
      await nearEnd.client.publish('before', Buffer.from('still'), 1);
      await farEnd.untilLast('before', 'still');
      proxy.cut();
      await nearEnd.untilLast(stateTopic, '0');
      await nearEnd.untilLast(stateTopic, '1');
      await nearEnd.client.publish('before', Buffer.from('no more'), 1);
      await nearEnd.client.publish('after', Buffer.from('now'), 1);
      await farEnd.untilLast('after', 'now');
      // Twice where the cut came before its acknowledgement did.
      assert.deepEqual([...new Set(farEnd.on('before'))], ['still']);
    });
  });
});

/** A server that answers each CONNECT as it is told, and tells what came. */
async function startPicky(
  t: TestContext,
  answer: (connect: ConnectPacket, socket: Socket) => Buffer,
): Promise<{ port: number; connects: ConnectPacket[] }> {
  const connects: ConnectPacket[] = [];
  const server = createServer((socket) => {
    afterTest(t, () => socket.destroy());
    socket.on('error', () => {});
    const framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, 4, 'client');
      if (isPacketError(packet) || packet.type !== 'connect') return true;
      connects.push(packet);
      socket.write(answer(packet, socket));
      return true;
    });
    socket.on('data', (chunk: Buffer) => framer.push(chunk, chunk.length));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  afterTest(t, () => server.close());
  return { port, connects };
}

describe('a broker that takes less', { concurrency: 4 }, () => {
  const accept = Buffer.of(0x20, 2, 0, 0);
  const refuse = (code: number) => Buffer.of(0x20, 2, 0, code);
  const refuse5 = (code: number) => Buffer.of(0x20, 3, 0, code, 0);

  async function bridgeTo(t: TestContext, port: number, lines: string): Promise<Broker> {
    return startBroker(t, {
      config: `${openListener}connection up\naddress 127.0.0.1:${port}\nrestart_timeout 1
remote_clientid gateway\ntopic # out 1\n${lines}`,
    });
  }

  test('no bridge bit (try_private)', async (t) => {
    const { port, connects } = await startPicky(t, ({ bridge }) => (bridge ? refuse(1) : accept));
    const near = await bridgeTo(t, port, '');
    await near.waitForLog(/Connection Refused: unacceptable protocol version/);
    await near.waitForLog(/is connected to/);
    assert.deepEqual(
      connects.map(({ bridge }) => bridge),
      [true, false],
    );
  });

  test('no MQTT 5.0: MQTT 3.1.1 from then on', async (t) => {
    const { port, connects } = await startPicky(t, ({ version }) => (version === 5 ? refuse(1) : accept));
    const near = await bridgeTo(t, port, 'bridge_protocol_version mqttv50');
    await near.waitForLog(/Remote bridge up does not support MQTT v5.0, reconnecting using MQTT v3.1.1/);
    await near.waitForLog(/is connected to/);
    assert.deepEqual(
      connects.map(({ version }) => version),
      [5, 4],
    );
  });

  test('no retained messages, then no QoS 1: the will follows', async (t) => {
    const { port, connects } = await startPicky(t, ({ will }) => {
      if (will!.retain) return refuse5(0x9a);
      if (will!.qos === 1) return refuse5(0x9b);
      return Buffer.of(0x20, 3, 0, 0, 0);
    });
    const near = await bridgeTo(t, port, 'bridge_protocol_version mqttv50');
    await near.waitForLog(/is connected to/);
    // QoS 2 is left out first, which the will does not show.
    assert.deepEqual(
      connects.map(({ will }) => `${will!.qos}${will!.retain}`),
      ['1true', '1false', '1false', '0false'],
    );
  });

  test('it refuses for good: the reason is in the log, once, and in $SYS', async (t) => {
    const { port, connects } = await startPicky(t, () => refuse(5));
    const near = await bridgeTo(t, port, '');
    const listener = await Listener.connect(t, near, ['$SYS/broker/bridge/up/last_error']);
    await listener.until('the reason', () =>
      /not authorised/.test(listener.on('$SYS/broker/bridge/up/last_error').at(-1) ?? ''),
    );
    // It goes on trying; each wait ends with its own time limit.
    while (connects.length < 3) {
      await near.waitForLog(/next backoff will be 1000 ms/, { from: near.log.length });
    }
    assert.equal(near.log.filter((line) => /is not connected: .*not authorised/.test(line)).length, 1);
  });
});

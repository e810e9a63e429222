/** Bridges whose link is gone or slow: what is acknowledged waits, and arrives once it is there again. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Listener, startPair } from '../support/brokers/bridge-pair.js';

const stateTopic = '$SYS/broker/connection/gateway/state';

const numbersTo = (count: number): string[] => [...Array.from({ length: count }, (_, i) => String(i)), 'end'];

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
      'remote_clientid gateway\nbridge_max_drain_rate 50\ntopic up/# out 2\ntopic live out 0\ntopic down in 1';
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
    assert.notEqual(farEnd.on('up/a').at(-1), 'end', 'live traffic came before the backlog was through');
    await farEnd.untilLast('up/a', 'end');
    const seconds = (Date.now() - since) / 1000;
    assert.ok(seconds > 4, `301 messages took ${seconds} s`);
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

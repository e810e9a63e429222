/** What the options of a bridge, and the limits of the other broker, do to what passes over it. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Listener, startPair } from '../support/brokers/bridge-pair.js';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { FlakyProxy } from '../support/network/flaky-proxy.js';
import { builtFolder } from '../support/project.js';
import { patienceMs, within } from '../support/within.js';

const stateTopic = '$SYS/broker/connection/gateway/state';
const own = '$SYS/broker/bridge/up/';
const open = 'listener {port} 127.0.0.1\nallow_anonymous true\n';
const v5 = 'remote_clientid gateway\nbridge_protocol_version mqttv50\n';
const v311 = 'remote_clientid gateway\n';

/** By Debian's mosquitto_passwd. */
const hashOfSecret =
  '$7$101$801HuAkG+k45Wi+V$4c/jwVe/htPL3h5LxRohD5g9v5C/DJuX6K2l2TfcB99Md0NKau/q6MnPTpWJwYH5MAYo4sJ+uCjiU88d+5XGjQ==';

describe('what passes, and who may', { concurrency: 2 }, () => {
  describe('limits of the other broker', { concurrency: 4 }, () => {
    for (const maxQos of [0, 1] as const) {
      test(`max_qos ${maxQos}: higher ones are sent with that, and none is left waiting`, async (t) => {
        const bridge = `${v5}topic # out 2`;
        const pair = await startPair(t, { farConfig: `${open}max_qos ${maxQos}`, bridge });
        const nearEnd = await Listener.connect(t, pair.near, [stateTopic, `${own}#`]);
        await nearEnd.untilLast(stateTopic, '1');
        const farEnd = await Listener.connect(t, pair.far, ['a']);
        for (let i = 0; i < 60; i += 1)
          await nearEnd.client.publish('a', Buffer.from(`${i}`), (i % 3) as 0 | 1 | 2);
        await farEnd.until('all', () => farEnd.messages.length === 60);
        assert.deepEqual(
          farEnd
            .on('a')
            .map(Number)
            .sort((a, b) => a - b),
          Array.from({ length: 60 }, (_, i) => i),
        );
        assert.ok(farEnd.messages.every(({ qos }) => qos <= maxQos));
        // More than the window holds: acknowledgements were taken for what they were.
        await nearEnd.client.publish('a', Buffer.from('end'), 2);
        await farEnd.untilLast('a', 'end');
      });
    }

    test('retain_available false: nothing is retained, the will neither', async (t) => {
      const pair = await startPair(t, {
        farConfig: `${open}retain_available false`,
        bridge: `${v5}topic # out 1`,
      });
      const nearEnd = await RawClient.connect(t, pair.near, 5);
      const farEnd = await Listener.connect(t, pair.far, ['a']);
      await nearEnd.publish('a', 'x', { retain: true });
      await farEnd.untilLast('a', 'x');
      assert.equal(farEnd.messages[0]!.retain, false);
    });

    for (const [name, farConfig, bridge] of [
      ['max_packet_size of the other broker', `${open}max_packet_size 200`, `${v5}topic # out 1`],
      ['bridge_max_packet_size', open, `${v311}bridge_max_packet_size 200\ntopic # out 1`],
    ] as const) {
      test(`${name}: what is larger is dropped, counted, and holds nothing up`, async (t) => {
        const pair = await startPair(t, { farConfig, bridge });
        const nearEnd = await Listener.connect(t, pair.near, [stateTopic, `${own}#`]);
        const farEnd = await Listener.connect(t, pair.far, ['a']);
        await nearEnd.untilLast(stateTopic, '1');
        for (const text of ['before', '.'.repeat(300), 'after']) {
          await nearEnd.client.publish('a', Buffer.from(text), 1);
        }
        await farEnd.untilLast('a', 'after');
        assert.deepEqual(farEnd.on('a'), ['before', 'after']);
        await nearEnd.untilLast(`${own}dropped/too_large`, '1');
      });
    }

    test('topic aliases in both directions, and properties pass', async (t) => {
      const config = `${open}max_topic_alias 3\nmax_topic_alias_broker 3`;
      const bridge = `${v5}bridge_max_topic_alias 4\ntopic up/# out 1 "" far/\ntopic down/# in 1 "" far/`;
      const pair = await startPair(t, { farConfig: config, bridge });
      const nearEnd = await Listener.connect(t, pair.near, [stateTopic, 'down/#'], { version: 5 });
      const farEnd = await Listener.connect(t, pair.far, ['far/up/#'], { version: 5 });
      await nearEnd.untilLast(stateTopic, '1');
      const sender = await RawClient.connect(t, pair.near, 5);
      const farSender = await RawClient.connect(t, pair.far, 5);
      const properties = { contentType: 'text/plain', userProperties: [['a', 'b']] as [string, string][] };
      for (let i = 0; i < 30; i += 1) {
        await sender.publish(`up/${i % 6}`, `${i}`, { properties });
        await farSender.publish(`far/down/${i % 6}`, `${i}`, { properties });
      }
      for (const [end, prefix] of [
        [farEnd, 'far/up'],
        [nearEnd, 'down'],
      ] as const) {
        await end.untilLast(`${prefix}/5`, '29');
        for (let topic = 0; topic < 6; topic += 1) {
          assert.deepEqual(
            end.on(`${prefix}/${topic}`),
            [0, 1, 2, 3, 4].map((i) => `${topic + 6 * i}`),
          );
        }
        const last = end.messages.at(-1)!;
        assert.equal(last.properties.contentType, 'text/plain');
        assert.deepEqual(last.properties.userProperties, [['a', 'b']]);
      }
    });
  });

  describe('what the other broker is told', { concurrency: 4 }, () => {
    test('notification_topic, on both sides; 0 when the bridge leaves', async (t) => {
      const bridge = `${v311}notification_topic link/state\ntopic a out 1`;
      const pair = await startPair(t, { bridge });
      for (const broker of [pair.near, pair.far]) {
        await (await Listener.connect(t, broker, ['link/state'])).untilLast('link/state', '1');
      }
      const farEnd = await Listener.connect(t, pair.far, ['link/state']);
      await pair.near.stop();
      await farEnd.untilLast('link/state', '0');
    });

    test('notifications_local_only: nothing on the other side', async (t) => {
      const pair = await startPair(t, { bridge: `${v311}notifications_local_only true\ntopic a out 1` });
      const nearEnd = await Listener.connect(t, pair.near, [stateTopic]);
      await nearEnd.untilLast(stateTopic, '1');
      const farEnd = await Listener.connect(t, pair.far, [stateTopic, 'a']);
      await nearEnd.client.publish('a', Buffer.from('x'), 1);
      await farEnd.untilLast('a', 'x');
      assert.deepEqual(farEnd.on(stateTopic), []);
    });

    test('retained messages go out on connecting, with their flag; bridge_outgoing_retain takes it off', async (t) => {
      for (const retains of [true, false]) {
        const bridge = `${v311}bridge_outgoing_retain ${retains}\ntopic r/# both 1 "" far/`;
        const pair = await startPair(t, { bridge });
        const nearEnd = await Listener.connect(t, pair.near, [stateTopic]);
        await nearEnd.untilLast(stateTopic, '1');
        await pair.proxy.close();
        await nearEnd.untilLast(stateTopic, '0');
        const sender = await RawClient.connect(t, pair.near, 4);
        await sender.publish('r/a', 'kept', { retain: true });
        const farEnd = await Listener.connect(t, pair.far, ['far/#']);
        await pair.proxy.restore();
        await farEnd.untilLast('far/r/a', 'kept');
        const late = await Listener.connect(t, pair.far, ['far/#', 'end']);
        await late.client.publish('end', Buffer.from('x'), 1);
        await late.untilLast('end', 'x');
        assert.deepEqual(late.on('far/r/a'), retains ? ['kept'] : []);
      }
    });
  });

  test('what the other broker keeps: cleansession, bridge_session_expiry_interval', async (t) => {
    const far = await startBroker(t, { config: `${open}` });
    const proxy = await FlakyProxy.open(t, far.port);
    const rows: readonly (readonly [name: string, lines: string, arrives: boolean])[] = [
      ['usual', '', true],
      ['clean', 'cleansession true\n', false],
      ['usual5', 'bridge_protocol_version mqttv50\n', false],
      ['expiry5', 'bridge_protocol_version mqttv50\nbridge_session_expiry_interval 60\n', true],
    ];
    const sections = rows.map(
      ([name, lines]) => `connection ${name}\naddress 127.0.0.1:${proxy.port}\nremote_clientid ${name}
restart_timeout 1\ntopic ${name} in 1\n${lines}`,
    );
    const near = await startBroker(t, { config: `${open}${sections.join('')}` });
    const state = (name: string) => `$SYS/broker/connection/${name}/state`;
    const nearEnd = await Listener.connect(t, near, [state('+'), '+']);
    const farEnd = await Listener.connect(t, far, [state('+')]);
    // A bridge is connected before it has subscribed: until then there is nobody to send it to.
    const passes = async (name: string, payload: string): Promise<void> => {
      while (nearEnd.on(name).at(-1) !== payload) {
        await farEnd.client.publish(name, Buffer.from(payload), 1);
        await nearEnd.until('something', () => nearEnd.on(name).at(-1) === payload, 300).catch(() => {});
      }
    };
    for (const [name] of rows) {
      await nearEnd.untilLast(state(name), '1');
      await passes(name, 'before');
    }
    await proxy.close();
    for (const [name] of rows) {
      await nearEnd.untilLast(state(name), '0');
      await farEnd.untilLast(state(name), '0');
      await farEnd.client.publish(name, Buffer.from('meanwhile'), 1);
    }
    await proxy.restore();
    for (const [name, , arrives] of rows) {
      await nearEnd.untilLast(state(name), '1');
      await passes(name, 'after');
      assert.equal(nearEnd.on(name).includes('meanwhile'), arrives, name);
    }
  });

  describe('access', { concurrency: 4 }, () => {
    test('user name and password for the other broker; wrong ones are said to be', async (t) => {
      const passwords = join(makeFolder(t), 'passwords');
      writeFileSync(passwords, `gateway:${hashOfSecret}\n`);
      chmodSync(passwords, 0o600);
      const farPort = 'listener {port} 127.0.0.1\nallow_anonymous false\n';
      const bridgeWith = (password: string) =>
        startPair(t, {
          farConfig: `${farPort}password_file ${passwords}`,
          bridge: `${v311}remote_username gateway\nremote_password ${password}\ntopic a out 1`,
        });
      const good = await bridgeWith('secret');
      await good.near.waitForLog(/Bridge up is connected/);
      const bad = await bridgeWith('wrong');
      await bad.near.waitForLog(/Connection Refused: (not authorised|bad user name or password)/);
    });

    test('access rules of this broker do not hold for its bridge, after a reload either', async (t) => {
      const rules = join(makeFolder(t), 'rules');
      writeFileSync(rules, 'topic write up\ntopic read $SYS/#\ntopic read down\n');
      chmodSync(rules, 0o600);
      const pair = await startPair(t, {
        nearConfig: `${open}acl_file ${rules}`,
        bridge: `${v311}topic up out 1\ntopic down in 1`,
      });
      const nearEnd = await Listener.connect(t, pair.near, [stateTopic, 'down']);
      const farEnd = await Listener.connect(t, pair.far, ['up']);
      await nearEnd.untilLast(stateTopic, '1');
      for (const round of ['first', 'second']) {
        await pair.proxy.close();
        await nearEnd.untilLast(stateTopic, '0');
        pair.near.program.signal('SIGHUP');
        await pair.near.waitForLog(/No option/, { from: pair.near.log.length });
        await nearEnd.client.publish('up', Buffer.from(round), 1);
        await pair.proxy.restore();
        await farEnd.untilLast('up', round);
        await farEnd.client.publish('down', Buffer.from(round), 1);
        await nearEnd.untilLast('down', round);
      }
    });
  });

  describe('workers', { concurrency: 2 }, () => {
    test('with three of them a bridge serves the clients of all', async (t) => {
      const pair = await startPair(t, { workers: 3, bridge: `${v311}topic # both 1 "" far/` });
      const ends = await Promise.all(
        Array.from({ length: 6 }, (_, i) => Listener.connect(t, pair.near, [stateTopic, `to/${i}`])),
      );
      for (const end of ends) await end.untilLast(stateTopic, '1');
      const farEnd = await Listener.connect(t, pair.far, ['far/from/#']);
      for (const [i, end] of ends.entries()) {
        await farEnd.client.publish(`far/to/${i}`, Buffer.from('in'), 1);
        await end.untilLast(`to/${i}`, 'in');
        await end.client.publish(`from/${i}`, Buffer.from('out'), 1);
        await farEnd.untilLast(`far/from/${i}`, 'out');
      }
    });

    test('the worker of a bridge dies: it comes back with its queue', async (t) => {
      const folder = makeFolder(t);
      const preload = pathToFileURL(
        join(builtFolder, 'test', 'support', 'brokers', 'fall-on-request.js'),
      ).href;
      const pair = await startPair(t, {
        bridge: `${v311}topic up out 1`,
        nearEnv: { NODE_OPTIONS: `--import ${preload}`, FALL_FOLDER: folder },
      });
      const farEnd = await Listener.connect(t, pair.far, ['up']);
      const nearEnd = await Listener.connect(t, pair.near, [stateTopic]);
      await nearEnd.untilLast(stateTopic, '1');
      await pair.proxy.close();
      await nearEnd.untilLast(stateTopic, '0');
      for (let i = 0; i < 50; i += 1) await nearEnd.client.publish('up', Buffer.from(`${i}`), 1);
      writeFileSync(join(folder, 'fall-1'), '');
      await pair.near.waitForLog(/Worker 0 died and is being replaced/);
      await pair.proxy.restore();
      await farEnd.untilLast('up', '49');
      assert.deepEqual(
        farEnd.on('up'),
        Array.from({ length: 50 }, (_, i) => `${i}`),
      );
    });

    test('a client takes the local client id: the bridge says so, and takes it back', async (t) => {
      const pair = await startPair(t, { bridge: `${v311}topic up out 1` });
      await pair.near.waitForLog(/Bridge up is connected/);
      const from = pair.near.log.length;
      const thief = await RawClient.connect(t, pair.near, 4, { clientId: 'local.gateway' });
      await pair.near.waitForLog(/a client of this broker has taken its local_clientid/, { from });
      await pair.near.waitForLog(/Bridge up is connected/, { from });
      await within(patienceMs, thief.expectClosed(), () => 'waiting for the end of the other client');
    });
  });
});

test('a bridge to nowhere holds nobody up', async (t) => {
  const pair = await startPair(t, {
    bridge: `${v311}topic # out 1\nconnection nobody\naddress no-such-host.invalid:1883\ntopic # out 1
connection hole\naddress 192.0.2.1:1883\ntopic # out 1`,
  });
  const listener = await Listener.connect(t, pair.near, ['a', '$SYS/broker/bridge/nobody/last_error']);
  await listener.until('the reason', () =>
    /no-such-host.invalid does not resolve/.test(
      listener.on('$SYS/broker/bridge/nobody/last_error').at(-1) ?? '',
    ),
  );
  const times: number[] = [];
  for (let i = 0; i < 300; i += 1) {
    const since = performance.now();
    await listener.client.publish('a', Buffer.from(`${i}`), 1);
    times.push(performance.now() - since);
  }
  await listener.untilLast('a', '299');
  const slowest = times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)]!;
  assert.ok(slowest < 2000, `the slowest of a hundred took ${slowest} ms`);
});

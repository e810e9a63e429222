/**
 * A cable is pulled between two network namespaces: nobody closes anything, so silence is all that a bridge can notice
 * [mosq: keepalive_interval, bridge_tcp_keepalive, bridge_tcp_user_timeout].
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Listener } from '../support/brokers/bridge-pair.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { Cable, type Network, openPort, skipWithoutNamespaces } from '../support/network/network.js';

/** By name: the lines of each bridge, and why it gives up. Without them all would wait for a minute. */
const bridges: Readonly<Record<string, readonly [lines: string, why: RegExp]>> = {
  'mqtt-keepalive': ['keepalive_interval 5', /does not answer any more/],
  'tcp-keepalive': ['bridge_tcp_keepalive 1 1 2', /ETIMEDOUT|timed out|No route/i],
  'user-timeout': ['bridge_tcp_user_timeout 1500', /ETIMEDOUT|timed out|No route/i],
};
const names = Object.keys(bridges);

async function startInside(t: TestContext, { prefix }: Network, lines: string): Promise<Broker> {
  const config = `listener 0 {folder}/socket\nallow_anonymous true\nsys_interval 1\n${lines}`;
  const broker = await startBroker(t, { config, prefix });
  return Object.assign(broker, { port: await openPort(t, join(broker.folder, 'socket')) });
}

test('a pulled cable is noticed, each bridge in its own way, and nothing is lost', {
  skip: skipWithoutNamespaces(),
}, async (t) => {
  const cable = Cable.lay(t);
  const far = await startInside(t, cable.far, `listener 1883 ${cable.far.address}`);
  const sections = names.map(
    (name) => `connection ${name}\naddress ${cable.far.address}\nremote_clientid ${name}
restart_timeout 1\ntopic ${name} out 1\n${bridges[name]![0]}`,
  );
  const near = await startInside(t, cable.near, sections.join('\n'));
  const nearEnd = await Listener.connect(t, near, ['$SYS/broker/connection/+/state', '$SYS/broker/bridge/#']);
  const farEnd = await Listener.connect(t, far, ['+']);
  const state = (name: string) => `$SYS/broker/connection/${name}/state`;
  const send = async (text: string) => {
    for (const name of names) await nearEnd.client.publish(name, Buffer.from(text), 1);
  };
  for (const name of names) await nearEnd.untilLast(state(name), '1');
  await send('before');
  for (const name of names) await farEnd.untilLast(name, 'before');

  cable.pull();
  // The user timeout is about bytes that nobody acknowledges; the keepalives need none.
  await nearEnd.client.publish('user-timeout', Buffer.from('unheard'), 1);
  for (const name of names) {
    await nearEnd.untilLast(state(name), '0');
    const error = `$SYS/broker/bridge/${name}/last_error`;
    await nearEnd.until(`the reason of ${name}`, () => bridges[name]![1].test(nearEnd.on(error).join('\n')));
  }
  await send('meanwhile');

  cable.plugIn();
  for (const name of names) {
    await nearEnd.untilLast(state(name), '1');
    await farEnd.untilLast(name, 'meanwhile');
    const unheard = name === 'user-timeout' ? ['unheard'] : [];
    assert.deepEqual([...new Set(farEnd.on(name))], ['before', ...unheard, 'meanwhile']);
  }
});

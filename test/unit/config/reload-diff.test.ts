/** What a reload applies, and what it must leave to a restart. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareSettings, type OptionChange, untilRestart } from '../../../src/config/reload-diff.js';
import { settingsOf } from './config-support.js';

const base = `
pid_file /run/a.pid
sys_interval 10
allow_anonymous true
listener 1883
max_connections 10
bind_interface eth1
listener 1884 127.0.0.1
listener 0 /run/m.sock
plugin /p/acl_file.so
plugin_opt_acl_file /a
connection far
address h
topic a
connection near
address h
topic b
`;

const compare = (after: string) => compareSettings(settingsOf(base), settingsOf(after));
const named = (changes: readonly OptionChange[]) =>
  changes.map(({ option, section, before, after }) => [section, option, before, after]);

test('the same file changes nothing', () => {
  assert.deepEqual(compare(base), {
    applied: [],
    needRestart: [],
    listenersAdded: [],
    listenersRemoved: [],
    bridgesAdded: [],
    bridgesRemoved: [],
    bridgesChanged: [],
    pluginsChanged: false,
  });
});

test('a changed option is applied or waits, as its row says', () => {
  const diff = compare(
    base
      .replace('sys_interval 10', 'sys_interval 20')
      .replace('/run/a.pid', '/run/b.pid')
      .replace('max_connections 10', 'max_connections 20')
      .replace('bind_interface eth1', 'bind_interface eth2'),
  );
  assert.deepEqual(named(diff.applied), [
    [undefined, 'sys_interval', 10, 20],
    ['listener 1883', 'max_connections', 10, 20],
  ]);
  assert.deepEqual(named(diff.needRestart), [
    [undefined, 'pid_file', '/run/a.pid', '/run/b.pid'],
    ['listener 1883', 'bind_interface', 'eth1', 'eth2'],
  ]);
});

test('a global security option is one change, not one for each listener', () => {
  const diff = compare(base.replace('allow_anonymous true', 'allow_anonymous false'));
  assert.deepEqual(named(diff.applied), [[undefined, 'allow_anonymous', true, false]]);
});

test('under per_listener_settings a security option is a change of its listener', () => {
  const text = (value: boolean) =>
    `per_listener_settings true\nlistener 1\nallow_anonymous ${value}\nlistener 2\n`;
  const diff = compareSettings(settingsOf(text(true)), settingsOf(text(false)));
  assert.deepEqual(named(diff.applied), [['listener 1', 'allow_anonymous', true, false]]);
});

test('listeners are told by what they listen on', () => {
  const diff = compare(
    base.replace('listener 1884 127.0.0.1', 'listener 1884').replace('/run/m.sock', '/run/n.sock'),
  );
  assert.deepEqual(diff.listenersAdded, ['listener 1884', 'listener 0 /run/n.sock']);
  assert.deepEqual(diff.listenersRemoved, ['listener 1884 127.0.0.1', 'listener 0 /run/m.sock']);
});

describe('bridges', () => {
  test('come, go and change by name', () => {
    const diff = compare(base.replace('connection near', 'connection third').replace('topic a', 'topic c'));
    assert.deepEqual(
      diff.bridgesAdded.map(({ name }) => name),
      ['third'],
    );
    assert.deepEqual(
      diff.bridgesRemoved.map(({ name }) => name),
      ['near'],
    );
    assert.deepEqual(
      diff.bridgesChanged.map(({ name, topic }) => [name, topic[0]?.pattern]),
      [['far', 'c']],
    );
    assert.deepEqual(
      diff.applied.map(({ option, section }) => [section, option]),
      [['connection far', 'topic']],
    );
  });
});

test('plugins and their options are compared', () => {
  assert.equal(compare(base.replace('/p/', '/q/')).pluginsChanged, true);
  assert.equal(compare(base.replace('_file /a', '_file /b')).pluginsChanged, true);
});

test('listeners of one port are told apart by interface and family, whatever their order', () => {
  const listener = (domain: string, connections: number) =>
    `listener 1883\nsocket_domain ${domain}\nmax_connections ${connections}\n`;
  const lo = (connections: number) =>
    `listener 1883 127.0.0.1\nbind_interface lo\nmax_connections ${connections}\n`;
  const eth = (name: string) => `listener 1883 127.0.0.1\nbind_interface ${name}\nmax_connections 4\n`;
  const before = settingsOf(`${listener('ipv4', 1)}${listener('ipv6', 2)}${lo(3)}${eth('eth0')}`);
  const read = settingsOf(`${eth('eth1')}${lo(30)}${listener('ipv6', 2)}${listener('ipv4', 10)}`);
  const changes = compareSettings(before, read);
  assert.deepEqual(
    [...changes.applied, ...changes.needRestart].map(({ section, option }) => [section, option]),
    [
      ['listener 1883, socket_domain ipv4', 'max_connections'],
      ['listener 1883 127.0.0.1, bind_interface lo', 'max_connections'],
      ['listener 1883 127.0.0.1, bind_interface eth0', 'bind_interface'],
    ],
  );
  assert.deepEqual([changes.listenersAdded, changes.listenersRemoved], [[], []]);
  assert.deepEqual(
    untilRestart(before, read, changes).listeners.map(({ bindInterface, socketDomain, maxConnections }) => [
      bindInterface ?? socketDomain,
      maxConnections,
    ]),
    [
      ['ipv4', 10],
      ['ipv6', 2],
      ['lo', 30],
      ['eth0', 4],
    ],
  );
  const fewer = compareSettings(before, settingsOf(`${listener('ipv6', 2)}${lo(3)}${eth('eth0')}`));
  assert.deepEqual(fewer.listenersRemoved, ['listener 1883, socket_domain ipv4']);
});

test('until a restart, what only a restart can change keeps its value, of each listener its own', () => {
  const listener = (port: number, domain: string, connections: number) =>
    `listener ${port}\nsocket_domain ${domain}\nmax_connections ${connections}\n`;
  const before = settingsOf(`pid_file /a\n${listener(1, 'ipv4', 1)}${listener(2, 'ipv6', 2)}`);
  const read = settingsOf(`pid_file /b\n${listener(2, 'ipv4', 20)}${listener(1, 'ipv4', 10)}`);
  const changes = compareSettings(before, read);
  const { pidFile, listeners } = untilRestart(before, read, changes);
  assert.equal(pidFile, '/a');
  assert.deepEqual(
    listeners.map(({ port, socketDomain, maxConnections }) => [port, socketDomain, maxConnections]),
    [
      [1, 'ipv4', 10],
      [2, 'ipv6', 20],
    ],
  );
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { COUNTER_NAMES, type CounterName } from '../../../src/sys/counters.js';
import { type SysReadings, SysTree } from '../../../src/sys/sys-tree.js';

const start = Date.UTC(2024, 0);

function readings(fields: Partial<SysReadings> = {}): SysReadings {
  const counters = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as Record<CounterName, number>;
  return {
    ...counters,
    clientsTotal: 0,
    sockets: 0,
    heapBytes: 1000,
    memoryUsed: 0,
    memoryLimit: 0,
    store: {},
    ...fields,
  };
}

/** What an update says, without what every topic begins with. */
function changes(tree: SysTree, fields: Partial<SysReadings>, seconds: number): Record<string, string> {
  const updates = tree.update(readings(fields), start + seconds * 1000);
  return Object.fromEntries(updates.map(([topic, value]) => [topic.replace('$SYS/broker/', ''), value]));
}

describe('the first update', () => {
  const all = changes(new SysTree('midge version 1', start), {}, 0);

  test('has every topic that Mosquitto has, and drops by reason', () => {
    const load = [
      'messages/received',
      'messages/sent',
      'publish/received',
      'publish/sent',
      'publish/dropped',
    ];
    load.push('bytes/received', 'bytes/sent', 'sockets', 'connections');
    const expected = [
      'version',
      'uptime',
      ...['total', 'connected', 'active', 'disconnected', 'inactive', 'expired'].map(
        (one) => `clients/${one}`,
      ),
      ...['received', 'sent', 'stored'].map((one) => `messages/${one}`),
      ...['count', 'bytes'].map((one) => `store/messages/${one}`),
      ...['connections/faults', 'clients/taken_over'], // our own
      'subscriptions/count',
      'shared_subscriptions/count',
      'retained messages/count',
      ...['bytes/received', 'bytes/sent', 'publish/bytes/received', 'publish/bytes/sent'],
      ...['received', 'sent', 'dropped'].map((one) => `publish/messages/${one}`),
      ...[
        'queue_full',
        'too_large',
        'expired',
        'backlog',
        'congested',
        'memory',
        'store_full',
        'malformed',
      ].map((one) => `publish/messages/dropped/${one}`),
      ...['packet/out/count', 'packet/out/bytes', 'connections/socket/count', 'heap/current', 'heap/maximum'],
      ...['memory/used', 'memory/limit'], // our own
      ...load.flatMap((one) => ['1min', '5min', '15min'].map((average) => `load/${one}/${average}`)),
    ];
    assert.deepEqual(Object.keys(all).sort(), expected.sort());
  });

  test('has numbers as decimal text, loads with two decimals', () => {
    assert.deepEqual(
      [all.version, all.uptime, all['heap/current'], all['load/sockets/1min']],
      ['midge version 1', '0 seconds', '1000', '0.00'],
    );
  });
});

test('later updates have only what has changed', () => {
  const tree = new SysTree('v', start);
  changes(tree, {}, 0);
  assert.deepEqual(changes(tree, {}, 10), { uptime: '10 seconds' });
  assert.deepEqual(changes(tree, { subscriptions: 3 }, 20), {
    uptime: '20 seconds',
    'subscriptions/count': '3',
  });
  assert.deepEqual(changes(tree, { subscriptions: 3 }, 20.9), {});
});

test('everything is told again when what was published is lost', () => {
  const tree = new SysTree('v', start);
  const all = changes(tree, {}, 0);
  tree.forget();
  assert.deepEqual(changes(tree, {}, 0), all);
});

test('clients who are away, and the most there were', () => {
  const tree = new SysTree('v', start);
  changes(tree, {}, 0);
  const one = changes(tree, { clientsTotal: 1, connections: 1 }, 1);
  assert.equal(one['clients/maximum'], undefined); // only above 1 [mosq: $SYS tree]
  const five = changes(tree, { clientsTotal: 5, connections: 3 }, 2);
  assert.deepEqual(
    [five['clients/maximum'], five['clients/disconnected'], five['clients/inactive'], five['clients/active']],
    ['5', '2', '2', '3'],
  );
  const two = changes(tree, { clientsTotal: 2, connections: 2 }, 3);
  assert.deepEqual([two['clients/maximum'], two['clients/disconnected']], [undefined, '0']);
});

test('the heap at its largest', () => {
  const tree = new SysTree('v', start);
  const values = [100, 300, 200].map((heapBytes, i) => changes(tree, { heapBytes }, i)['heap/maximum']);
  assert.deepEqual(values, ['100', '300', undefined]);
});

test('drops by reason, and what the store says, are topics of their own', () => {
  const tree = new SysTree('v', start);
  changes(tree, {}, 0);
  const dropped = { dropQueueFull: 2, dropExpired: 1 };
  assert.deepEqual(changes(tree, { ...dropped, store: { 'store/alarm': 0 } }, 0), {
    'publish/messages/dropped/queue_full': '2',
    'publish/messages/dropped/expired': '1',
    'store/alarm': '0',
  });
});

test('numbers: what an update would show now, and nothing of it is taken as published', () => {
  const tree = new SysTree('v', start);
  changes(tree, {}, 0);
  const fields = { clientsTotal: 5, connections: 3, heapBytes: 2000, dropExpired: 1 };
  const now = readings({ ...fields, store: { 'store/alarm': 0, 'store/state': 'normal' } });
  const numbers = tree.numbers(now, start + 10_500);
  const shown = tree.update(now, start + 10_500).filter(([topic]) => !/load|version|state/.test(topic));
  for (const [topic, value] of shown) assert.equal(numbers[topic], Number.parseInt(value, 10), topic);
  assert.equal(shown.length, 11);
  assert.equal(numbers['$SYS/broker/uptime'], 10);
  assert.equal(tree.numbers(readings({}), start)['$SYS/broker/clients/maximum'], 5); // always there
  assert.equal(numbers['$SYS/broker/subscriptions/count'], 0); // also what has not changed
  const strange = Object.entries(numbers).filter(([, value]) => !Number.isInteger(value));
  assert.deepEqual(
    [strange, Object.keys(numbers).filter((topic) => /load|version|state/.test(topic))],
    [[], []],
  );
});

describe('loads', () => {
  const average = (topic: string, all: Record<string, string>): (string | undefined)[] =>
    ['1min', '5min', '15min'].map((name) => all[`load/${topic}/${name}`]);

  test('are events per minute, averaged over one, five and fifteen minutes', () => {
    const tree = new SysTree('v', start);
    changes(tree, {}, 0);
    // 100 in 10 s are 600 a minute: 600·(1 − e^(−10/τ)).
    const first = changes(tree, { packetsReceived: 100 }, 10);
    assert.deepEqual(average('messages/received', first), ['92.11', '19.67', '6.63']);
    // Nothing more: what there was fades, old·e^(−10/τ).
    const second = changes(tree, { packetsReceived: 100 }, 20);
    assert.deepEqual(average('messages/received', second), ['77.97', '19.03', '6.56']);
  });

  test('come to the rate itself in time, whatever the interval', () => {
    for (const interval of [1, 10, 60]) {
      const tree = new SysTree('v', start);
      let value = '';
      for (let seconds = 0; seconds <= 900; seconds += interval) {
        value = changes(tree, { bytesSent: seconds * 5 }, seconds)['load/bytes/sent/1min'] ?? value;
      }
      assert.equal(Math.round(Number(value)), 300);
    }
  });

  test('are told when they have changed by a hundredth', () => {
    const tree = new SysTree('v', start);
    changes(tree, {}, 0);
    const told: string[] = [];
    for (let seconds = 10; seconds <= 2000; seconds += 10) {
      const value = changes(tree, { sockets: 1 }, seconds)['load/sockets/1min'];
      if (value !== undefined) told.push(value);
    }
    const values = told.map(Number);
    assert.ok(values.length > 10);
    for (const [i, value] of values.entries()) {
      if (i > 0) assert.ok(values[i - 1]! - value >= 0.0099, `${values[i - 1]} and then ${value}`);
    }
    assert.ok(values.at(-1)! <= 0.02);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isMidge } from '../../../../src/cli/signal/brokers.js';
import { parseSignalArguments, SIGNAL_NAMES, signalOf } from '../../../../src/cli/signal/signal-arguments.js';

test('commands', () => {
  for (const signal of SIGNAL_NAMES) {
    assert.deepEqual(parseSignalArguments(['-a', signal]), { target: 'all', signal });
    assert.deepEqual(parseSignalArguments(['-p', '12', signal, 'more']), { target: 12, signal });
  }
  assert.deepEqual(parseSignalArguments(['-a', '-p', '7', 'shutdown']), { target: 7, signal: 'shutdown' });
  assert.deepEqual(parseSignalArguments(['-p', '7', '-a', 'shutdown']), {
    target: 'all',
    signal: 'shutdown',
  });
  assert.equal(parseSignalArguments([]), 'usage');
  assert.equal(parseSignalArguments(['--help']), 'usage');
});

test('what is wrong, in the words of Mosquitto 2.1', () => {
  const rows: [args: string, error: string][] = [
    ['shutdown', 'One of -a or -p must be used.'],
    ['-x', 'One of -a or -p must be used.'],
    ['-p', '-p argument given but process ID missing.'],
    ['-p 0 shutdown', 'Process ID must be >0.'],
    ['-p -4 shutdown', 'Process ID must be >0.'],
    ['-p abc shutdown', 'Process ID must be >0.'],
    ['-p 7', 'No signal given.'],
    ['-a', 'No signal given.'],
    ['-p 7 -a', 'No signal given.'],
    ['-a SIGHUP', "Unknown signal 'SIGHUP'."],
    ['-a toString', "Unknown signal 'toString'."],
  ];
  for (const [args, error] of rows) {
    assert.deepEqual(parseSignalArguments(args.split(' ')), { error: `Error: ${error}` }, args);
  }
});

test('the signals are those that Mosquitto 2.1.2 sends', () => {
  assert.deepEqual(SIGNAL_NAMES.map(signalOf), ['SIGHUP', 'SIGHUP', 'SIGINT', 'SIGUSR2', 34]);
});

test('processes that are brokers', () => {
  const program = '/usr/lib/node_modules/midge/dist/src/midge.cjs';
  const rows: [words: string[], expected: boolean][] = [
    [['node', '--v8-pool-size=1', program, '-c', '/etc/mosquitto/mosquitto.conf'], true],
    [['/usr/bin/node', 'scripts/start.mjs'], true],
    [['node', program, 'db', 'stats', 'x'], false],
    [['node', program, 'acl', 'explain'], false],
    [['vi', program], false],
    [['node', '/x/midge.cjs.map'], false],
    [['node', 'other.js'], false],
    [[''], false],
  ];
  for (const [words, expected] of rows) assert.equal(isMidge(words), expected, words.join(' '));
});

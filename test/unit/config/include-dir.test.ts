/** `include_dir`: which files, in which order, in which context, and where an error is said to be. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { comparePaths, includedFiles } from '../../../src/config/include-dir.js';
import { load, settingsOf, texts } from './config-support.js';

const files = (names: readonly string[]) => Object.fromEntries(names.map((name) => [`conf.d/${name}`, '']));

test('every name that ends in .conf and is more than that, the capital of a letter first', () => {
  const names = [
    'b.conf',
    'A.conf',
    '01.conf',
    '.conf',
    '.a.conf',
    'a.conf',
    'B.conf',
    'c.CONF',
    'a.conf~',
    '00.conf',
  ];
  const result = load('include_dir conf.d\n', files(names));
  assert.deepEqual(
    texts(result),
    ['.a', '00', '01', 'A', 'a', 'B', 'b'].map((name) => `Loading config file 'conf.d/${name}.conf'`),
  );
});

test('the order is a total one, whatever order the system lists entries in', () => {
  const name = fc.string({ unit: fc.constantFrom('a', 'A', 'b', '_', '0', 'ä'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 6 }), (names) => {
      const entries = names.map((each) => `${each}.conf`);
      const inOrder = includedFiles('d', entries);
      assert.deepEqual(includedFiles('d', entries.toReversed()), inOrder);
      for (let at = 1; at < inOrder.length; at++) assert.ok(comparePaths(inOrder[at - 1]!, inOrder[at]!) < 0);
    }),
  );
});

test('files are read where the line stands, and directories in the order of their lines', () => {
  const settings = settingsOf('sys_interval 1\ninclude_dir b\ninclude_dir a\nuser last\n', {
    'a/1.conf': 'user a\npid_file /a\n',
    'b/1.conf': 'sys_interval 2\nuser b\n',
  });
  assert.equal(settings.sysInterval, 2);
  assert.equal(settings.user, 'last');
  assert.equal(settings.pidFile, '/a');
});

test('an empty directory is fine', () => {
  assert.deepEqual(texts(load('include_dir conf.d\n', { 'conf.d/README': '' })), []);
});

describe('context', () => {
  test('a file begins without a listener and a bridge; the main file goes on with its own', () => {
    const { listeners } = settingsOf('listener 1884\ninclude_dir conf.d\nmax_qos 1\n', {
      'conf.d/a.conf': 'listener 1885\n',
      'conf.d/b.conf': 'bind_address 192.0.2.1\nmax_qos 0\n',
    });
    assert.deepEqual(
      listeners.map(({ port, maxQos }) => [port, maxQos]),
      [
        [1884, 1],
        [1885, 2],
        [1883, 0],
      ],
    );
  });

  test('options of a section begun elsewhere are refused', () => {
    const result = load('listener 1884\nconnection far\naddress h\ntopic #\ninclude_dir conf.d\n', {
      'conf.d/a.conf': 'mount_point a/\ncleansession true\n',
    });
    assert.deepEqual(texts(result, 'error'), [
      "Error: The 'mount_point' option requires a listener to be defined first.",
      "Error found at 'conf.d/a.conf:1'.",
      'Error found at mosquitto.conf:5.',
      "A line 'listener PORT' must come before 'mount_point'.",
      "Error: The 'cleansession' option requires a bridge to be defined first.",
      "Error found at 'conf.d/a.conf:2'.",
      'Error found at mosquitto.conf:5.',
      "A line 'connection NAME' must come before 'cleansession'.",
    ]);
  });

  test('what adds up does so over files, and what may be given once may be given in one of them', () => {
    const result = load('log_type error\npid_file /a\ninclude_dir conf.d\n', {
      'conf.d/a.conf': 'log_type debug\npid_file /b\n',
    });
    assert.deepEqual(texts(result, 'error'), [
      "Error: Duplicate 'pid_file' value in configuration.",
      "Error found at 'conf.d/a.conf:2'.",
      'Error found at mosquitto.conf:3.',
      "'pid_file' may be given once, and is at mosquitto.conf:2 already.",
    ]);
  });
});

test('an included file may not include', () => {
  const result = load('\ninclude_dir conf.d\n', { 'conf.d/a.conf': '#\ninclude_dir other\n' });
  assert.deepEqual(texts(result, 'error'), [
    'Error: The include_dir option is only valid in the main configuration file.',
    "Error found at 'conf.d/a.conf:2'.",
    'Error found at mosquitto.conf:2.',
    "Move the line to 'mosquitto.conf'.",
  ]);
});

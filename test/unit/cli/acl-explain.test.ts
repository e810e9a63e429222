/** `midge acl explain` on made-up files. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AclExplainWorld, aclExplain } from '../../../src/cli/acl-explain.js';

const files: Record<string, string> = {
  '/acl': 'topic read public/#\nuser bob\ntopic home/#\ntopic deny home/secret\npattern write dev/%c\n',
  '/other': 'topic #\n',
  '/broken': 'topic a\nfoo\n',
};

function world(...aclFiles: (string | undefined)[]): AclExplainWorld {
  return {
    listenersOf: (config) =>
      config === 'bad.conf'
        ? { faults: ['Error: bad.'] }
        : aclFiles.map((aclFile, i) => ({ name: `port ${1883 + i}`, aclFile })),
    readText: (file) => files[file] ?? assert.fail('no such file'),
  };
}

test('answers name the line', () => {
  const table: [args: string, exitCode: number, stdout: string][] = [
    ['read public/x', 0, 'allowed: /acl:1 "topic read public/#"\n'],
    ['write public/x', 1, 'denied: no rule grants it\n'],
    ['--user bob read home/x', 0, 'allowed: /acl:3 "topic home/#"\n'],
    ['--user bob write home/secret', 1, 'denied: /acl:4 "topic deny home/secret"\n'],
    ['--client c1 write dev/c1', 0, 'allowed: /acl:5 "pattern write dev/%c"\n'],
    ['write dev/c1 --client c2', 1, 'denied: no rule grants it\n'],
    ['--client # write dev/c1', 1, 'denied: ACL denying access to client with dangerous client id "#"\n'],
    ['write $SYS/x', 1, 'denied: clients may not write $SYS topics\n'],
  ];
  for (const [args, exitCode, stdout] of table) {
    assert.deepEqual(aclExplain(args.split(' '), world('/acl')), { exitCode, stdout, stderr: '' }, args);
  }
});

test('without an ACL file', () => {
  assert.deepEqual(aclExplain(['write', 'a b'], world(undefined)), {
    exitCode: 0,
    stdout: 'allowed: no acl_file applies\n',
    stderr: '',
  });
});

test('listeners are told apart only where they differ', () => {
  const { exitCode, stdout } = aclExplain(['write', 'x'], world('/acl', '/other', '/acl'));
  assert.equal(exitCode, 1);
  assert.equal(
    stdout,
    'On port 1883, port 1885: denied: no rule grants it\nOn port 1884: allowed: /other:1 "topic #"\n',
  );
  assert.doesNotMatch(aclExplain(['write', 'x'], world('/acl', '/acl')).stdout, /port/);
});

test('faults of the files, and wrong use', () => {
  const table: [args: string[], world: AclExplainWorld, stderr: RegExp][] = [
    [
      ['read', 'x'],
      world('/broken'),
      /^Error: Invalid line in acl_file "\/broken": foo\.\nError found at \/broken:2\.\n$/,
    ],
    [['read', 'x'], world('/missing'), /^Error: Unable to open acl_file "\/missing"\.\n$/],
    [['--config', 'bad.conf', 'read', 'x'], world('/acl'), /^Error: bad\.\n$/],
    [[], world(), /^Usage/],
    [['subscribe', 'x'], world(), /^Usage/],
    [['read'], world(), /^Usage/],
    [['read', 'x', 'y'], world(), /^Usage/],
    [['read', 'x', '--user'], world(), /^Usage/],
  ];
  for (const [args, files, stderr] of table) {
    const explanation = aclExplain(args, files);
    assert.equal(explanation.exitCode, 3);
    assert.equal(explanation.stdout, '');
    assert.match(explanation.stderr, stderr);
  }
});

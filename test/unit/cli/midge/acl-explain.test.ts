/** `midge acl explain` on made-up files. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type AclExplainWorld, aclExplain } from '../../../../src/cli/midge/acl-explain.js';
import { machineFiles } from '../../../../src/cli/midge/acl-explain-files.js';
import { makeFolder } from '../../../support/cleanup.js';

const files: Record<string, string> = {
  '/acl': 'topic read public/#\nuser bob\ntopic home/#\ntopic deny home/secret\npattern write dev/%c\n',
  '/other': 'topic #\n',
  '/broken': 'topic a\nfoo\n',
  '/utf16': 't\0o\0p\0i\0c\0',
};

function world(...aclFiles: (string | undefined)[]): AclExplainWorld {
  return {
    listenersOf: (config) =>
      config === 'bad.conf'
        ? { faults: ['Error: bad.'] }
        : aclFiles.map((aclFile, i) => ({ name: `port ${1883 + i}`, aclFile })),
    readFile: (file) => Buffer.from(files[file] ?? assert.fail('no such file')),
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

test('--help is not wrong use', () => {
  const { exitCode, stdout, stderr } = aclExplain(['--help'], world());
  assert.deepEqual([exitCode, stderr], [0, '']);
  assert.match(stdout, /^Usage: midge acl explain/);
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
    [
      ['read', 'x'],
      world('/utf16'),
      /^Error: ACL file '\/utf16' is in UTF-16\.\nIt has to be in UTF-8: .*\n$/,
    ],
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

test('on the files of this machine', (t) => {
  const folder = makeFolder(t);
  const write = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const acl = write('acl', 'topic read a\n');
  const other = write('other', 'topic write a\n');
  const one = write('one.conf', `listener 1883\nlistener 1884\nacl_file ${acl}\n`);
  const two = write(
    'two.conf',
    'per_listener_settings true\n' +
      `listener 1883 127.0.0.1\nacl_file ${acl}\nlistener 1884\nacl_file ${other}\nlistener 0 /run/s.sock\n`,
  );
  const bad = write('bad.conf', 'acl_fiel x\n');
  const ask = (config: string, ...args: string[]) => aclExplain(['--config', config, ...args], machineFiles);

  assert.equal(ask(one, 'read', 'a').stdout, `allowed: ${acl}:1 "topic read a"\n`);
  assert.equal(
    ask(two, 'write', 'a').stdout,
    `On port 1883 of 127.0.0.1: denied: no rule grants it\nOn port 1884: allowed: ${other}:1 "topic write a"\n` +
      'On /run/s.sock: allowed: no acl_file applies\n',
  );
  assert.match(ask(bad, 'read', 'a').stderr, /^Error: Unknown configuration variable 'acl_fiel'\.\n/);
  assert.equal(ask(join(folder, 'none.conf'), 'read', 'a').exitCode, 3);
  assert.equal(aclExplain(['read', 'a'], machineFiles).exitCode, 0);
});

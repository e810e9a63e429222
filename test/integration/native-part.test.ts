/** A machine on which the store's native part cannot be loaded: one line says why, and exit code 69. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { midgeCommand } from '../support/project.js';

test('a native part that is not for this machine', async (t) => {
  const folder = makeFolder(t);
  // lmdb looks here first if it is told so, for a file in the form of its package.
  const prebuilds = join(folder, 'prebuilds', `linux-${process.arch}`);
  mkdirSync(prebuilds, { recursive: true });
  writeFileSync(
    join(prebuilds, 'node.napi.glibc.node'),
    'not for this machine, and longer than an ELF header. '.repeat(9),
  );
  const env = { LMDB_PREBUILD: folder };
  const said =
    /Error: The native part of the store \(package lmdb\) cannot be loaded on this machine \(.*invalid ELF header\)\. Install again on this machine\.$/;

  const file = join(folder, 'midge.conf');
  // Another user could not read the folder.
  writeFileSync(file, 'user root\n');
  const listen = ['-c', file, '-p', String(await freePort())];
  const broker = new Program(t, 'broker', [...midgeCommand, ...listen], { env });
  assert.equal((await broker.waitForEnd()).code, 69, broker.tail());
  assert.equal(broker.lines.filter((line) => said.test(line)).length, 1, broker.tail());
  assert.ok(!broker.lines.some((line) => line.length > 1000 || /^ {4}at /.test(line)), broker.tail());

  const help = new Program(t, 'help', [...midgeCommand, '--help'], { env });
  assert.equal((await help.waitForEnd()).signal, null);
  assert.match(help.output, /Usage: midge/);

  const check = new Program(t, 'check', [...midgeCommand, '-c', file, '--test-config'], { env });
  assert.equal((await check.waitForEnd()).code, 0, check.tail());
});

/**
 * Makes one file to copy, for machines without Node.js:
 *
 *   node scripts/archive.mjs --arch x64|arm64|arm --libc glibc|musl --node NODE [--tree DIR] FILE.tar.gz
 *
 * `NODE` is the program `node` for that machine; npm has it as `npm pack node-linux-ARCH@VERSION`, in `package/bin`.
 * `DIR` is a tree that scripts/production-tree.mjs has made; without it, one is made. Unpacked anywhere, `./midge` and
 * `./mosquitto_pub` and so on start the programs. The same input gives the same bytes.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './prepare.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    arch: { type: 'string', default: process.arch },
    libc: { type: 'string', default: 'glibc' },
    node: { type: 'string' },
    tree: { type: 'string' },
  },
});
if (values.node === undefined || positionals.length !== 1) {
  console.error('archive: --node and the name of one file are needed.');
  process.exit(1);
}
const { arch, libc } = values;
const target = resolve(positionals[0]);

const scratch = mkdtempSync(join(tmpdir(), 'midge-archive-'));
try {
  make();
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function make() {
  const { version, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const name = `midge-${version}-linux-${arch}${libc === 'musl' ? '-musl' : ''}`;
  const folder = join(scratch, name);
  const lib = join(folder, 'lib');
  mkdirSync(join(folder, 'bin'), { recursive: true });
  if (values.tree === undefined) {
    const program = join(root, 'scripts/production-tree.mjs');
    execFileSync(process.execPath, [program, '--arch', arch, '--libc', libc, lib], { stdio: 'inherit' });
  } else cpSync(values.tree, lib, { recursive: true });
  copyFileSync(values.node, join(folder, 'bin/node'));
  chmodSync(join(folder, 'bin/node'), 0o755);
  for (const [command, file] of Object.entries(bin)) {
    const built = command === 'midge' ? 'dist/src/midge.cjs' : file;
    writeFileSync(join(folder, command), starter(command, built), { mode: 0o755 });
  }
  pack(name);
}

function starter(command, built) {
  const option = command === 'midge' ? '--v8-pool-size=1 ' : '';
  return `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/bin/node" ${option}"$here/lib/${built}" "$@"
`;
}

function pack(name) {
  const epoch =
    process.env.SOURCE_DATE_EPOCH ??
    execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }).trim();
  const sameBytes = [
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--format=gnu',
  ];
  const tar = join(scratch, 'archive.tar');
  execFileSync('tar', [...sameBytes, '--mode=go=rX,u+rw,a-s', '-cf', tar, '-C', scratch, name]);
  execFileSync('gzip', ['-9', '--no-name', tar]);
  copyFileSync(`${tar}.gz`, target);
}

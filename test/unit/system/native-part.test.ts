/** What is said where a native part cannot be loaded, in the words of the loaders that say so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nativePartError } from '../../../src/system/native-part.js';

const debian11 = { platform: 'linux', arch: 'arm64', glibc: '2.31' };
const alpine = { platform: 'linux', arch: 'arm', glibc: undefined };

const cases = [
  {
    found:
      "/lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /x/node.napi.glibc.node)",
    machine: debian11,
    said: /\(linux arm64, glibc 2\.31\): it needs glibc 2\.34 or later\. Use a newer system .*prebuilds\/linux-arm64\/node\.napi\.glibc\.node\.$/,
  },
  {
    found: "/lib/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by /x/node.napi.glibc.node)",
    machine: debian11,
    said: /: it needs libstdc\+\+ with GLIBCXX 3\.4\.29 or later\./,
  },
  {
    found:
      'Error loading shared library libstdc++.so.6: No such file or directory (needed by /x/node.napi.musl.node)',
    machine: alpine,
    said: /\(linux arm, no glibc\): the library libstdc\+\+\.so\.6 is missing\. Install the package/,
  },
  {
    found: 'libatomic.so.1: cannot open shared object file: No such file or directory',
    machine: debian11,
    said: /: the library libatomic\.so\.1 is missing\./,
  },
  {
    found: 'No native build was found for platform=linux arch=arm libc=musl\n    attempted loading from: /x',
    machine: alpine,
    said: /: there is none for it in the installation \(package @lmdb\/lmdb-linux-arm\)\. .*linux-arm\/node\.napi\.musl\.node\.$/,
  },
  {
    found: "Cannot find module 'lmdb'\nRequire stack:\n- /x",
    machine: debian11,
    said: /: the package is missing\. The installation is not complete: install again\.$/,
  },
  {
    found: '/x/node.napi.glibc.node: invalid ELF header',
    machine: debian11,
    said: /: its file is damaged or for another kind of machine \(\/x\/node\.napi\.glibc\.node: invalid ELF header\)\./,
  },
  { found: 'Something new.\nmore', machine: debian11, said: /: Something new\. Install again/ },
];

for (const { found, machine, said } of cases) {
  test(`a loader that says "${found.split('\n')[0]}"`, () => {
    const { message } = nativePartError('the store', 'lmdb', new Error(found), machine);
    assert.match(message, said);
    assert.match(
      message,
      /^The native part of the store \(package lmdb\) cannot be loaded on this machine \(/,
    );
    assert.ok(!message.includes('\n'), message);
  });
}

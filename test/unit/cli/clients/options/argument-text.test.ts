import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { decodeText, isWellFormed, textBytes } from '../../../../../src/cli/clients/options/argument-text.js';
import { builtFolder } from '../../../../support/project.js';

test('any bytes come out as they went in', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
      assert.deepEqual([...textBytes(decodeText(Buffer.from(bytes)))], [...bytes]);
    }),
  );
});

test('any text comes out as it went in, and is well formed', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      fc.pre(!/\p{Surrogate}/u.test(text));
      assert.equal(decodeText(Buffer.from(text)), text);
      assert.ok(isWellFormed(text));
    }),
  );
});

test('bytes that are no UTF-8 are told', () => {
  for (const bytes of [[0xff], [0xc3], [0x61, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
    assert.ok(!isWellFormed(decodeText(Buffer.from(bytes))), String(bytes));
  }
  const replacement = '\ufffd';
  assert.equal(decodeText(Buffer.from(replacement)), replacement);
});

test('the command line keeps its bytes', { skip: process.platform !== 'linux' }, () => {
  const module = pathToFileURL(
    join(builtFolder, 'src', 'cli', 'clients', 'options', 'argument-text.js'),
  ).href;
  const script = `import { programArguments, textBytes } from '${module}';
    process.argv.splice(1, 0, 'script');
    console.log(programArguments().map((word) => textBytes(word).toString('hex')).join(' '));`;
  const command = `exec "$0" --input-type=module -e "$1" -- a "" $(printf '\\377\\303\\251')`;
  const { stdout } = spawnSync('/bin/sh', ['-c', command, process.execPath, script], { encoding: 'utf8' });
  assert.equal(stdout, '61  ffc3a9\n');
});

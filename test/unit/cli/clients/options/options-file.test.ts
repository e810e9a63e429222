import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { optionsFileToWords, optionsFileWords } from '../../../../../src/cli/clients/options/options-file.js';
import { makeFolder } from '../../../../support/cleanup.js';

test('lines become options and their values', () => {
  const rows: [text: string, words: string[]][] = [
    ['', []],
    ['-d\n', ['-d']],
    ['-u name', ['-u', 'name']],
    ['--cafile /path/with spaces\r\n', ['--cafile', '/path/with spaces']],
    ['-F  %t %p \n', ['-F', ' %t %p ']],
    ['# -d\n\n-v\n', ['-v']],
    [' -d\n', ['', '-d']],
    ['-m ä\n', ['-m', 'ä']],
    [`-m ${'x'.repeat(2000)}\n-d`, ['-m', 'x'.repeat(1020), '-d']],
  ];
  for (const [text, words] of rows) assert.deepEqual(optionsFileToWords(Buffer.from(text)), words, text);
  assert.deepEqual(optionsFileToWords(Buffer.from('-m \xff', 'latin1')), ['-m', '\udcff']);
});

test('which file is read', (t) => {
  const folder = makeFolder(t);
  mkdirSync(join(folder, '.config'));
  writeFileSync(join(folder, '.config', 'mosquitto_sub'), '-t home');
  mkdirSync(join(folder, 'xdg'));
  writeFileSync(join(folder, 'xdg', 'mosquitto_sub'), '-t xdg');
  writeFileSync(join(folder, 'chosen'), '-t chosen');
  const { HOME, XDG_CONFIG_HOME } = process.env;
  t.after(() => {
    process.env.HOME = HOME;
    if (XDG_CONFIG_HOME === undefined) delete process.env.XDG_CONFIG_HOME;
    else process.env.XDG_CONFIG_HOME = XDG_CONFIG_HOME;
  });
  process.env.HOME = folder;
  delete process.env.XDG_CONFIG_HOME;

  assert.deepEqual(optionsFileWords('mosquitto_sub', []), ['-t', 'home']);
  assert.deepEqual(optionsFileWords('mosquitto_pub', []), []);
  process.env.XDG_CONFIG_HOME = join(folder, 'xdg');
  assert.deepEqual(optionsFileWords('mosquitto_sub', []), ['-t', 'xdg']);
  assert.deepEqual(optionsFileWords('mosquitto_sub', ['-d', '-o', join(folder, 'chosen')]), ['-t', 'chosen']);
  assert.deepEqual(optionsFileWords('mosquitto_sub', ['-o', join(folder, 'missing')]), []);

  const utf16 = join(folder, 'utf16');
  writeFileSync(utf16, '\ufeff-t a\n', 'utf16le');
  assert.throws(() => optionsFileWords('mosquitto_sub', ['-o', utf16]), {
    name: 'UsageError',
    message: `Error: Options file '${utf16}' is in UTF-16.\nIt has to be in UTF-8: iconv -f UTF-16 -t UTF-8 '${utf16}' writes it so.`,
  });
});

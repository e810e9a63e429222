import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { completionFiles, PROGRAMS } from '../../../../scripts/completions.js';
import { projectFolder } from '../../../support/project.js';

const folder = join(projectFolder, 'deploy', 'completions');

function bashOffers(program: string, words: string[]): string[] {
  const script = `source "$1"; COMP_WORDS=("\${@:2}"); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
    compopt() { :; }
    _${program}; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const file = join(folder, 'bash', program);
  const { stdout, stderr } = spawnSync('bash', ['-c', script, 'bash', file, program, ...words], {
    encoding: 'utf8',
    cwd: projectFolder,
  });
  assert.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

describe('bash', { skip: !existsSync('/bin/bash') && 'bash is not installed' }, () => {
  const rows: [program: string, words: string[], offers: string[]][] = [
    ['mosquitto_pub', ['--stdin'], ['--stdin-line', '--stdin-file']],
    ['mosquitto_pub', ['-q', ''], ['0', '1', '2']],
    ['mosquitto_pub', ['--qos', '1'], ['1']],
    ['mosquitto_sub', ['--retain-handling', 'n'], ['new', 'never']],
    ['mosquitto_sub', ['--message'], ['--message-rate']],
    ['mosquitto_rr', ['--message'], ['--message']],
    ['mosquitto_pub', ['-t', 'x'], []],
    ['mosquitto_pub', ['--cafile', 'package.j'], ['package.json']],
    ['mosquitto_pub', ['--capath', 'sr'], ['src']],
    ['mosquitto_pub', ['-D', 'p'], ['publish']],
    ['mosquitto_pub', ['-D', 'publish', 'topic-'], ['topic-alias']],
    ['mosquitto_pub', ['--property', 'will', 'will'], ['will-delay-interval']],
    ['mosquitto_signal', [''], ['-a', '-p', '--help']],
    ['mosquitto_signal', ['-a', 'sh'], ['shutdown']],
    ['mosquitto_db_dump', ['--s'], ['--stats']],
    ['mosquitto_db_dump', ['--stats', 'package.j'], ['package.json']],
  ];
  for (const [program, words, offers] of rows) {
    test(`${program} ${words.join(' ')}`, () => assert.deepEqual(bashOffers(program, words), offers));
  }
});

test('every option of a program is in its files, and none of another', () => {
  const files = completionFiles();
  for (const program of PROGRAMS) {
    const fish = files.get(`fish/${program}.fish`)!;
    const zsh = files.get(`zsh/_${program}`)!;
    assert.equal(/-l stdin-line /.test(fish), program === 'mosquitto_pub', program);
    assert.equal(/\{-U,--unsubscribe\}/.test(zsh), program === 'mosquitto_sub', program);
  }
});

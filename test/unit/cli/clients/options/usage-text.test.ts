import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { optionsOf } from '../../../../../src/cli/clients/options/option-parser.js';
import { UsageError, usageErrorText } from '../../../../../src/cli/clients/options/usage-error.js';
import { usageText, versionText } from '../../../../../src/cli/clients/options/usage-text.js';
import { projectFolder } from '../../../../support/project.js';

const PROGRAMS = ['mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr'] as const;

test('the usage text has every option, in lines that fit', () => {
  for (const program of PROGRAMS) {
    const lines = usageText(program).split('\n');
    for (const { short, long } of optionsOf(program)) {
      const names = [short, long].filter((name) => name !== undefined).join(', ');
      assert.ok(
        lines.some((line) => line === ` ${names}` || line.startsWith(` ${names} `)),
        `${program} ${names}`,
      );
    }
    assert.deepEqual(
      lines.filter((line) => line.length > 80 && !line.startsWith('Usage: ')),
      [],
    );
  }
});

test('the version names the Mosquitto that it is like, and ours', () => {
  const { version } = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
  assert.equal(versionText('mosquitto_sub'), `mosquitto_sub version 2.1.2 running on midge ${version}.\n`);
});

test('hints follow as Mosquitto has them', () => {
  const hint = "Use 'mosquitto_pub --help' to see usage.";
  assert.equal(usageErrorText('mosquitto_pub', new UsageError('E')), `E\n\n\n${hint}`);
  assert.equal(usageErrorText('mosquitto_pub', new UsageError('E', 'one-blank-line')), `E\n\n${hint}`);
  assert.equal(usageErrorText('mosquitto_pub', new UsageError('E', 'none')), 'E');
});

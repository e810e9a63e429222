/** The commands start fast because they load little: what they load is watched here, how fast they are by a benchmark. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { COMMAND_ENVIRONMENT, ourCommand } from '../support/clients/client-commands.js';
import { LineSink } from '../support/clients/wire-record.js';
import { projectFolder } from '../support/project.js';
import { runCommand } from '../support/run-command.js';

/** Prints what was loaded beyond what Node itself loads. */
const SPY = `const before = new Set(process.moduleLoadList);
process.on('exit', () => {
  const loaded = process.moduleLoadList.filter((name) => !before.has(name));
  require('node:fs').writeSync(2, JSON.stringify([...loaded, ...Object.keys(require.cache)]));
});`;

/** Each takes a millisecond or more to load. */
const HEAVY =
  /NativeModule (tls|crypto|dns|http|https|perf_hooks|readline|fs\/promises|worker_threads|url|tty)$|node_modules/;

test('publishing a message loads one file and nothing heavy', async (t) => {
  const sink = await LineSink.start(t);
  const [node, file] = ourCommand('mosquitto_pub');
  const spy = `data:text/javascript,import { createRequire } from 'node:module'; const require = createRequire('/'); ${SPY}`;
  const { stderr, code } = await runCommand(
    [node!, '--import', spy, file!, '-p', String(sink.port), '-t', 'a', '-m', 'x', '-q', '1', '-d'],
    { env: COMMAND_ENVIRONMENT },
  );
  const loaded: string[] = JSON.parse(stderr.toString());
  assert.equal(code, 0);
  assert.deepEqual(sink.lines, ['x']);
  assert.ok(loaded.includes('NativeModule net'), 'the spy sees what is loaded');
  assert.deepEqual(
    loaded.filter((name) => HEAVY.test(name)),
    [],
  );
  assert.deepEqual(
    loaded.filter((name) => name.endsWith('.cjs') || name.endsWith('.js')),
    [file],
  );
});

test('the files that npm installs as commands are programs', () => {
  const { bin } = JSON.parse(readFileSync(join(projectFolder, 'package.json'), 'utf8'));
  for (const program of ['mosquitto_pub', 'mosquitto_sub', 'mosquitto_rr'] as const) {
    const file = ourCommand(program)[1]!;
    assert.match(file, new RegExp(`${bin[program].replace('dist', '')}$`));
    accessSync(file, constants.X_OK);
    const { stdout, status } = spawnSync(file, ['--version'], { encoding: 'utf8' });
    assert.match(stdout, new RegExp(`^${program} version \\S+ running on midge \\S+\\.\n$`));
    assert.equal(status, 1);
  }
});

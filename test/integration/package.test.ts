/** The published package: built files, three scripts, documents and examples, production dependencies only, and it starts. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { makeFolder } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { builtFolder, projectFolder } from '../support/project.js';
import { patienceMs } from '../support/within.js';

test('the packed package starts without sources and development dependencies', async (t) => {
  const folder = makeFolder(t);
  const archive = await pack(t, folder);
  const installed = join(folder, 'an installation');
  mkdirSync(installed);
  await run(t, ['tar', '-xzf', archive, '-C', installed, '--strip-components=1']);
  copyProductionDependencies(installed);

  const files = await run(t, ['tar', '-tzf', archive]);
  const wanted =
    /^package\/(dist\/(src|workers)\/.*\.cjs|scripts\/(midge|.*\.mjs)|docs\/.*\.md|deploy\/(completions|examples)\/.*|deploy\/midge\.\w+|[^/]+)$/;
  assert.deepEqual(
    files.filter((file) => !wanted.test(file)),
    [],
  );
  for (const file of ['LICENSE', 'CHANGELOG.md', 'deploy/midge.service', 'deploy/examples/tls.conf']) {
    assert.ok(files.includes(`package/${file}`), file);
  }
  assert.equal(existsSync(join(installed, 'tsconfig.json')), false);

  const port = await freePort();
  const command = join(folder, 'midge'); // as `npm install -g` puts it on the path
  symlinkSync(
    join(installed, JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).bin.midge),
    command,
  );
  const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
  const broker = new Program(t, 'the installed broker', [command, '-p', String(port)], { cwd: folder, env });
  await broker.waitForLine(/version \S+ running$/);
  assert.deepEqual(readFileSync(`/proc/${broker.pid}/cmdline`, 'utf8').split('\0').slice(0, 2), [
    'node',
    '--v8-pool-size=1',
  ]);
  assert.ok(!broker.lines.some((line) => line.startsWith('midge: ')), broker.tail());
  broker.signal('SIGTERM');
  assert.deepEqual(await broker.waitForEnd(), { code: 0, signal: null });
});

/** Packs what npm would publish. @returns the path of the archive. */
async function pack(t: TestContext, folder: string): Promise<string> {
  const staged = join(folder, 'staged');
  for (const path of ['package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'docs', 'deploy', 'scripts']) {
    cpSync(join(projectFolder, path), join(staged, path), { recursive: true });
  }
  cpSync(builtFolder, join(staged, 'dist'), { recursive: true });
  const npm = ['npm', 'pack', '--ignore-scripts', '--offline', '--pack-destination', folder];
  const lines = await run(t, npm, staged);
  return join(folder, lines.at(-1)!);
}

/** As `npm install --omit=dev` would, without the network: the copies that are already here. */
function copyProductionDependencies(folder: string): void {
  const lock = JSON.parse(readFileSync(join(projectFolder, 'package-lock.json'), 'utf8'));
  for (const [path, entry] of Object.entries<{ dev?: boolean }>(lock.packages)) {
    const from = join(projectFolder, path);
    if (path === '' || entry.dev || !existsSync(from)) continue;
    cpSync(from, join(folder, path), { recursive: true });
  }
}

/** @returns the lines of its standard output. @throws unless it ends with 0. */
async function run(t: TestContext, command: string[], cwd?: string): Promise<string[]> {
  const program = new Program(t, command[0]!, command, cwd === undefined ? {} : { cwd });
  const end = await program.waitForEnd(2 * patienceMs);
  assert.equal(end.code, 0, program.tail());
  return program.stdout;
}

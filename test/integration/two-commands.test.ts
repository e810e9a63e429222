/**
 * npm start and npm test: they install what is missing, build what is out of date, and otherwise do nothing. Each
 * test works on a small project of its own with the real scripts, compiler and dependencies, but a stand-in for npm.
 */
import assert from 'node:assert/strict';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { makeFolder } from '../support/cleanup.js';
import { Program } from '../support/program.js';
import { projectFolder } from '../support/project.js';
import { patienceMs } from '../support/within.js';

/** As scripts/prepare.mjs says: entry points by their compiled files. */
const { programs } = (await import(pathToFileURL(join(projectFolder, 'scripts', 'prepare.mjs')).href)) as {
  programs: Record<string, string>;
};

const mainSource = "console.log('started', process.argv.slice(2).join(' '));\n";
const testSource = "import { test } from 'node:test';\n\ntest('passes', () => {});\n";

/** A project folder, with a space in its path. */
class Project {
  readonly folder: string;
  readonly #t: TestContext;

  constructor(t: TestContext) {
    this.#t = t;
    this.folder = join(makeFolder(t), 'a project');
    const scripts = ['prepare', 'bundle', 'start', 'test', 'run-test-files'].map(
      (name) => `scripts/${name}.mjs`,
    );
    const settings = ['package.json', 'package-lock.json', 'tsconfig.json', 'biome.json', '.gitignore'];
    for (const path of [...scripts, ...settings]) cpSync(join(projectFolder, path), join(this.folder, path));
    cpSync(join(projectFolder, 'scripts', 'lint'), this.path('scripts/lint'), { recursive: true });
    symlinkSync(join(projectFolder, 'node_modules'), this.path('node_modules'));
    for (const entry of Object.keys(programs)) this.write(entry.replace(/\.js$/, '.ts'), 'export {};\n');
    this.write('src/main.ts', mainSource);
    this.write('test/unit/first.test.ts', testSource);
  }

  path(path: string): string {
    return join(this.folder, path);
  }

  has(path: string): boolean {
    return existsSync(this.path(path));
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(this.path(path)), { recursive: true });
    writeFileSync(this.path(path), text);
  }

  /** Runs one of the scripts to its end, from another folder. */
  async run(script: string, args: string[] = [], env: Record<string, string> = {}): Promise<Program> {
    const program = new Program(
      this.#t,
      script,
      [process.execPath, this.path(`scripts/${script}.mjs`), ...args],
      {
        cwd: tmpdir(),
        // A test runner inside a test would otherwise report to the outer one.
        env: { NODE_TEST_CONTEXT: undefined, npm_execpath: this.path('no npm here'), ...env },
      },
    );
    await program.waitForEnd(2 * patienceMs);
    return program;
  }

  /** Puts a stand-in for npm in place. @returns the environment that makes the scripts use it. */
  standInForNpm(source: string): Record<string, string> {
    this.write('npm-cli.cjs', source);
    return { npm_execpath: this.path('npm-cli.cjs') };
  }

  /** Puts real files in the place of the shared node_modules: npm's record of what is installed, and no packages. */
  ownNodeModules(): void {
    unlinkSync(this.path('node_modules'));
    cpSync(
      join(projectFolder, 'node_modules/.package-lock.json'),
      this.path('node_modules/.package-lock.json'),
    );
  }
}

test('start builds once, and passes its arguments on', async (t) => {
  const project = new Project(t);
  const first = await project.run('start', ['-c', 'my file.conf', '-v']);
  assert.match(first.stderr.join('\n'), /^midge: building \(nothing is built yet\)/);
  assert.deepEqual(first.stdout, ['started -c my file.conf -v']);

  const second = await project.run('start');
  assert.deepEqual([...second.stderr, ...second.stdout], ['started ']);
});

test('npm start hands a signal to the broker, and its exit code back', async (t) => {
  const project = new Project(t);
  project.write(
    'src/main.ts',
    "process.on('SIGTERM', () => process.exit(7));\nsetInterval(() => {}, 1000);\nconsole.log('started');\n",
  );
  const env = { NODE_TEST_CONTEXT: undefined };
  const npm = new Program(t, 'npm start', ['npm', '--prefix', project.folder, 'start'], {
    cwd: tmpdir(),
    env,
  });
  await npm.waitForLine(/^started$/);
  npm.signal('SIGTERM');
  assert.equal((await npm.waitForEnd()).code, 7);
});

test('start builds again when something has changed', async (t) => {
  const project = new Project(t);
  await project.run('start');

  project.write('src/main.ts', mainSource.replace('started', 'changed'));
  const restored = new Date('2001-01-01'); // As a backup or an archive brings it, or a clock that was wrong.
  utimesSync(project.path('src/main.ts'), restored, restored);
  const changed = await project.run('start');
  assert.deepEqual(changed.stderr, ['midge: building (src/main.ts has changed) ...']);
  assert.deepEqual(changed.stdout, ['changed ']);

  project.write('workers/new.ts', 'export const answer = 42;\n');
  assert.deepEqual((await project.run('start')).stderr, ['midge: building (workers/new.ts is new) ...']);
  assert.ok(project.has('dist/workers/new.js'));

  renameSync(project.path('test/unit/first.test.ts'), project.path('test/unit/renamed.test.ts'));
  assert.match((await project.run('start')).stderr.join('\n'), /^midge: building/);
  assert.ok(project.has('dist/test/unit/renamed.test.js'));
  assert.ok(!project.has('dist/test/unit/first.test.js'), 'the old output would still run as a test');

  rmSync(project.path('dist/src/main.js'));
  const repaired = await project.run('start');
  assert.deepEqual(repaired.stderr, ['midge: building (dist/src/main.js is missing) ...']);
  assert.deepEqual(repaired.stdout, ['changed ']);
  assert.deepEqual((await project.run('start')).stderr, []);
});

test('a type error stops both commands until it is repaired', async (t) => {
  const project = new Project(t);
  project.write('src/main.ts', 'const port: number = "1883";\nconsole.log(port);\n');
  for (const script of ['start', 'start', 'test']) {
    const failed = await project.run(script);
    assert.equal(failed.end?.code, 70);
    assert.match(failed.output + failed.stderr.join('\n'), /src\/main\.ts.*TS2322/);
    assert.match(failed.stderr.at(-1)!, /^midge: The build failed/);
    assert.deepEqual(failed.stdout, []);
  }
  project.write('src/main.ts', mainSource);
  assert.equal((await project.run('start')).end?.code, 0);
});

test('an installed package starts without building', async (t) => {
  const project = new Project(t);
  await project.run('start');
  for (const path of ['src', 'test', 'tsconfig.json', 'package-lock.json', 'node_modules']) {
    rmSync(project.path(path), { recursive: true });
  }
  const installed = await project.run('start', ['-p', '1883']);
  assert.deepEqual(installed.stderr, []);
  assert.deepEqual(installed.stdout, ['started -p 1883']);

  rmSync(project.path('dist'), { recursive: true });
  const broken = await project.run('start');
  assert.equal(broken.end?.code, 70);
  assert.match(broken.stderr.join('\n'), /neither sources .* nor built files/);
});

test('missing and outdated dependencies are installed by npm ci', async (t) => {
  const project = new Project(t);
  await project.run('start');
  const npm = project.standInForNpm(`
    const { readFileSync, writeFileSync, symlinkSync, rmSync } = require('node:fs');
    writeFileSync('npm-arguments', process.argv.slice(2).join(' '));
    rmSync('node_modules', { recursive: true, force: true });
    symlinkSync(${JSON.stringify(join(projectFolder, 'node_modules'))}, 'node_modules');
  `);

  rmSync(project.path('node_modules'));
  const first = await project.run('start', [], npm);
  assert.deepEqual(first.stderr, [
    'midge: installing dependencies with npm ci (nothing is installed yet) ...',
  ]);
  assert.deepEqual(first.stdout, ['started ']);
  assert.match(readFileSync(project.path('npm-arguments'), 'utf8'), /^ci --include=dev /);

  project.ownNodeModules();
  const emptied = await project.run('start', [], npm);
  assert.match(emptied.stderr.join('\n'), /\(\S+ is missing\)/);

  project.ownNodeModules();
  const record = project.path('node_modules/.package-lock.json');
  const installed = JSON.parse(readFileSync(record, 'utf8'));
  installed.packages['node_modules/pino'].version = '0.0.1';
  writeFileSync(record, JSON.stringify(installed));
  for (const folder of Object.keys(installed.packages)) mkdirSync(project.path(folder), { recursive: true });
  const outdated = await project.run('start', [], npm);
  assert.match(outdated.stderr.join('\n'), /\(pino is 0\.0\.1, \S+ is wanted\)/);

  assert.deepEqual((await project.run('start', [], npm)).stderr, []);
});

test('a start needs no development dependencies when all is built', async (t) => {
  const project = new Project(t);
  await project.run('start');
  project.ownNodeModules();
  const record = project.path('node_modules/.package-lock.json');
  const installed = JSON.parse(readFileSync(record, 'utf8'));
  for (const [folder, entry] of Object.entries<{ dev?: boolean }>(installed.packages)) {
    if (entry.dev) delete installed.packages[folder];
    else mkdirSync(project.path(folder), { recursive: true });
  }
  writeFileSync(record, JSON.stringify(installed));
  const pruned = await project.run('start');
  assert.deepEqual([...pruned.stderr, ...pruned.stdout], ['started ']);
});

test('an installation that fails says what to do', async (t) => {
  const project = new Project(t);
  rmSync(project.path('node_modules'));
  const causes = [
    ['ENOTFOUND', /registry could not be reached/],
    ['EACCES', /cannot be written/],
    ['ENOSPC', /disk is full/],
  ] as const;
  for (const [code, advice] of causes) {
    const npm = project.standInForNpm(`console.error('npm error code ${code}'); process.exit(1);`);
    const failed = await project.run('start', [], npm);
    assert.equal(failed.end?.code, 69);
    assert.match(failed.stderr.at(-1)!, /^midge: npm ci failed in .*a project \(exit code 1\)\. /);
    assert.match(failed.stderr.at(-1)!, advice);
    assert.ok(failed.stderr.includes(`npm error code ${code}`), "npm's own words are shown");
  }
});

test('test runs the tests, and its exit code and last lines are theirs', async (t) => {
  const project = new Project(t);
  const passed = await project.run('test');
  assert.equal(passed.end?.code, 0, passed.tail());
  assert.match(passed.output, /tests 1\n.*\n.*pass 1\n.*fail 0\n.*\n.*\n.*\n.*duration_ms .*\n$/);

  project.write(
    'test/unit/second.test.ts',
    "import { test } from 'node:test';\n\ntest('breaks', () => {\n  throw new Error('on purpose');\n});\n",
  );
  const failed = await project.run('test');
  assert.equal(failed.end?.code, 1);
  assert.match(failed.output, /tests 2\n.*\n.*pass 1\n.*fail 1\n/);

  const byFile = await project.run('test', ['first']);
  assert.equal(byFile.end?.code, 0);
  assert.match(byFile.output, /tests 1\n/);

  const byName = await project.run('test', ['breaks']);
  assert.equal(byName.end?.code, 1);
  assert.match(byName.output, /pass 0\n.*fail 1\n/);
  const byNeither = await project.run('test', ['nowhere']);
  assert.equal(byNeither.end!.code, 1, byNeither.tail());
  assert.match(
    byNeither.stderr.join('\n'),
    /^No test was run: neither the path .* nor the name of a test has "nowhere"\.$/m,
  );
});

test('a lint finding and bad formatting stop the tests', async (t) => {
  const project = new Project(t);
  for (const source of ['export   const spaced = 1;\n', "export const home = eval('1');\n"]) {
    project.write('src/style.ts', source);
    const failed = await project.run('test');
    assert.equal(failed.end?.code, 1, failed.tail());
    assert.match(failed.stderr.join('\n'), /Lint or formatting failed/);
    assert.doesNotMatch(failed.output, /tests 1/);
  }
});

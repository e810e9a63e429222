/**
 * `npm test`: builds (which checks the types), checks lint and formatting, and runs the tests.
 *
 *   npm test                      everything
 *   npm test -- codec             the test files with "codec" in their path; if there are none, the tests of that name
 *   npm test -- --test-only       options go to Node's test runner
 *
 * A run with arguments is for the moment of writing and leaves the lint out. The closing lines of Node's test runner
 * end the output, and its exit code is ours.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, constants } from 'node:os';
import { join } from 'node:path';
import { prepareOrExit, root } from './prepare.mjs';

/** Most integration tests wait for brokers rather than compute, but each starts several threads. */
const testFilesAtOnceMax = 4;

prepareOrExit({ develop: true });
process.chdir(root);

const words = process.argv.slice(2);
if (words.length === 0) checkStyle();
runTests(selectTests(words));

/** Ends the process when a file is badly formatted or has a lint finding. */
function checkStyle() {
  const platformPackages = readdirSync(join(root, 'node_modules', '@biomejs')).filter(
    (name) => name !== 'biome',
  );
  if (platformPackages.length === 0) {
    console.log(
      `Lint and formatting are not checked: Biome has no program for ${process.platform} ${process.arch}.`,
    );
    return;
  }
  const biome = join(root, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const { status } = spawnSync(process.execPath, [biome, 'check'], { stdio: 'inherit' });
  if (status !== 0) {
    console.error('Lint or formatting failed; npm run format repairs what can be repaired by itself.');
    process.exit(status ?? 1);
  }
}

/**
 * @param {string[]} words the command line's.
 * @returns {{ files: string[], options: string[] }} test files to run, and options for the test runner.
 */
function selectTests(words) {
  const all = listTestFiles();
  const options = words.filter((word) => word.startsWith('--'));
  const filters = words.filter((word) => !word.startsWith('--'));
  const inPath = filters.filter((word) => all.some((file) => file.includes(word)));
  const inName = filters.filter((word) => !inPath.includes(word));
  const files = inPath.length === 0 ? all : all.filter((file) => inPath.some((word) => file.includes(word)));
  return { files, options: [...options, ...inName.map((word) => `--test-name-pattern=${word}`)] };
}

function listTestFiles() {
  const folder = join('dist', 'test');
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(folder, file))
    .sort();
}

function runTests({ files, options }) {
  if (files.length === 0) {
    console.error('There are no test files under test/.');
    process.exit(1);
  }
  const atOnce = Math.min(availableParallelism(), testFilesAtOnceMax);
  const runner = spawn(
    process.execPath,
    [
      '--enable-source-maps',
      '--test',
      '--test-reporter=spec',
      `--test-concurrency=${atOnce}`,
      ...options,
      ...files,
    ],
    { stdio: 'inherit' },
  );
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => runner.kill(signal));
  runner.on('close', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

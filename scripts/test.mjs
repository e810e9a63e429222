/**
 * `npm test`: builds (which checks the types), checks lint and formatting, and runs the tests.
 *
 *   npm test                      everything
 *   npm test -- codec             the test files with "codec" in their path; if there are none, the tests of that name;
 *                                 if there are none of these either, it fails
 *   npm test -- --repeat 20 qos   so often in a row, whatever fails; then how many of the runs passed
 *   npm test -- --test-only       other options go to Node, for the processes of the test files
 *   npm run test:faults -- --long   what has several lengths in the longest one; TEST_LENGTH says so to the tests
 *   npm test -- --long --minutes 5 soak   the length of the soak test
 *
 * A run with arguments is for the moment of writing and leaves the lint out. The closing lines of Node's test runner
 * end the output, and its exit code is ours.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, constants, tmpdir } from 'node:os';
import { basename, join, relative, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { prepareOrExit, root } from './prepare.mjs';

const testFolder = join('dist', 'test');

/**
 * Test files at once on each processor. Most integration tests wait for brokers rather than compute: with one file a
 * processor half of the time of both is idle.
 */
const testFilesPerProcessor = 2;
const testFilesAtOnceMax = 8;
const { times, words } = readArguments(process.argv.slice(2));
/** One that never ends must not hold up the others' results. */
const fileMinutesMax = process.env.TEST_LENGTH === 'long' ? 90 : 20;
/**
 * Folders whose files share a process: none of them leaves anything in it that the next one could see. A process takes
 * longer to start than most unit tests to run; those of the conformance tests share brokers, too.
 */
const sharingFolders = [
  'auth',
  'base',
  'bridge',
  'broker',
  'cli',
  'client',
  'config',
  'http-api',
  'log',
  'mosquitto-db',
  'mqtt',
  'routing',
  'runtime',
  'session',
  'sys',
  'system',
  'topic',
].map((name) => join(testFolder, 'unit', name));
sharingFolders.push(join(testFolder, 'conformance'), join(testFolder, 'tidy'));
/** They import the others, for another purpose than to run them. */
const filesAlone = [join(testFolder, 'conformance', 'coverage.test.js')];
/** Test files that take more than ten seconds, the longest first. One that is missing here is only begun later. */
const longFiles = [
  'conformance',
  'cli-option-by-option',
  'cli-in-particular',
  'http-api',
  'bridge-links',
  'store-damage',
  'unit-session',
  'two-commands',
  'broker-kill',
  'bridge-restart',
  'access-rights',
  'access-users',
  'cli-with-midge',
  'unit-cli',
  'bridge-options',
  'access-tls',
  'proxy-protocol',
  'cli-since-2.1',
  'bridge-tls',
  'flow-control',
  'store-unavailable',
  'takeover',
  'takeover-from-mosquitto',
  'bridge-outage',
  'websockets',
  'service-manager',
  'bridge-kinds',
  'walk-through',
  'bridge-silence',
  'damaged-store',
  'access-reload',
  'limits',
  'differential',
];

const testRunner = join(root, 'scripts', 'run-test-files.mjs');

prepareOrExit({ develop: true });
process.chdir(root);

if (words.length === 0) checkStyle();
await runTests(selectTests(words), times);

/** @param {string[]} all */
function readArguments(all) {
  let given = all.filter((word) => word !== '--long');
  if (given.length < all.length) process.env.TEST_LENGTH = 'long';
  const minutesAt = given.indexOf('--minutes');
  if (minutesAt >= 0) {
    process.env.TEST_MINUTES = given[minutesAt + 1];
    if (!(Number(process.env.TEST_MINUTES) > 0)) {
      console.error('--minutes needs a number of minutes.');
      process.exit(1);
    }
    given = given.toSpliced(minutesAt, 2);
  }
  const at = given.indexOf('--repeat');
  if (at < 0) return { times: 1, words: given };
  const times = Number(given[at + 1]);
  if (Number.isInteger(times) && times > 0) return { times, words: given.toSpliced(at, 2) };
  console.error('--repeat needs a number of runs.');
  process.exit(1);
}

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
  if (!existsSync(testFolder)) return [];
  return readdirSync(testFolder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.js'))
    .map((file) => join(testFolder, file))
    .sort();
}

/**
 * Each test file has a process of its own, but those of `sharingFolders` share one a folder.
 *
 * @param {string[]} files
 * @param {string} folder for the files that import them
 * @returns {string[]} what the runner is given in their place
 */
function shareProcesses(files, folder) {
  const isOf = (folder, file) => file.startsWith(folder + sep) && !filesAlone.includes(file);
  const given = files.filter((file) => !sharingFolders.some((folder) => isOf(folder, file)));
  for (const shared of sharingFolders) {
    const urls = files
      .filter((file) => isOf(shared, file))
      .map((file) => pathToFileURL(join(root, file)).href);
    if (urls.length === 0) continue;
    const name = relative(testFolder, shared).replaceAll(sep, '-');
    const file = join(folder, `${name}.test.mjs`);
    writeFileSync(file, urls.map((url) => `import ${JSON.stringify(url)};\n`).join(''));
    given.push(file);
  }
  return given;
}

/** Files that take long come first; at the end, short ones fill what time the others leave. */
function longestFirst(files) {
  const rank = (file) => {
    const at = longFiles.indexOf(basename(file).replace(/\.test\.m?js$/, ''));
    return at < 0 ? longFiles.length : at;
  };
  return files.toSorted((one, other) => rank(one) - rank(other));
}

/** Node itself has the other options, for the processes of the files. */
function isForRunner(option) {
  return option === '--test-only' || option.startsWith('--test-name-pattern=');
}

/** Ends with the exit code of the first run that failed. */
async function runTests({ files, options }, times) {
  if (files.length === 0) {
    console.error('There are no test files under test/.');
    process.exit(1);
  }
  const codes = [];
  while (codes.length < times) {
    codes.push(await runOnce(files, options));
    const passed = codes.filter((code) => code === 0).length;
    if (times > 1) console.log(`${passed} of ${codes.length} runs passed.`);
  }
  process.exit(codes.find((code) => code !== 0) ?? 0);
}

/** @returns {Promise<number>} the runner's exit code; a signal to us ends both. */
function runOnce(files, options) {
  const folder = mkdtempSync(join(tmpdir(), 'midge-test-run-'));
  const unfinished = join(folder, 'unfinished');
  const atOnce = Math.min(testFilesPerProcessor * availableParallelism(), testFilesAtOnceMax);
  const given = longestFirst(words.length === 0 ? shareProcesses(files, folder) : files);
  const runner = spawn(
    process.execPath,
    [
      '--enable-source-maps',
      ...options.filter((option) => !isForRunner(option)),
      testRunner,
      ...options.filter(isForRunner),
      `--at-once=${atOnce}`,
      `--minutes=${fileMinutesMax}`,
      ...given,
    ],
    { stdio: 'inherit', env: { ...process.env, TEST_UNFINISHED_FILE: unfinished } },
  );
  let isStopped = false;
  const stop = (signal) => {
    isStopped = true;
    runner.kill(signal);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  return new Promise((resolve) => {
    runner.on('close', (code, signal) => {
      for (const one of signals) process.off(one, stop);
      // The runner shows nothing more of a file that it has given up.
      if (existsSync(unfinished)) console.log(readFileSync(unfinished, 'utf8'));
      rmSync(folder, { recursive: true });
      const exitCode = code ?? 128 + constants.signals[signal];
      if (isStopped) process.exit(exitCode);
      resolve(exitCode);
    });
  });
}

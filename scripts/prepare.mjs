/**
 * Makes a clone ready to run: installs the dependencies that are missing and builds what is out of date.
 *
 * `npm start`, `npm test` and `npm run bench` begin here; `npm run build` is this file alone. When nothing is to
 * be done it costs a few milliseconds: it reads two lock files and looks at the times of the source files.
 * An installed package (built files, no sources) is left as it is. Everything it prints goes to stderr, so that
 * the output of the program that follows stays its own.
 *
 * Plain JavaScript without dependencies, because it runs before there is anything else.
 */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The project's folder, with a no trailing separator. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** What ends the process when preparing fails (sysexits: a service is unavailable, an internal error). */
export const ExitCode = { noDependencies: 69, noBuild: 70 };

const nodeMajorMin = 20;
const sourceFolders = ['src', 'workers', 'test', 'scripts'];
/** Files outside the source folders that decide what the compiler makes of the sources. */
const buildInputs = ['tsconfig.json', 'package.json', 'package-lock.json', 'scripts/bundle.mjs'];
/** What is started: from a compiled entry point to the file that scripts/bundle.mjs makes of it, in the build folder. */
export const programs = {
  'src/main.js': 'src/midge.cjs',
  'workers/connection-worker.js': 'workers/connection-worker.cjs',
  'src/store/file/store-check-program.js': 'src/store/file/store-check-program.cjs',
  'src/cli/clients/pub.js': 'src/cli/mosquitto_pub.cjs',
  'src/cli/clients/sub.js': 'src/cli/mosquitto_sub.cjs',
  'src/cli/clients/rr.js': 'src/cli/mosquitto_rr.cjs',
  'src/cli/passwd/passwd.js': 'src/cli/mosquitto_passwd.cjs',
  'src/cli/midge/db-dump.js': 'src/cli/mosquitto_db_dump.cjs',
  'src/cli/signal/signal.js': 'src/cli/mosquitto_signal.cjs',
};
const buildFolder = join(root, 'dist');
const stampFile = join(buildFolder, '.build.json');
const compilerState = join(buildFolder, '.tsbuildinfo');

/** A failure that the user can act on. `message` says what was tried and what to do; `exitCode` ends the process. */
export class PrepareError extends Error {
  constructor(message, exitCode) {
    super(message);
    this.exitCode = exitCode;
  }
}

/**
 * Installs and builds as needed.
 *
 * @param {{ develop: boolean }} options `develop`: the development dependencies are wanted even when nothing
 *   is to be built (tests, benchmarks).
 * @throws {PrepareError} when it cannot be done.
 */
export function prepare({ develop }) {
  requireNode();
  if (isInstalledPackage()) {
    requireBuiltFiles();
    return;
  }
  const inputs = readInputs();
  const stale = whyStale(inputs);
  const missing = whyIncomplete(develop || stale !== undefined);
  if (missing !== undefined) installDependencies(missing);
  if (stale !== undefined) build(inputs, stale);
}

/** As {@link prepare}, but a failure is told in one paragraph on stderr and ends the process. */
export function prepareOrExit(options) {
  try {
    prepare(options);
  } catch (error) {
    if (!(error instanceof PrepareError)) throw error;
    say(error.message);
    process.exit(error.exitCode);
  }
}

function requireNode() {
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= nodeMajorMin) return;
  throw new PrepareError(
    `Node.js ${nodeMajorMin} or later is needed, this is ${process.version} (${process.execPath}).`,
    ExitCode.noDependencies,
  );
}

/** A published package carries the built files only; a clone has the sources. */
function isInstalledPackage() {
  return !existsSync(join(root, 'tsconfig.json')) || !existsSync(join(root, 'src'));
}

function requireBuiltFiles() {
  if (existsSync(join(buildFolder, 'src', 'midge.cjs'))) return;
  throw new PrepareError(
    `${root} has neither sources (src, tsconfig.json) nor built files (dist/src/midge.cjs). Install the package again.`,
    ExitCode.noBuild,
  );
}

// ---- dependencies

/**
 * Compares the lock file with npm's own record of what it installed.
 *
 * @param {boolean} develop whether the development dependencies count.
 * @returns {string | undefined} why something is to be installed, or undefined when all is there.
 */
function whyIncomplete(develop) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (wanted === undefined)
    throw new PrepareError(`package-lock.json in ${root} cannot be read.`, ExitCode.noDependencies);
  const installed = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'nothing is installed yet';

  for (const [folder, entry] of Object.entries(wanted)) {
    if (folder === '' || (entry.dev && !develop)) continue;
    const found = installed[folder];
    if (found === undefined || !existsSync(join(root, folder))) {
      if (entry.optional || entry.devOptional) continue;
      return `${packageName(folder)} is missing`;
    }
    if (found.version !== entry.version || found.integrity !== entry.integrity) {
      return `${packageName(folder)} is ${found.version}, ${entry.version} is wanted`;
    }
    if (!suitsThisMachine(found)) return `${packageName(folder)} is for another kind of machine`;
  }
  return undefined;
}

/** The `packages` table of a lock file; undefined when the file is missing or broken. */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

function packageName(folder) {
  return folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
}

/** False when node_modules was copied here from a machine with another system or processor. */
function suitsThisMachine({ os, cpu }) {
  return (
    (os === undefined || allows(os, process.platform)) && (cpu === undefined || allows(cpu, process.arch))
  );
}

/** npm's `os` and `cpu` lists: names that are allowed, or `!name` for those that are not. */
function allows(list, name) {
  if (list.includes(`!${name}`)) return false;
  return list.includes(name) || list.includes('any') || list.every((item) => item.startsWith('!'));
}

/** @param {string} reason why, for the user. */
function installDependencies(reason) {
  say(`installing dependencies with npm ci (${reason}) ...`);
  // No package of ours needs an install script; not running any is safer and works without a compiler.
  const options = ['ci', '--include=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const [command, ...first] = npmCommand();
  const result = spawnSync(command, [...first, ...options], {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, 'pipe'],
    encoding: 'utf8',
  });
  process.stderr.write(result.stderr ?? '');
  if (result.status === 0) return;
  const how = result.error
    ? result.error.message
    : result.signal
      ? `ended by ${result.signal}`
      : `exit code ${result.status}`;
  throw new PrepareError(
    `npm ci failed in ${root} (${how}). ${installAdvice(`${result.error?.code} ${result.stderr}`)}`,
    ExitCode.noDependencies,
  );
}

/** The npm that started us, or the one on the PATH. */
function npmCommand() {
  const running = process.env.npm_execpath;
  if (running !== undefined && basename(running).startsWith('npm')) return [process.execPath, running];
  return ['npm'];
}

/** What to do about a failed installation, from the error codes in npm's words. */
function installAdvice(words) {
  if (
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ENOTCACHED/.test(words)
  ) {
    return 'The package registry could not be reached: connect to the network and try again, or copy node_modules from a machine of the same kind.';
  }
  if (/EACCES|EPERM|EROFS/.test(words)) {
    return 'The folder cannot be written: run this once as the user who owns it, after that it can be read-only.';
  }
  if (/ENOSPC/.test(words)) return 'The disk is full: free some space and try again.';
  if (/can only install packages when/.test(words)) {
    return 'package.json and package-lock.json do not agree: run npm install.';
  }
  if (/ENOENT/.test(words) && !/npm error/.test(words))
    return 'npm was not found: install it (it comes with Node.js).';
  return 'npm tells the reason above.';
}

// ---- build

/**
 * The files that a build depends on.
 *
 * @returns {Record<string, string>} path from the project's folder → modification time and size. Times are
 *   compared for equality, not for order: a Raspberry Pi's clock may have been wrong when it built.
 */
function readInputs() {
  const inputs = {};
  for (const folder of sourceFolders) {
    for (const path of listFiles(folder)) if (isSource(path)) inputs[path] = fingerprint(path);
  }
  for (const path of buildInputs) inputs[path] = fingerprint(path);
  return inputs;
}

function isSource(path) {
  return path.endsWith('.ts');
}

function fingerprint(path) {
  const { mtimeMs, size } = statSync(join(root, path));
  return `${mtimeMs} ${size}`;
}

/** All files below a folder, as paths from the project's folder; none when the folder does not exist. */
function listFiles(folder) {
  let entries;
  try {
    entries = readdirSync(join(root, folder), { withFileTypes: true });
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
  return entries.flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? listFiles(path) : [path];
  });
}

/** @returns {string | undefined} why a build is needed, or undefined when the built files are up to date. */
function whyStale(inputs) {
  const built = readStamp();
  if (built === undefined) return 'nothing is built yet';
  for (const [path, print] of Object.entries(inputs)) {
    if (built[path] === undefined) return `${path} is new`;
    if (built[path] !== print) return `${path} has changed`;
  }
  for (const path of Object.keys(built)) if (inputs[path] === undefined) return `${path} is gone`;
  const missing = missingOutputs(inputs)[0];
  return missing === undefined ? undefined : `${missing} is missing`;
}

function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    return undefined;
  }
}

function expectedOutputs(inputs) {
  const compiled = Object.keys(inputs)
    .filter((path) => isSource(path) && !path.endsWith('.d.ts'))
    .map((path) => `dist/${path.slice(0, -'.ts'.length)}.js`);
  return [...compiled, ...Object.values(programs).map((path) => `dist/${path}`)];
}

function missingOutputs(inputs) {
  const present = new Set(listFiles('dist'));
  return expectedOutputs(inputs).filter((path) => !present.has(path));
}

/**
 * Compiles, and records what was compiled. The record is of the files as they were before: a file saved
 * meanwhile is built again next time.
 */
function build(inputs, reason) {
  say(`building (${reason}) ...`);
  try {
    mkdirSync(buildFolder, { recursive: true });
    rmSync(stampFile, { force: true });
    removeStaleOutputs(inputs);
    // The compiler trusts its own record of what it has written.
    if (missingOutputs(inputs).length > 0) rmSync(compilerState, { force: true });
    run(
      'tsc',
      join(root, 'node_modules', 'typescript', 'bin', 'tsc'),
      '--project',
      join(root, 'tsconfig.json'),
    );
    run('esbuild', join(root, 'scripts', 'bundle.mjs'), buildFolder);
    writeFileSync(stampFile, JSON.stringify(inputs));
  } catch (error) {
    if (error instanceof PrepareError || error.code === undefined) throw error;
    throw new PrepareError(
      `The build folder ${buildFolder} cannot be written (${error.code}). Run npm run build once as the user who owns it; after that it can be read-only.`,
      ExitCode.noBuild,
    );
  }
}

/** Files built from sources that are gone would still be run as tests, or be imported by mistake. */
function removeStaleOutputs(inputs) {
  const expected = new Set(expectedOutputs(inputs));
  for (const path of listFiles('dist')) {
    const output = path.endsWith('.map') ? path.slice(0, -'.map'.length) : path;
    if (output.endsWith('.js') && !expected.has(output)) rmSync(join(root, path));
  }
}

/** @param {string} name of the tool, for messages. */
function run(name, script, ...args) {
  const result = spawnSync(process.execPath, [script, ...args], {
    cwd: root,
    stdio: ['ignore', process.stderr.fd, process.stderr.fd],
  });
  if (result.status === 0) return;
  const how = result.error
    ? result.error.message
    : result.signal
      ? `ended by ${result.signal}`
      : `exit code ${result.status}`;
  throw new PrepareError(`The build failed (${name}: ${how}); it tells the reason above.`, ExitCode.noBuild);
}

function say(text) {
  process.stderr.write(`midge: ${text}\n`);
}

function isMainProgram() {
  return (
    process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href
  );
}

if (isMainProgram()) prepareOrExit({ develop: true });

/**
 * Makes the production tree of one kind of machine, on any machine:
 *
 *   node scripts/production-tree.mjs --arch x64|arm64|arm --libc glibc|musl [--node MAJOR] [--without-store] DIR
 *
 * Packs (npm pack), installs the dependencies of the lock file for that machine without running a script, writes
 * `sbom.json` (CycloneDX) and prunes. The same sources give the same bytes: `SOURCE_DATE_EPOCH` is the time that
 * stands in the list, and the one of the last commit if it is not set.
 */
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './prepare.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    arch: { type: 'string', default: process.arch },
    libc: { type: 'string', default: 'glibc' },
    node: { type: 'string' },
    'without-store': { type: 'boolean', default: false },
    /** For no machine in particular: what npm adds for each is left out (scripts/package.mjs). */
    'without-natives': { type: 'boolean', default: false },
    /** A package made before, instead of packing. */
    package: { type: 'string' },
    /** A folder whose `linux-ARCH/*.node` are stores built from the sources of lmdb. */
    prebuilds: { type: 'string' },
  },
});
if (positionals.length !== 1) fail('one folder is needed: it must be empty or not be there.');
const folder = resolve(positionals[0]);
if (existsSync(folder) && readdirSync(folder).length > 0) fail(`${folder} is not empty.`);
const { arch, libc } = values;

const scratch = mkdtempSync(join(tmpdir(), 'midge-tree-'));
try {
  make();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function make() {
  const archive = values.package ?? pack();
  mkdirSync(folder, { recursive: true });
  run('tar', ['-xzf', archive, '-C', folder, '--strip-components=1']);
  const packageFile = join(folder, 'package.json');
  const { devDependencies, scripts, ...description } = JSON.parse(readFileSync(packageFile, 'utf8'));
  writeJson(packageFile, description);
  const lockFile = join(folder, 'package-lock.json');
  writeJson(lockFile, productionLock());
  const machine = ['--os=linux', `--cpu=${arch}`, `--libc=${libc}`];
  run('npm', [
    'ci',
    '--omit=dev',
    '--ignore-scripts',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    ...machine,
  ]);
  const sbom = run('npm', ['sbom', '--sbom-format=cyclonedx', '--omit=dev', ...machine]);
  if (values.prebuilds !== undefined) {
    const built = `linux-${arch}`;
    cpSync(join(values.prebuilds, built), join(folder, 'node_modules/lmdb/prebuilds', built), {
      recursive: true,
    });
  }
  const options = values['without-natives'] ? ['--without-natives'] : ['--arch', arch, '--libc', libc];
  if (values.node !== undefined) options.push('--node', values.node);
  if (values['without-store']) options.push('--without-store');
  rmSync(lockFile);
  console.log(run(process.execPath, [join(root, 'scripts/prune.mjs'), ...options, folder]).trim());
  writeJson(join(folder, 'sbom.json'), reproducible(JSON.parse(sbom)));
}

function pack() {
  run('npm', ['pack', '--silent', '--pack-destination', scratch], root);
  const name = readdirSync(scratch).find((file) => file.endsWith('.tgz'));
  return join(scratch, name);
}

/** The lock file without development dependencies: npm ci wants it to agree with package.json. */
function productionLock() {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  lock.packages = Object.fromEntries(Object.entries(lock.packages).filter(([, entry]) => !entry.dev));
  delete lock.packages[''].devDependencies;
  return lock;
}

/** Without what differs from one run to the next, and without packages that the tree does not have any more. */
function reproducible({ serialNumber, ...sbom }) {
  const seconds = Number(process.env.SOURCE_DATE_EPOCH ?? lastCommit());
  sbom.metadata.timestamp = new Date(seconds * 1000).toISOString();
  const pathOf = (component) =>
    component.properties?.find(({ name }) => name === 'cdx:npm:package:path')?.value;
  sbom.components = sbom.components
    .filter((component) => existsSync(join(folder, pathOf(component) ?? '')))
    .sort((one, other) => (one['bom-ref'] < other['bom-ref'] ? -1 : 1));
  const refs = new Set([sbom.metadata.component['bom-ref'], ...sbom.components.map((one) => one['bom-ref'])]);
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => refs.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)).sort() }))
    .sort((one, other) => (one.ref < other.ref ? -1 : 1));
  return sbom;
}

function lastCommit() {
  return run('git', ['log', '-1', '--format=%ct'], root).trim();
}

function writeJson(file, value) {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

/** @returns what it wrote */
function run(command, args, cwd = folder) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (status === 0) return stdout;
  fail(`${command} ${args.join(' ')} failed: ${error?.message ?? stderr}`);
}

function fail(text) {
  throw new Error(`production-tree: ${text}`);
}

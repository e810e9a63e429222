/**
 * Leaves of an installed package what one kind of machine needs:
 *
 *   node scripts/prune.mjs --arch arm64 --libc glibc|musl [--node MAJOR] [--without-store] DIR
 *   node scripts/prune.mjs --without-natives DIR
 *
 * `DIR` is an unpacked package with its `node_modules`. What remains is what can be opened: the files that the built
 * programs lead to by `require`, those in `openedByPath`, the native parts of this machine, package.json files and
 * licences. The rest is removed: native parts for other machines, sources in C, declarations, source maps, tests and
 * documents of other packages.
 *
 * The store is left in its N-API form, which every version of Node.js loads. `--node` leaves the one for this version
 * only, if there is one. A store in `node_modules/lmdb/prebuilds` (`linux-ARCH/node.napi.LIBC.node`, built from lmdb's
 * sources) is preferred by lmdb itself and always stays.
 *
 * Plain JavaScript without dependencies, so that a recipe of a Linux distribution can use it.
 */
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { basename, join, relative, resolve, sep } from 'node:path';
import { parseArgs } from 'node:util';

/** Node's names; `arm` is armv7. */
const architectures = ['x64', 'arm64', 'arm'];
/** ABI numbers of the versions of Node.js for which lmdb has a form of its own. */
const abis = { 20: 115, 22: 127 };
/** Opened by a path that is put together while the program runs. */
const openedByPath = [
  'node_modules/piscina/dist/worker.js',
  'node_modules/thread-stream/lib/worker.js',
  'node_modules/thread-stream/lib/indexes.js',
];
/** Loaded by a name that does not stand in a `require`. */
const openedByName = ['koffi', 'lmdb'];
/** Asked for by other packages, which do without: a faster way to read MessagePack, and the priority of a thread. */
const dispensable = ['msgpackr-extract', '@napi-rs/nice'];
/** Packages with a native part for one kind of machine: `nativeParts` decides about them. */
const nativePackage = /^@(lmdb\/lmdb|koromix\/koffi|node-rs\/argon2|napi-rs\/nice)-/;
/** Beside what is opened: who wrote it and under which terms, and what an installed Midge brings for people. */
const staying = /(^|\/)(package\.json|licen[cs]e[^/]*|copying[^/]*|notice[^/]*)$/i;
const stayingFolders = ['docs', 'deploy', 'scripts/midge', 'man', 'CHANGELOG.md', 'README.md', 'sbom.json'];

/** The package that npm installs brings them as packages of their own. */
const noNatives = { store: [], others: [], missing: [] };

class UsageError extends Error {}

try {
  main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`prune: ${error.message}`);
  process.exit(1);
}

function main() {
  const { folder, arch, libc, node, withoutStore } = readArguments();
  const natives = arch === undefined ? noNatives : nativeParts(folder, { arch, libc, node });
  if (natives.store.length === 0 && !withoutStore) {
    throw new UsageError(
      `there is no built store for ${arch} with ${libc} in ${folder}: build it from the sources of lmdb into node_modules/lmdb/prebuilds, or use --without-store.`,
    );
  }
  for (const what of natives.missing) console.error(`prune: warning: no ${what} for ${arch} with ${libc}`);
  const opened = filesOpened(folder);
  for (const path of [...natives.store, ...natives.others]) opened.add(path);
  removeAllBut(folder, opened);
  console.log(`${folder}: ${(sizeOf(folder) / 1e6).toFixed(2)} MB`);
}

function readArguments() {
  let parsed;
  try {
    parsed = parseArgs({
      allowPositionals: true,
      options: {
        arch: { type: 'string' },
        libc: { type: 'string', default: 'glibc' },
        node: { type: 'string' },
        'without-store': { type: 'boolean', default: false },
        'without-natives': { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(error.message);
  }
  const { values, positionals } = parsed;
  const { arch, libc, node } = values;
  const withoutNatives = values['without-natives'];
  if (withoutNatives ? arch !== undefined : !architectures.includes(arch)) {
    throw new UsageError(`--arch is one of ${architectures.join(', ')}; found ${arch ?? 'none'}.`);
  }
  if (libc !== 'glibc' && libc !== 'musl') throw new UsageError(`--libc is glibc or musl; found ${libc}.`);
  if (node !== undefined && !/^\d+$/.test(node)) {
    throw new UsageError(`--node is a number such as 20; found ${node}.`);
  }
  if (positionals.length !== 1) throw new UsageError('one folder is needed: that of the unpacked package.');
  const folder = resolve(positionals[0]);
  if (existsSync(join(folder, 'tsconfig.json')) || existsSync(join(folder, '.git'))) {
    throw new UsageError(
      `${folder} has sources: this would remove them. Unpack what npm pack makes, and use that.`,
    );
  }
  for (const path of ['dist/src/midge.cjs', 'node_modules']) {
    if (!existsSync(join(folder, path)))
      throw new UsageError(`${folder} has no ${path}: is it an installed package?`);
  }
  return { folder, arch, libc, node, withoutStore: withoutNatives || values['without-store'] };
}

/** The native files of one machine, as paths from `folder`, and what has none. */
function nativeParts(folder, { arch, libc, node }) {
  const all = listFiles(folder, 'node_modules');
  const storeOf = (form) =>
    all.filter((path) => path === `node_modules/@lmdb/lmdb-linux-${arch}/node.${form}.${libc}.node`);
  const own = storeOf(`abi${abis[node]}`);
  const store = [
    ...(own.length > 0 ? own : storeOf('napi')),
    ...all.filter((path) => path.startsWith(`node_modules/lmdb/prebuilds/linux-${arch}/`)),
  ];
  const koffi = `node_modules/@koromix/koffi-linux-${arch}`;
  const calls = all.filter(
    (path) =>
      path.startsWith(`${koffi}/${libc === 'musl' ? 'musl' : 'linux'}_`) || path === `${koffi}/index.js`,
  );
  const argon = all.filter(
    (path) =>
      path.startsWith(`node_modules/@node-rs/argon2-linux-${arch}-`) &&
      path.endsWith('.node') &&
      path.includes('musl') === (libc === 'musl'),
  );
  const missing = [];
  if (!calls.some((path) => path.endsWith('.node')))
    missing.push('koffi (connections stay on the main thread)');
  if (argon.length === 0) missing.push('argon2 (passwords with Argon2 hashes)');
  // The store is opened, but does not count as missing here: main decides about it.
  // Empty, but the package is found by it.
  const entry = all.filter((path) => path === `node_modules/@lmdb/lmdb-linux-${arch}/index.js`);
  return { store, others: [...entry, ...calls, ...argon], missing };
}

/** The files that the built programs lead to, as paths from `folder`. */
function filesOpened(folder) {
  const starts = [
    ...listFiles(folder, 'dist').filter((path) => path.endsWith('.cjs')),
    ...openedByPath.filter((path) => existsSync(join(folder, path))),
  ].map((path) => join(folder, path));
  const found = new Set(starts);
  const { resolve } = createRequire(join(folder, 'package.json'));
  for (const name of openedByName) found.add(resolve(name));
  // A set grows while it is gone through.
  for (const file of found) {
    if (!/\.[cm]?js$/.test(file)) continue;
    const { resolve } = createRequire(file);
    for (const [, name] of readFileSync(file, 'utf8').matchAll(
      /\b(?:require|import)\(\s*["'`]([^"'`$]+)["'`]\s*\)/g,
    )) {
      if (isBuiltin(name) || dispensable.includes(name) || nativePackage.test(name)) continue;
      const target = resolveOrNone(resolve, name);
      if (target?.startsWith(folder + sep) && !target.endsWith('.node')) found.add(target);
    }
  }
  const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  for (const name of Object.keys(dependencies)) {
    if ([...found].some((file) => file.startsWith(join(folder, 'node_modules', name) + sep))) continue;
    throw new UsageError(
      `no built program leads to ${name}, on which it depends: openedByName in prune.mjs may lack it.`,
    );
  }
  return new Set([...found].map((file) => relative(folder, file).replaceAll(sep, '/')));
}

/** Packages that are optional need not be there. */
function resolveOrNone(resolve, name) {
  try {
    return resolve(name);
  } catch {
    return undefined;
  }
}

function removeAllBut(folder, opened) {
  const packages = new Set([...opened].map(packageFolder));
  for (const path of listFiles(folder, '')) {
    if (opened.has(path)) continue;
    if (stayingFolders.some((stays) => path === stays || path.startsWith(`${stays}/`))) continue;
    if (staying.test(path) && packages.has(packageFolder(path)) && isTopOfPackage(path)) continue;
    rmSync(join(folder, path));
  }
  removeEmptyFolders(folder);
}

/** `node_modules/a/node_modules/@b/c/lib/d.js` → `node_modules/a/node_modules/@b/c`; the package itself is ''. */
function packageFolder(path) {
  return /^(?:node_modules\/(?:@[^/]+\/)?[^/]+\/?)*/.exec(path)[0].replace(/\/$/, '');
}

/** Tests of packages have package.json files, too. A `package.json` deeper down may say what kind its modules are. */
function isTopOfPackage(path) {
  const inside = path.slice(packageFolder(path).length).replace(/^\//, '');
  return !inside.includes('/') || /^(dist|lib|build|src)\/[^/]*package\.json$/.test(inside);
}

function listFiles(folder, below) {
  const full = join(folder, below);
  if (!existsSync(full)) return [];
  return readdirSync(full, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath ?? entry.path, entry.name)).replaceAll(sep, '/'))
    .sort();
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  }
  if (readdirSync(folder).length === 0 && basename(folder) !== '') rmdirSync(folder);
}

/** Bytes on a disk with blocks of 4 kB. */
function sizeOf(folder) {
  return listFiles(folder, '')
    .map((path) => Math.ceil(statSync(join(folder, path)).size / 4096) * 4096)
    .reduce((sum, bytes) => sum + bytes, 0);
}

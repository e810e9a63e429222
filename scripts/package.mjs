/**
 * Makes the package to be installed with npm: node scripts/package.mjs [FOLDER]
 *
 * It has the built files, and in its node_modules the other packages' files in JavaScript, as scripts/prune.mjs leaves
 * them, in the versions of the lock file. npm adds the native parts for the machine: they are optional dependencies,
 * each of one version. So no package is left that has an install script: `npm install -g` gives the same with scripts,
 * without them (`--ignore-scripts`), and if npm refuses to run them. The same sources give the same bytes.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { root } from './prepare.mjs';

/** Packages that have a native part for each kind of machine, under names that begin like this. */
const nativePackages =
  /^node_modules\/(@lmdb\/lmdb|@koromix\/koffi|@node-rs\/argon2)-linux-(x64|arm64|arm)(-|$)/;

const target = resolve(process.argv[2] ?? '.');
const scratch = mkdtempSync(join(tmpdir(), 'midge-package-'));
try {
  const tree = join(scratch, 'tree');
  const make = [join(root, 'scripts/production-tree.mjs'), '--without-natives', tree];
  execFileSync(process.execPath, make, { stdio: ['ignore', 'ignore', 'inherit'] });
  rewrite(join(tree, 'package.json'), describe);
  for (const file of packageFiles(tree)) rewrite(file, withoutInstallation);
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', target];
  console.log(join(target, execFileSync('npm', pack, { cwd: tree, encoding: 'utf8' }).trim()));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function describe(description) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const natives = Object.entries(packages).filter(([path]) => nativePackages.test(path));
  const tree = join(scratch, 'tree', 'node_modules');
  const bundled = readdirSync(tree)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(tree, name)).map((one) => `${name}/${one}`) : name,
    )
    .sort();
  const { overrides, files, ...rest } = description;
  return {
    ...rest,
    // npm pack: what was built and pruned, and nothing else.
    files: [...files, 'sbom.json'],
    dependencies: Object.fromEntries(bundled.map((name) => [name, packages[`node_modules/${name}`].version])),
    bundleDependencies: bundled,
    optionalDependencies: Object.fromEntries(
      natives.map(([path, { version }]) => [path.slice('node_modules/'.length), version]),
    ),
  };
}

/** What npm would do at the installation is left to us, and so are the native parts. */
function withoutInstallation({
  scripts,
  gypfile,
  optionalDependencies,
  devDependencies,
  dependencies,
  ...rest
}) {
  return rest;
}

function packageFiles(tree) {
  return readdirSync(join(tree, 'node_modules'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('package.json'))
    .map((path) => join(tree, 'node_modules', path));
}

function rewrite(file, change) {
  writeFileSync(file, `${JSON.stringify(change(JSON.parse(readFileSync(file, 'utf8'))), null, 2)}\n`);
}

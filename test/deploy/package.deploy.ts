/** The package for npm, the production tree of each kind of machine, and the archive with Node.js in it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { type Lifetime, makeFolder, shareInSuite } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { projectFolder } from '../support/project.js';

/** Megabytes of an installed tree without Node.js. */
const TREE_MB_MAX = 12;

const lock = JSON.parse(readFileSync(join(projectFolder, 'package-lock.json'), 'utf8'));

function make(script: string, ...args: string[]): string {
  return execFileSync(process.execPath, [join(projectFolder, 'scripts', script), ...args], {
    encoding: 'utf8',
  });
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

function bytesOnDisk(folder: string): number {
  return listFiles(folder).reduce((sum, file) => sum + 512 * statSync(file).blocks, 0);
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

async function start(t: Lifetime, command: string[], env: Record<string, string> = {}): Promise<Program> {
  const broker = new Program(t, 'broker', [...command, '-p', String(await freePort())], { env });
  await broker.waitForLine(/version \S+ running$/);
  assert.deepEqual(
    broker.lines.filter((line) => /koffi|Error/.test(line)),
    [],
  );
  broker.signal('SIGTERM');
  assert.equal((await broker.waitForEnd()).code, 0, broker.tail());
  return broker;
}

describe('the package for npm', () => {
  const shared = shareInSuite('the package for npm', async (suite) => {
    const folder = makeFolder(suite);
    const archive = make('package.mjs', folder).trim();
    const prefix = join(folder, 'prefix');
    // With scripts allowed: there are none.
    const install = [
      'install',
      '-g',
      '--prefix',
      prefix,
      '--foreground-scripts',
      '--prefer-offline',
      archive,
    ];
    const output = execFileSync('npm', install, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    return { folder, archive, output, prefix, installed: join(prefix, 'lib/node_modules/midge') };
  });

  test('two builds give the same bytes', async (t) => {
    const { archive } = await shared();
    assert.equal(hashOf(make('package.mjs', makeFolder(t)).trim()), hashOf(archive));
  });

  test('no package in it has a script for npm to run, and npm runs none', async () => {
    const { output, installed } = await shared();
    assert.doesNotMatch(output, /install-scripts|> node/);
    const files = listFiles(join(installed, 'node_modules')).filter((file) => file.endsWith('package.json'));
    assert.ok(files.length > 25, `${files.length} packages`);
    for (const file of files)
      assert.equal(JSON.parse(readFileSync(file, 'utf8')).scripts?.install, undefined, file);
  });

  test('the versions are those of the lock file', async () => {
    const { installed } = await shared();
    const found = Object.entries<{ version: string }>(lock.packages)
      .filter(([path]) => path !== '' && existsSync(join(installed, path, 'package.json')))
      .map(([path, { version }]) => [
        path,
        version,
        JSON.parse(readFileSync(join(installed, path, 'package.json'), 'utf8')).version,
      ]);
    assert.ok(found.length > 25, `${found.length} packages`);
    assert.deepEqual(
      found.filter(([, wanted, is]) => wanted !== is),
      [],
    );
  });

  test('the commands run', async (t) => {
    const { prefix } = await shared();
    const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };
    await start(t, [join(prefix, 'bin/midge')], env);
    for (const name of readdirSync(join(prefix, 'bin')).filter((one) => one !== 'midge')) {
      const program = new Program(t, name, [join(prefix, 'bin', name), '--help'], { env });
      await program.waitForEnd();
      assert.match(program.output, /^Usage: |\nUsage: /, `${name}: ${program.tail()}`);
    }
  });
});

describe('the production tree', () => {
  const machines = [
    ['x64', 'glibc'],
    ['x64', 'musl'],
    ['arm64', 'glibc'],
    ['arm64', 'musl'],
    ['arm', 'glibc'],
  ] as const;
  for (const [arch, libc] of machines) {
    test(`for ${arch} with ${libc} has one store and is small`, (t) => {
      const tree = join(makeFolder(t), 'tree');
      make('production-tree.mjs', '--arch', arch, '--libc', libc, tree);
      const natives = listFiles(tree).filter((file) => file.endsWith('.node'));
      assert.equal(natives.filter((file) => file.includes('lmdb')).length, 1, natives.join('\n'));
      const megabytes = bytesOnDisk(tree) / 1e6;
      t.diagnostic(`${megabytes.toFixed(2)} MB, ${listFiles(tree).length} files`);
      assert.ok(megabytes <= TREE_MB_MAX, `${megabytes} MB`);
    });
  }

  test('without a store for the machine, it says so', (t) => {
    const tree = join(makeFolder(t), 'tree');
    assert.throws(
      () => make('production-tree.mjs', '--arch', 'arm', '--libc', 'musl', tree),
      /there is no built store for arm with musl/,
    );
  });

  test('the list of what is in it names every package, and has no time or number of its own', (t) => {
    const tree = join(makeFolder(t), 'tree');
    make('production-tree.mjs', tree);
    const sbom = JSON.parse(readFileSync(join(tree, 'sbom.json'), 'utf8'));
    assert.equal(sbom.bomFormat, 'CycloneDX');
    assert.equal(sbom.serialNumber, undefined);
    const listed = sbom.components.map((component: { name: string }) => component.name);
    for (const name of readdirSync(join(tree, 'node_modules')).filter((one) => !/^[.@]/.test(one))) {
      assert.ok(listed.includes(name), name);
    }
    const wanted = execFileSync('git', ['log', '-1', '--format=%ct'], {
      cwd: projectFolder,
      encoding: 'utf8',
    });
    assert.equal(Date.parse(sbom.metadata.timestamp) / 1000, Number(process.env.SOURCE_DATE_EPOCH ?? wanted));
  });

  test('sources are not pruned', () => {
    assert.throws(
      () => make('prune.mjs', '--arch', 'x64', projectFolder),
      /has sources: this would remove them/,
    );
  });
});

test('the archive has Node.js in it, starts anywhere, and is the same twice', async (t) => {
  const folder = makeFolder(t);
  const tree = join(folder, 'tree');
  make('production-tree.mjs', tree);
  const files = ['one.tar.gz', 'two.tar.gz'].map((name) => join(folder, name));
  for (const file of files) make('archive.mjs', '--node', process.execPath, '--tree', tree, file);
  assert.equal(hashOf(files[0]!), hashOf(files[1]!));
  const target = join(folder, 'any where');
  mkdirSync(target);
  execFileSync('tar', ['-xzf', files[0]!, '-C', target, '--strip-components=1']);
  // Nothing but what every image has.
  const broker = await start(t, [join(target, 'midge')], { PATH: '/usr/bin:/bin' });
  assert.match(broker.output + broker.stderr.join(''), /running/);
});

/** The two Debian packages: built, looked through by lintian, and unpacked into an empty root. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { makeFolder, shareInSuite } from '../support/cleanup.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { projectFolder } from '../support/project.js';

const architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
const env = { PATH: `${dirname(process.execPath)}:${process.env.PATH}` };

function build(tree: string, folder: string): string[] {
  const script = join(projectFolder, 'scripts/debian.sh');
  const output = execFileSync(script, [architecture, tree, folder], {
    encoding: 'utf8',
    env: { ...process.env, DEBEMAIL: 'nobody@debian.org' },
  });
  return output.trim().split('\n');
}

function hashOf(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

describe('the Debian packages', () => {
  const shared = shareInSuite('the Debian packages', async (suite) => {
    const folder = makeFolder(suite);
    const tree = join(folder, 'tree');
    execFileSync(process.execPath, [join(projectFolder, 'scripts/production-tree.mjs'), tree]);
    const files = build(tree, join(folder, 'first'));
    const root = join(folder, 'root');
    mkdirSync(root);
    for (const file of files) execFileSync('dpkg-deb', ['-x', file, root]);
    return { folder, tree, files, root };
  });

  test('two builds give the same bytes', async () => {
    const { folder, tree, files } = await shared();
    const again = build(tree, join(folder, 'second'));
    assert.deepEqual(again.map(hashOf), files.map(hashOf));
  });

  test('lintian misses the manual pages only', async () => {
    const { files } = await shared();
    const { stdout } = spawnSync('lintian', ['--allow-root', ...files], { encoding: 'utf8' });
    const tags = stdout.split('\n').filter((line) => /^[EW]: /.test(line));
    assert.deepEqual(
      tags.filter((line) => !line.includes(' no-manual-page ')),
      [],
    );
  });

  test('one leaves Mosquitto alone, the other one takes its place', async () => {
    const { files } = await shared();
    const [midge, replacement] = files.map((file) => {
      const fields = ['Provides', 'Conflicts', 'Replaces'];
      return execFileSync('dpkg-deb', ['-f', file, ...fields], { encoding: 'utf8' }).trim();
    });
    assert.equal(midge, '');
    const all = 'mosquitto, mosquitto-clients';
    assert.equal(replacement, `Provides: ${all}\nConflicts: ${all}\nReplaces: ${all}`);
  });

  test('the shell reads the scripts, and systemd the unit', async () => {
    const { folder, files, root } = await shared();
    for (const file of files) {
      const control = join(folder, 'control');
      execFileSync('dpkg-deb', ['-e', file, control]);
      for (const name of ['postinst', 'prerm', 'postrm']) {
        if (existsSync(join(control, name))) execFileSync('sh', ['-n', join(control, name)]);
      }
      execFileSync('rm', ['-r', control]);
    }
    const unit = readFileSync(join(root, 'lib/systemd/system/midge.service'), 'utf8');
    assert.match(unit, /^ExecStart=\/usr\/bin\/midge -c \/etc\/mosquitto\/mosquitto\.conf$/m);
  });

  test('what is unpacked runs', async (t) => {
    const { root } = await shared();
    const port = String(await freePort());
    const broker = new Program(t, 'broker', [join(root, 'usr/bin/midge'), '-p', port], { env });
    await broker.waitForLine(/running$/);
    const message = ['-p', port, '-t', 'lamp', '-m', 'on', '-q', '1'];
    const client = new Program(t, 'mosquitto_pub', [join(root, 'usr/bin/mosquitto_pub'), ...message], {
      env,
    });
    assert.equal((await client.waitForEnd()).code, 0, client.tail());
    const config = join(root, 'etc/mosquitto/mosquitto.conf');
    assert.match(readFileSync(config, 'utf8'), /^include_dir \/etc\/mosquitto\/conf\.d$/m);
  });
});

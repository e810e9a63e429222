/** One broker has a store: the lock ends with its process, whichever number that has. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { StoreInUseError, StoreLock } from '../../../../src/store/file/store-lock.js';
import { Program } from '../../../support/program.js';
import { temporaryFolder } from '../../../support/store/stores.js';

const holder = fileURLToPath(new URL('../../../support/store/lock-holder.js', import.meta.url));
const canUnshare = spawnSync('unshare', ['-p', '-f', 'true']).status === 0;
const noFlock = () => 'not available' as const;

async function startHolder(
  t: TestContext,
  path: string,
  kind = 'flock',
  prefix: string[] = [],
): Promise<Program> {
  const program = new Program(t, 'the holder', [...prefix, process.execPath, holder, path, kind]);
  await program.waitForLine(/^held$/);
  return program;
}

for (const kind of ['flock', 'socket'] as const) {
  const flock = kind === 'socket' ? noFlock : undefined;
  describe(kind, () => {
    test('another process is refused and told who has the store', async (t) => {
      const path = join(temporaryFolder(t), 'lock');
      const program = await startHolder(t, path, kind);
      await assert.rejects(StoreLock.take(path, 'the store', flock), (error) => {
        assert.ok(error instanceof StoreInUseError);
        assert.equal(error.message, `the store is in use by process ${program.pid}`);
        return true;
      });
    });

    test('the lock of a killed process is free', async (t) => {
      const path = join(temporaryFolder(t), 'lock');
      const program = await startHolder(t, path, kind);
      await program.kill();
      assert.ok(existsSync(path));
      const lock = await StoreLock.take(path, 'the store', flock);
      lock!.release();
      assert.ok(!existsSync(path));
    });
  });
}

test('a file that says it is held by a living process, and is not, is free', async (t) => {
  const path = join(temporaryFolder(t), 'lock');
  writeFileSync(path, JSON.stringify({ pid: process.pid, namespace: '', host: 'container' }));
  (await StoreLock.take(path, 'the store'))!.release();
});

const skip = canUnshare ? false : 'needs the right to make namespaces';
test('a process of another container is told apart from one with its number here', { skip }, async (t) => {
  const path = join(temporaryFolder(t), 'lock');
  const program = await startHolder(t, path, 'flock', ['unshare', '-p', '-f', '--kill-child']);
  await assert.rejects(
    StoreLock.take(path, 'the store'),
    /in use by process 1 of another container or machine \(.+\)$/,
  );
  await program.kill();
});

test('where no file can be, nothing is locked', async (t) => {
  const path = join(temporaryFolder(t), 'missing', 'lock');
  assert.equal(await StoreLock.take(path, 'the store'), null);
  mkdirSync(join(path, '..'));
  assert.notEqual(await StoreLock.take(path, 'the store'), null);
});

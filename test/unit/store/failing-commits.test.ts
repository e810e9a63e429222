/** Commits that LMDB itself fails: whatever writes, no rejection is left unhandled, and the process lives on. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../../support/store/stores.js';

const program = fileURLToPath(new URL('../../support/store/failing-commits.js', import.meta.url));
const skip = existsSync('/usr/bin/prlimit') ? false : 'needs prlimit';

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: no rejection is left unhandled`, { skip }, (t) => {
    const path = join(temporaryFolder(t), 'live.mdb');
    const { stdout, stderr, status } = spawnSync(process.execPath, [program, path, mode], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
    const { failed, unhandled } = JSON.parse(stdout) as { failed: string[]; unhandled: number };
    assert.deepEqual(failed.sort(), ['a check', 'a flush', 'a transaction', 'an import', 'the end']);
    assert.equal(unhandled, 0);
    assert.doesNotMatch(stderr, / {4}at /, 'no stack traces');
    assert.ok(stderr.split('Write error').length <= 3, `LMDB fails once only: ${stderr}`);
  });
}

const canMount = (() => {
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return probe.status === 0;
})();

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: a full file system never shows in LMDB`, {
    skip: canMount ? false : 'needs the right to mount',
  }, (t) => {
    const folder = temporaryFolder(t);
    const fill = fileURLToPath(new URL('../../support/store/fill-store.js', import.meta.url));
    const script = `mount -t tmpfs -o size=4m tmpfs ${folder} && exec ${process.execPath} ${fill} ${folder}/live.mdb ${mode}`;
    const output = execFileSync('unshare', ['-m', 'sh', '-c', `${script} 2>&1`], { encoding: 'utf8' });
    assert.match(
      output,
      /^refused: no space left on \S+: \d+ bytes are free, up to \d+ are needed\nemptied\nwritten again\n$/,
    );
  });
}

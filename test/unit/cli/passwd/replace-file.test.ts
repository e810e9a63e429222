/** Replacing a file that holds secrets: content, mode, links, and what lies about afterwards. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { createSecretFile, replaceSecretFile } from '../../../../src/cli/passwd/replace-file.js';

function folder(t: TestContext): string {
  const path = fs.mkdtempSync(join(tmpdir(), 'midge-replace-'));
  t.after(() => {
    fs.chmodSync(path, 0o700);
    fs.rmSync(path, { recursive: true });
  });
  return path;
}

function mode(path: string): number {
  return fs.statSync(path).mode & 0o7777;
}

test('a new file is for its owner only, and never overwrites', (t) => {
  const path = join(folder(t), 'pw');
  createSecretFile(path, 'one\n');
  assert.equal(fs.readFileSync(path, 'utf8'), 'one\n');
  assert.equal(mode(path), 0o600);
  assert.throws(() => createSecretFile(path, 'two\n'), { code: 'EEXIST' });
  assert.equal(fs.readFileSync(path, 'utf8'), 'one\n');
});

describe('replacing', () => {
  test('is a new file with the old mode, and leaves nothing else behind', (t) => {
    const path = join(folder(t), 'pw');
    fs.writeFileSync(path, 'old content\n', { mode: 0o640 });
    fs.chmodSync(path, 0o640);
    const old = fs.openSync(path, 'r');
    t.after(() => fs.closeSync(old));
    replaceSecretFile(path, 'new\n');
    assert.equal(fs.readFileSync(path, 'utf8'), 'new\n');
    assert.equal(mode(path), 0o640);
    assert.equal(fs.readFileSync(old, 'utf8'), 'old content\n', 'who has the old file open reads it whole');
    assert.deepEqual(fs.readdirSync(join(path, '..')), ['pw']);
  });

  test('follows a symbolic link', (t) => {
    const path = folder(t);
    fs.mkdirSync(join(path, 'real'));
    fs.writeFileSync(join(path, 'real', 'pw'), 'old');
    fs.symlinkSync('real/pw', join(path, 'link'));
    replaceSecretFile(join(path, 'link'), 'new');
    assert.equal(fs.readlinkSync(join(path, 'link')), 'real/pw');
    assert.equal(fs.readFileSync(join(path, 'real', 'pw'), 'utf8'), 'new');
  });

  test('keeps the owner', { skip: process.getuid?.() !== 0 && 'only root may give files away' }, (t) => {
    const path = join(folder(t), 'pw');
    fs.writeFileSync(path, 'old');
    fs.chownSync(path, 12345, 23456);
    replaceSecretFile(path, 'new');
    const { uid, gid } = fs.statSync(path);
    assert.deepEqual([uid, gid], [12345, 23456]);
  });

  test('a missing file is an error', (t) => {
    assert.throws(() => replaceSecretFile(join(folder(t), 'pw'), 'new'), { code: 'ENOENT' });
  });

  test('overwrites in place in a folder that is closed to us', (t) => {
    const path = folder(t);
    const file = join(path, 'pw');
    fs.writeFileSync(file, 'a longer old content\n');
    fs.chmodSync(file, 0o644);
    const { ino } = fs.statSync(file);
    withoutRights(path, file, () => replaceSecretFile(file, 'new\n'));
    assert.equal(fs.readFileSync(file, 'utf8'), 'new\n');
    assert.equal(fs.statSync(file).ino, ino);
    assert.equal(mode(file), 0o644);
    assert.deepEqual(fs.readdirSync(path), ['pw']);
    assert.deepEqual(
      fs.readdirSync(tmpdir()).filter((name) => name.startsWith('pw.backup.')),
      [],
    );
  });
});

/** Root may write into any folder, so for a while the test is somebody else. */
function withoutRights(folder: string, file: string, action: () => void): void {
  fs.chmodSync(folder, 0o555);
  const root = process.geteuid!() === 0;
  if (root) {
    fs.chownSync(file, 65534, 65534);
    process.seteuid!(65534);
  }
  try {
    action();
  } finally {
    if (root) process.seteuid!(0);
  }
}

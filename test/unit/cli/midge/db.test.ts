import assert from 'node:assert/strict';
import { chownSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { runDbCommand } from '../../../../src/cli/midge/db.js';
import { DB_USAGE, parseDbArguments } from '../../../../src/cli/midge/db-arguments.js';
import { SavedFile } from '../../../../src/store/file/saved-file.js';
import { readSample, SAMPLE_NAMES } from '../../../support/store/mosquitto-db-samples.js';
import { openStore, temporaryFolder } from '../../../support/store/stores.js';

async function run(...args: string[]) {
  let stdout = '';
  let stderr = '';
  const code = await runDbCommand(args, {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

function sampleFile(t: TestContext, name = 'v6-2.1.2-all.db'): string {
  const path = join(temporaryFolder(t), 'mosquitto.db');
  writeFileSync(path, readSample(name));
  return path;
}

test('wrong use shows how it is used', async () => {
  const wrong = [
    [],
    ['stats'],
    ['stats', 'a', 'b'],
    ['check', '-n', 'a'],
    ['import', 'a'],
    ['export', 'a', 'b', 'c'],
    ['import', '--force', 'a', 'b'],
    ['delete', 'a'],
  ];
  for (const args of wrong) assert.equal(parseDbArguments(args), undefined, args.join(' '));
  assert.deepEqual(await run('delete', 'a'), { code: 3, stdout: '', stderr: DB_USAGE });
  assert.deepEqual(await run('--help'), { code: 0, stdout: DB_USAGE, stderr: '' });
  assert.deepEqual(await run('export', '-h'), { code: 0, stdout: DB_USAGE, stderr: '' });
});

describe('import and export', () => {
  for (const name of SAMPLE_NAMES) {
    test(`${name} goes in and comes out with the same figures`, async (t) => {
      const original = sampleFile(t, name);
      const store = join(temporaryFolder(t), 'store.db');
      const exported = join(temporaryFolder(t), 'exported.db');
      const imported = await run('import', original, store);
      assert.deepEqual({ code: imported.code, stderr: imported.stderr }, { code: 0, stderr: '' });
      assert.equal(statSync(store).mode & 0o777, 0o600);
      const { code, stdout } = await run('export', store, exported);
      assert.equal(code, 0);
      const lastLine = (text: string) => text.trimEnd().split('\n').at(-1)!;
      assert.equal(lastLine(stdout).replace(exported, ''), lastLine(imported.stdout).replace(store, ''));
      const figures = (text: string) => text.split('\n').slice(2).join('\n');
      const [before, between, after] = [
        await run('stats', original),
        await run('stats', store),
        await run('stats', exported),
      ];
      assert.equal(figures(between.stdout), figures(before.stdout));
      assert.equal(figures(after.stdout), figures(before.stdout));
      assert.match(before.stdout, /^format {13}mosquitto\.db, version [3-6]$/m);
      assert.match(between.stdout, /^format {13}a store of Midge$/m);
      assert.match(after.stdout, /^format {13}mosquitto\.db, version 6$/m);
    });
  }

  for (const name of SAMPLE_NAMES) {
    test(`${name}: a dry run tells the same and writes nothing`, async (t) => {
      const original = sampleFile(t, name);
      const folder = temporaryFolder(t);
      const store = join(folder, 'store.db');
      const dry = await run('import', '--dry-run', original, store);
      assert.equal(dry.code, 0);
      assert.deepEqual(readdirSync(folder), []);
      const wet = await run('import', original, store);
      assert.equal(wet.stdout.replace('Writing', 'Would write'), dry.stdout);
      const files = readdirSync(folder);
      assert.equal((await run('export', '-n', store, join(folder, 'exported.db'))).code, 0);
      assert.deepEqual(readdirSync(folder), files);
    });
  }

  test('what is left out is counted and named', async (t) => {
    const original = sampleFile(t);
    const { stdout } = await run('import', '--dry-run', original, 'none');
    assert.deepEqual(stdout.split('\n').slice(0, 2), [
      'Left out: a message of "v5/expired-soon" has expired.',
      '1 left out in all.',
    ]);
  });

  test('an export belongs to whom the store belongs to', { skip: process.getuid?.() !== 0 }, async (t) => {
    const original = sampleFile(t);
    const store = join(temporaryFolder(t), 'store.db');
    const exported = join(temporaryFolder(t), 'exported.db');
    await run('import', original, store);
    chownSync(store, 12, 34);
    assert.equal((await run('export', store, exported)).code, 0);
    const { uid, gid, mode } = statSync(exported);
    assert.deepEqual([uid, gid, mode & 0o777], [12, 34, 0o600]);
  });

  test('nothing is written over', async (t) => {
    const original = sampleFile(t);
    const taken = join(temporaryFolder(t), 'taken');
    writeFileSync(taken, 'precious');
    const { code, stderr } = await run('import', original, taken);
    assert.equal(code, 1);
    assert.equal(stderr, `Error: ${taken} exists already.\n`);
    assert.equal(readFileSync(taken, 'utf8'), 'precious');
  });

  test('what does not fit together is said', async (t) => {
    const original = sampleFile(t);
    const missing = join(temporaryFolder(t), 'none');
    for (const args of [
      ['import', missing, 'x'],
      ['export', original, 'x'],
      ['stats', missing],
      ['import', original, '/nowhere/at/all'],
    ]) {
      const { code, stderr } = await run(...args);
      assert.equal(code, 1, args.join(' '));
      assert.match(stderr, /^Error: .+\n$/, args.join(' '));
    }
  });
});

describe('check', () => {
  test('a sound file of either kind is said to be so', async (t) => {
    const original = sampleFile(t);
    const store = join(temporaryFolder(t), 'store.db');
    await run('import', original, store);
    for (const file of [original, store]) {
      assert.deepEqual(await run('check', file), { code: 0, stdout: `${file} is sound.\n`, stderr: '' });
    }
  });

  test('a damaged one too', async (t) => {
    const original = sampleFile(t);
    writeFileSync(original, readSample('v6-2.1.2-all.db').subarray(0, 2000));
    const { code, stdout } = await run('check', original);
    assert.equal(code, 1);
    assert.match(stdout, /cut off/);
    assert.match(stdout, /is damaged\.\n$/);
    const store = join(temporaryFolder(t), 'store.db');
    writeFileSync(store, Buffer.alloc(50_000, 7));
    const refused = await run('check', store);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /cannot be read: .+/);
  });

  test('a store that is in use is left alone', async (t) => {
    const store = openStore(t, { path: join(temporaryFolder(t), 'store.db'), mode: 'durable' });
    const { code, stderr } = await run('stats', store.environment.path);
    assert.equal(code, 1);
    assert.match(stderr, /is in use/);
    await store.close();
    new SavedFile(store.environment.path).noteClosed();
    assert.equal((await run('stats', store.environment.path)).code, 0);
  });
});

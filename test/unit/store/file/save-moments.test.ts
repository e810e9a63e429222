/** Whatever moment of a save a kill, a reboot or a power cut falls on, a whole save is there. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { LiveStamp } from '../../../../src/store/file/live-stamp.js';
import { hashOf, SavedFile } from '../../../../src/store/file/saved-file.js';
import { BrokerRuns } from '../../../support/brokers/broker-runs.js';
import { publication, temporaryFolder } from '../../../support/store/stores.js';

test('a hash is made with rests, and is the same without', async (t) => {
  const path = join(temporaryFolder(t), 'file');
  const bytes = Buffer.alloc(1_000_000, 'some bytes');
  writeFileSync(path, bytes);
  let rests = 0;
  const hash = await hashOf(path, async (workedMs) => {
    assert.ok(workedMs > 0);
    rests += 1;
  });
  assert.equal(hash, createHash('sha256').update(bytes).digest('hex'));
  assert.equal(hash, await hashOf(path));
  assert.equal(rests, 3);
});

test('an orderly end while a large store is saved at leisure', async (t) => {
  const runs = new BrokerRuns(t);
  const run = await runs.start();
  run.worker.retained.set(publication('large', 'x'.repeat(12e6)));
  await run.add('one');
  const saving = run.lifecycle.autosave.save();
  assert.equal(await run.end(), true);
  assert.equal(await saving, true);
  runs.reboot();
  const next = await runs.start();
  assert.deepEqual(next.names(), ['one']);
  assert.equal(next.worker.retained.get('large')!.payload().length, 12e6);
});

describe('the moments of a save', () => {
  /** A broker that saved `one`, then `two`, and was killed. */
  async function twoSaves(t: Parameters<typeof temporaryFolder>[0]) {
    const runs = new BrokerRuns(t);
    const run = await runs.start();
    await run.add('one');
    await run.lifecycle.autosave.save();
    const firstState = readFileSync(`${runs.path}.state`);
    await run.add('two');
    await run.lifecycle.autosave.save();
    return { runs, run, firstState };
  }

  test('a copy that was not finished is thrown away', async (t) => {
    const { runs, run } = await twoSaves(t);
    await run.kill();
    runs.reboot();
    mkdirSync(`${runs.path}.new`);
    writeFileSync(join(`${runs.path}.new`, 'mosquitto.db'), 'half a copy');
    const next = await runs.start();
    assert.deepEqual(next.names(), ['one', 'two']);
    await next.add('three');
    await next.end();
    assert.ok(!existsSync(`${runs.path}.new`));
    assert.deepEqual((await runs.start()).alarms, []);
  });

  test('renamed, but its hash not noted: the file is read and found sound', async (t) => {
    const { runs, run, firstState } = await twoSaves(t);
    await run.kill();
    runs.reboot();
    writeFileSync(`${runs.path}.state`, firstState);
    const next = await runs.start();
    assert.deepEqual(next.names(), ['one', 'two']);
    assert.deepEqual(next.alarms, []);
  });

  for (const renamed of [false, true]) {
    test(`killed just ${renamed ? 'after' : 'before'} the rename: the live store belongs to both`, async (t) => {
      const { runs, run } = await twoSaves(t);
      await run.add('three');
      await run.kill();
      const saved = new SavedFile(runs.path);
      const coming = `${runs.path}.coming`;
      copyFileSync(runs.path, coming);
      new LiveStamp(run.prepared.path).write([saved.identity()!, saved.identityOf(coming)!]);
      if (renamed) await saved.replace(coming, 'hash', runs.now);
      const next = await runs.start();
      assert.deepEqual(next.names(), ['one', 'three', 'two']);
      assert.deepEqual(next.alarms, []);
    });
  }
});

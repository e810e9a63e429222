/** A disk that is full for a while: nothing unwritten is acknowledged, and all goes on when there is room again. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Store } from '../../../src/store/store.js';
import { afterTest } from '../../support/cleanup.js';
import type { WriterNews } from '../../support/store/store-writer.js';
import { temporaryFolder } from '../../support/store/stores.js';
import { WrittenNumbers } from '../../support/store/written-numbers.js';
import { patienceMs } from '../../support/within.js';

const WRITER = fileURLToPath(new URL('../../support/store/store-writer.js', import.meta.url));

/** Blocks of 1 KiB that a file of the writer may have: to it, the disk is full then. */
const FILE_BLOCKS = 300;

const skip = existsSync('/usr/bin/prlimit') ? false : 'needs prlimit';

for (const mode of ['autosave', 'durable'] as const) {
  test(`${mode}: a full disk is reported, waited out, and nothing is lost`, { skip }, async (t) => {
    const path = join(temporaryFolder(t), 'live.mdb');
    const options = JSON.stringify({ path, mode, name: 'writer' });
    const limited = `ulimit -S -f ${FILE_BLOCKS}; exec "$0" "$@"`;
    const child = spawn('/bin/bash', ['-c', limited, process.execPath, WRITER, options], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    afterTest(t, () => child.kill('SIGKILL'));
    const numbers = new WrittenNumbers('writer');
    const events: string[] = [];
    child.on('message', (news: WriterNews) => {
      numbers.note(news);
      if (news.kind === 'failing' || news.kind === 'recovered') events.push(news.kind);
      if (news.kind === 'failing') void makeRoom();
      if (news.kind === 'recovered') child.send('stop');
    });
    const makeRoom = async () => {
      const acknowledged = numbers.count;
      await delay(700); // the first retry fails, too
      assert.equal(numbers.count, acknowledged);
      execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited']);
    };
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    assert.deepEqual(events, ['failing', 'recovered']);
    const store = new Store({ path, mode, now: Date.now });
    numbers.check(store);
    await store.close();
  });
}

for (const mode of ['autosave', 'durable'] as const) {
  test(`${mode}: the store is closed though the disk stays full`, {
    skip,
    timeout: patienceMs,
  }, async (t) => {
    const path = join(temporaryFolder(t), 'live.mdb');
    const options = JSON.stringify({ path, mode, name: 'writer' });
    const limited = `ulimit -f ${FILE_BLOCKS}; exec "$0" "$@"`;
    const child = spawn('/bin/bash', ['-c', limited, process.execPath, WRITER, options], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    afterTest(t, () => child.kill('SIGKILL'));
    child.on('message', (news: WriterNews) => {
      if (news.kind === 'failing') child.send('stop');
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
  });
}

/** SIGKILL at random moments: what was acknowledged is there, in the modes that promise it. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { StoreMode } from '../../src/model/store-mode.js';
import { migrate } from '../../src/store/file/migrations.js';
import { checkStore } from '../../src/store/file/store-check.js';
import { Store } from '../../src/store/store.js';
import { afterTest } from '../support/cleanup.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong } from '../support/run-length.js';
import type { WriterNews, WriterOptions } from '../support/store/store-writer.js';
import { temporaryFolder } from '../support/store/stores.js';
import { WrittenNumbers } from '../support/store/written-numbers.js';

const WRITER = fileURLToPath(new URL('../support/store/store-writer.js', import.meta.url));
const ROUNDS = inShortOrLong(4, 40);

function startWriter(t: TestContext, options: WriterOptions): ChildProcess {
  const child = fork(WRITER, [JSON.stringify(options)], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  afterTest(t, () => child.kill('SIGKILL'));
  return child;
}

for (const mode of ['autosave', 'durable'] as const satisfies StoreMode[]) {
  const seed = seedOfRun();
  test(`${mode}: nothing acknowledged is lost in ${ROUNDS} kills, seed ${seed}`, async (t) => {
    const random = new Random(seed);
    const path = join(temporaryFolder(t), 'live.mdb');
    const written: WrittenNumbers[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const name = `round${round}`;
      const numbers = new WrittenNumbers(name);
      const child = startWriter(t, { path, mode, name });
      const enough = random.below(400);
      child.on('message', (news: WriterNews) => {
        numbers.note(news);
        if (numbers.count > enough) child.kill('SIGKILL');
      });
      const [, signal] = await once(child, 'close');
      assert.equal(signal, 'SIGKILL');
      written.push(numbers);
      const store = new Store({ path, mode, now: Date.now });
      for (const each of written) each.check(store);
      if (round === 0) await migrate(store.environment);
      assert.deepEqual((await checkStore(store.environment)).problems, []);
      await store.close();
    }
  });
}

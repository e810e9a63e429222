import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { migrate } from '../../../src/store/file/migrations.js';
import { checkStore } from '../../../src/store/file/store-check.js';
import { afterTest } from '../../support/cleanup.js';
import type { WriterNews } from '../../support/store/store-writer.js';
import { openStore, temporaryFolder } from '../../support/store/stores.js';
import { WrittenNumbers } from '../../support/store/written-numbers.js';

const WRITER = new URL('../../support/store/store-writer.js', import.meta.url);

class WriterThread {
  readonly numbers: WrittenNumbers;
  readonly #worker: Worker;
  #waiting: (() => void)[] = [];

  constructor(t: TestContext, path: string, name: string) {
    this.numbers = new WrittenNumbers(name);
    this.#worker = new Worker(WRITER, { workerData: { path, mode: 'autosave', name } });
    this.#worker.on('message', (news: WriterNews) => {
      this.numbers.note(news);
      for (const look of this.#waiting.splice(0)) look();
    });
    afterTest(t, () => this.#worker.terminate());
  }

  async hasStored(count: number): Promise<void> {
    while (this.numbers.count < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    this.#worker.postMessage('stop');
    const [code] = await once(this.#worker, 'exit');
    assert.equal(code, 0);
  }
}

test('several threads write to one store, read each other, stop when asked, and nothing is lost', async (t) => {
  const path = join(temporaryFolder(t), 'live.mdb');
  const main = openStore(t, { path });
  await migrate(main.environment);
  const writers = ['a', 'b', 'c'].map((name) => new WriterThread(t, path, name));
  await Promise.all(writers.map((writer) => writer.hasStored(500)));
  main.refresh();
  const seen: string[] = [];
  main.retained.match('numbers/+/7').next(10, ({ topic }) => seen.push(topic));
  assert.deepEqual(seen.sort(), ['numbers/a/7', 'numbers/b/7', 'numbers/c/7']);
  await writers[0]!.stop();
  await Promise.all(writers.slice(1).map((writer) => writer.hasStored(1000)));
  await Promise.all(writers.slice(1).map((writer) => writer.stop()));
  main.refresh();
  for (const { numbers } of writers) numbers.check(main);
  assert.deepEqual((await checkStore(main.environment)).problems, []);
});

test('a thread that is terminated in the midst of it leaves a whole store', async (t) => {
  const path = join(temporaryFolder(t), 'live.mdb');
  const main = openStore(t, { path });
  await migrate(main.environment);
  for (let round = 0; round < 5; round += 1) {
    const name = `round${round}`;
    const numbers = new WrittenNumbers(name);
    const worker = new Worker(WRITER, { workerData: { path, mode: 'autosave', name } });
    await new Promise<void>((resolve) => {
      worker.on('message', (news: WriterNews) => {
        numbers.note(news);
        if (numbers.count > 100 + round * 77) resolve();
      });
    });
    await worker.terminate();
    main.refresh();
    numbers.check(main);
  }
  assert.deepEqual((await checkStore(main.environment)).problems, []);
});

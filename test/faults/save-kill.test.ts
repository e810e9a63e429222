/** Whatever moment of a save a kill falls on, a whole save is there. Chosen moments: `store/file/save-moments.test.ts`. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BrokerRuns } from '../support/brokers/broker-runs.js';
import { afterTest } from '../support/cleanup.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong } from '../support/run-length.js';
import { temporaryFolder } from '../support/store/stores.js';

const SAVER = fileURLToPath(new URL('../support/store/store-saver.js', import.meta.url));
const ROUNDS = inShortOrLong(5, 50);

const seed = seedOfRun();

test(`a process killed while it saves leaves the last save or the one under way, seed ${seed}`, async (t) => {
  const random = new Random(seed);
  const runs = new BrokerRuns(t, existsSync('/dev/shm') ? temporaryFolder(t, '/dev/shm') : undefined);
  let saved = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const child = fork(SAVER, [runs.path, runs.memory, String(saved + 1)]);
    afterTest(t, () => child.kill('SIGKILL'));
    const last = saved + 3 + random.below(10);
    child.on('message', (number: number) => {
      saved = number;
      if (number >= last) setTimeout(() => child.kill('SIGKILL'), random.below(5));
    });
    const [, signal] = await once(child, 'close');
    assert.equal(signal, 'SIGKILL', 'the saver ran until it was killed');
    runs.reboot();
    const run = await runs.start();
    const found = [...run.worker.sessions.list()]
      .map(({ clientId }) => Number(clientId))
      .sort((a, b) => a - b);
    assert.deepEqual(run.alarms, []);
    assert.deepEqual(
      found,
      found.map((_, index) => index + 1),
    );
    assert.ok(found.length >= saved, `${found.length} sessions, ${saved} were saved`);
    saved = found.length;
    await run.end();
  }
});

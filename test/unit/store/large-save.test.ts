/** A large store is copied by a process of its own, which stands back for those who serve clients. */
import assert from 'node:assert/strict';
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { hashOf } from '../../../src/store/saved-file.js';
import { copyInChild } from '../../../src/store/store-child.js';
import { BrokerRuns } from '../../support/broker-runs.js';
import { afterTest } from '../../support/cleanup.js';
import { publication } from '../../support/stores.js';

const SAVER = fileURLToPath(new URL('../../support/store-saver.js', import.meta.url));
const LARGE_BYTES = 12e6;

/** The process that copies to a folder; waits until there is one. */
async function copierOf(runs: BrokerRuns): Promise<number> {
  for (;;) {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (commandLine(pid).join(' ').includes(`copy ${runs.memory}`)) return Number(pid);
    }
    await turn();
  }
}

function commandLine(pid: string | number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

async function largeStore(t: TestContext) {
  const runs = new BrokerRuns(t);
  const run = await runs.start();
  run.worker.retained.set(publication('large', 'x'.repeat(LARGE_BYTES)));
  await run.add('one');
  return { runs, run };
}

async function assertSaved(runs: BrokerRuns): Promise<void> {
  runs.reboot();
  const next = await runs.start();
  assert.deepEqual(next.alarms, []);
  assert.deepEqual(next.names(), ['one']);
  assert.equal(next.worker.retained.get('large')!.payload().length, LARGE_BYTES);
}

test('another process copies it, all threads of which have a lower priority', async (t) => {
  const { runs, run } = await largeStore(t);
  const saving = run.keeper.autosave.save();
  const copier = await copierOf(runs);
  while (priorityOf(copier) <= getPriority() && existsSync(`/proc/${copier}`)) await turn();
  const threads = readdirSync(`/proc/${copier}/task`).map(Number);
  let nicenesses = threads.map(priorityOf);
  while (Math.min(...nicenesses) <= getPriority() && existsSync(`/proc/${copier}`)) {
    await turn();
    nicenesses = threads.map(priorityOf);
  }
  assert.ok(Math.min(...nicenesses) > getPriority(), `nicenesses ${nicenesses}`);
  assert.equal(await saving, true);
  await run.kill();
  await assertSaved(runs);
});

function priorityOf(pid: number): number {
  try {
    return getPriority(pid);
  } catch {
    return 0; // ended meanwhile
  }
}

test('where that process does not survive, the broker copies it itself', async (t) => {
  const { runs, run } = await largeStore(t);
  const saving = run.keeper.autosave.save();
  process.kill(await copierOf(runs), 'SIGKILL');
  assert.equal(await saving, true);
  assert.deepEqual(run.events, ['copied here: ended by SIGKILL', 'saved bytes']);
  await run.kill();
  await assertSaved(runs);
});

test('a request to end does not end that process, because the broker saves for its end', async (t) => {
  const { runs, run } = await largeStore(t);
  const { path, mode } = run.prepared;
  const target = `${runs.path}.copy`;
  const copying = copyInChild(path, mode, target);
  const copier = await copierOf(runs);
  while (priorityOf(copier) === getPriority() && existsSync(`/proc/${copier}`)) await turn();
  process.kill(copier, 'SIGTERM');
  assert.equal(await copying, await hashOf(target));
});

test('it ends when the broker is killed', async (t) => {
  const runs = new BrokerRuns(t);
  const broker = fork(SAVER, [runs.path, runs.memory, '1', String(LARGE_BYTES)]);
  afterTest(t, () => broker.kill('SIGKILL'));
  const copier = await copierOf(runs);
  broker.kill('SIGKILL');
  while (commandLine(copier).join(' ').includes('copy')) await turn();
});

test('where descriptors have run out, a copy fails, a check says nothing, and the broker goes on', async (t) => {
  const { run } = await largeStore(t);
  const { path, mode } = run.prepared;
  const program = `
    import { openSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    import { checkInChild, copyInChild } from ${JSON.stringify(import.meta.resolve('../../../src/store/store-child.js'))};
    const descriptors = [];
    try {
      for (;;) descriptors.push(openSync('/dev/null'));
    } catch {}
    const [path, mode, target] = process.argv.slice(1);
    const copied = await copyInChild(path, mode, target).catch(({ code }) => code);
    const checked = await checkInChild(path, mode).catch(({ code }) => code);
    await delay(20);
    process.stdout.write(JSON.stringify([copied, checked]), () => process.exit());
  `;
  const args = ['-c', 'ulimit -n 200; exec "$0" --input-type=module -e "$@"', process.execPath, program];
  const output = execFileSync('sh', [...args, path, mode, `${path}.copy`], { encoding: 'utf8' });
  assert.deepEqual(JSON.parse(output), ['EMFILE', 'EMFILE']);
});

test('the copy does not wait for writers, nor they for it', async (t) => {
  const { runs, run } = await largeStore(t);
  const { path, mode } = run.prepared;
  const program = `
    import { writeSync } from 'node:fs';
    import { Environment } from ${JSON.stringify(import.meta.resolve('../../../src/store/environment.js'))};
    const [path, mode] = process.argv.slice(1);
    new Environment({ path, mode }).inTransaction(() => {
      writeSync(1, 'begun');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });
  `;
  const writer = spawn(process.execPath, ['--input-type=module', '-e', program, path, mode]);
  afterTest(t, () => writer.kill('SIGKILL'));
  await once(writer.stdout, 'data');
  const target = `${runs.path}.copy`;
  assert.equal(await copyInChild(path, mode, target), await hashOf(target));
});

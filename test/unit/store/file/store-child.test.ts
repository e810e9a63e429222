/** The process that checks a store: only what it says itself counts. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Check, checkInChild } from '../../../../src/store/file/store-child.js';
import { BrokerRuns } from '../../../support/brokers/broker-runs.js';
import { temporaryFolder } from '../../../support/store/stores.js';

/** What stands in for the program, and how often it has to be run until it is known what that says of the store. */
const ENDS: [what: string, script: string, verdict: string, runs: number][] = [
  ['killed, as for want of memory', 'kill -9 $$', 'unknown', 3],
  ['killed while it reads', 'echo begun; kill -9 $$', 'unknown', 3],
  ['the exit code of a shell', 'exit 127', 'unknown', 3],
  ['an exit code after the beginning', 'echo begun; exit 1', 'unknown', 3],
  ['a foreign loader that falls', 'kill -SEGV $$', 'unknown', 3],
  [
    'an abort for want of memory',
    'echo begun; echo "JavaScript heap out of memory" >&2; kill -ABRT $$',
    'unknown',
    3,
  ],
  ['a shortage that it tells of', `echo begun; echo '{"unknown":"Error: ENOMEM"}'`, 'unknown', 3],
  ['half an answer', `echo begun; echo '{"unreadable":'`, 'unknown', 3],
  ['an answer', `echo begun; echo '{"unreadable":"Error: bad page"}'`, 'unreadable', 1],
  ['it falls over the store twice', 'echo begun; kill -SEGV $$', 'unreadable', 2],
  [
    'it falls once, and does not start again',
    '[ $(wc -l < $2.runs) = 1 ] && echo begun && kill -SEGV $$; exit 1',
    'unknown',
    3,
  ],
];

for (const [what, script, verdict, runs] of ENDS) {
  test(`${what}: ${verdict}`, async (t) => {
    const path = join(temporaryFolder(t), 'store.mdb');
    writeFileSync(path, '');
    const counted = `echo run >> ${path}.runs; ${script}`;
    const command = ['sh', '-c', counted, 'check'];
    const result = await checkInChild(path, 'durable', { command, pauseMs: 1 });
    assert.equal(result.verdict, verdict);
    assert.equal(readFileSync(`${path}.runs`, 'utf8').split('\n').length - 1, runs);
  });
}

const unknown: Check = async () => ({ verdict: 'unknown', reason: 'ended by SIGKILL' });

for (const durable of [false, true]) {
  test(`a store that could not be checked is used, and told of (${durable ? 'durable' : 'autosave'})`, async (t) => {
    const runs = new BrokerRuns(t);
    runs.durable = durable;
    const first = await runs.start();
    await first.add('saved');
    await first.lifecycle.autosave.save();
    await first.add('unsaved');
    await first.kill();
    const second = await runs.start({ check: unknown });
    assert.deepEqual(second.names(), ['saved', 'unsaved']);
    assert.match(second.alarms[0]!, /could not be checked \(ended by SIGKILL\), and is used as it is/);
    await second.end();
    assert.ok(!existsSync(`${second.prepared.path}.unchecked`));
    assert.deepEqual((await runs.start()).names(), ['saved', 'unsaved']);
  });
}

test('a store with which the broker ends when it is unchecked is not used unchecked again', async (t) => {
  const runs = new BrokerRuns(t);
  const first = await runs.start();
  await first.add('saved');
  await first.lifecycle.autosave.save();
  await first.add('unsaved');
  await first.kill();
  await (await runs.start({ check: unknown })).kill();
  const third = await runs.start({ check: unknown });
  assert.deepEqual(third.names(), ['saved']);
  assert.ok(
    runs.files.some((name) => name.includes('.damaged-')),
    'it is kept',
  );
});

test('where descriptors have run out, a check says nothing of the store, and the broker goes on', async (t) => {
  const run = await new BrokerRuns(t).start();
  const { path, mode } = run.prepared;
  const program = `
    import { openSync } from 'node:fs';
    import { setTimeout as delay } from 'node:timers/promises';
    import { checkInChild } from ${JSON.stringify(import.meta.resolve('../../../../src/store/file/store-child.js'))};
    const descriptors = [];
    try {
      for (;;) descriptors.push(openSync('/dev/null'));
    } catch {}
    const checked = await checkInChild(...process.argv.slice(1));
    await delay(20);
    process.stdout.write(JSON.stringify(checked), () => process.exit());
  `;
  const args = ['-c', 'ulimit -n 200; exec "$0" --input-type=module -e "$@"', process.execPath, program];
  const { verdict, reason } = JSON.parse(execFileSync('sh', [...args, path, mode], { encoding: 'utf8' }));
  assert.equal(verdict, 'unknown');
  assert.match(reason, /EMFILE/);
});

/** The process that checks a store, where it cannot be had. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { BrokerRuns } from '../../../support/brokers/broker-runs.js';

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
    const checked = await checkInChild(...process.argv.slice(1)).catch(({ code }) => code);
    await delay(20);
    process.stdout.write(JSON.stringify(checked), () => process.exit());
  `;
  const args = ['-c', 'ulimit -n 200; exec "$0" --input-type=module -e "$@"', process.execPath, program];
  assert.equal(JSON.parse(execFileSync('sh', [...args, path, mode], { encoding: 'utf8' })), 'EMFILE');
});

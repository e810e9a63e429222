/** Saved files whose content changes by itself, as on a bad card: it is told, and no wrong message is served. */
import assert from 'node:assert/strict';
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { BrokerRuns } from '../../../support/brokers/broker-runs.js';

/** Changes bytes of a file that looks untouched. */
function rot(path: string, change: (bytes: Buffer) => void): void {
  const { atimeMs, mtimeMs } = statSync(path);
  const bytes = readFileSync(path);
  change(bytes);
  writeFileSync(path, bytes);
  utimesSync(path, atimeMs / 1000, mtimeMs / 1000);
}

for (const durable of [false, true]) {
  test(`a bit of a payload: told, set aside, and the rest is there (${durable ? 'durable' : 'autosave'})`, async (t) => {
    const runs = new BrokerRuns(t);
    const first = await runs.start();
    for (let i = 0; i < 20; i += 1) await first.add(`name${i}x${'x'.repeat(i * 10)}`);
    await first.end();
    rot(runs.path, (bytes) => {
      bytes[bytes.indexOf('retained/name7x') + 10]! ^= 0x04;
    });
    runs.durable = durable;
    const second = await runs.start();
    assert.match(second.alarms[0]!, /^The store is damaged \(\w+: its checksum is wrong\)\. It is kept as /);
    assert.match(
      second.alarms[1]!,
      /^Saved from it: 19 retained messages, 20 sessions, 20 queued messages\.$/,
    );
    assert.equal(second.names().length, 19);
    assert.ok(runs.files.some((name) => name.includes('.damaged-')));
  });
}

test('where no record shows it, it is told all the same, and a copy kept', async (t) => {
  const runs = new BrokerRuns(t);
  const first = await runs.start();
  await first.add('a');
  await first.end();
  rot(runs.path, (bytes) => {
    bytes[1000]! ^= 0x01; // behind the header of the first page
  });
  const second = await runs.start();
  assert.match(second.alarms[0]!, /^The saved file has rotted: its SHA-256 is not that of what was saved\./);
  assert.deepEqual(second.names(), ['a']);
  assert.ok(runs.files.some((name) => name.includes('.damaged-')));
});

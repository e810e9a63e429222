/** Signals that come before the broker runs do not end it, and are done when it runs. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startBroker } from '../support/brokers/broker.js';
import { builtFolder } from '../support/project.js';

const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'signal-early.js')).href;
const config = 'log_type all\npersistence true\npersistence_location {folder}/store/';

function early(...signals: NodeJS.Signals[]): Record<string, string> {
  return { NODE_OPTIONS: `--import ${preload}`, EARLY_SIGNALS: signals.join(',') };
}

test('SIGHUP, SIGUSR1 and SIGUSR2 before "running" are done afterwards', async (t) => {
  const broker = await startBroker(t, { config, env: early('SIGHUP', 'SIGUSR1', 'SIGUSR2') });
  await broker.waitForLog(/^signals are handled, 0 packages are loaded$/);
  const running = broker.log.findIndex((line) => / running$/.test(line));
  await broker.waitForLog(/Reloading config\./, { from: running });
  await broker.waitForLog(/Saved \d+ bytes/, { from: running });
  assert.ok(!broker.log.some((line) => line.includes('Debugger')));
  assert.ok(readdirSync(join(broker.folder, 'store')).includes('mosquitto.db'));
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} before "running" ends the broker in order`, async (t) => {
    const broker = await startBroker(t, { config, env: early(signal) });
    assert.deepEqual(await broker.program.waitForEnd(), { code: 0, signal: null });
    assert.ok(readdirSync(join(broker.folder, 'store')).includes('mosquitto.db'));
  });
}

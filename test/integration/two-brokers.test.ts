/** Two brokers with one store: the second one refuses to start, and the first one loses nothing. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { builtFolder } from '../support/project.js';

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: the second one says who has the store`, async (t) => {
    const config = `persistence true\npersistence_location {folder}/store/\npersistence_mode ${mode}`;
    const broker = await startBroker(t, { config });
    const client = await RawClient.connect(t, broker, 4);
    await client.publish('kept', 'x', { retain: true });
    const conf = join(makeFolder(t), 'second.conf');
    const first = readFileSync(join(broker.folder, 'broker.conf'), 'utf8');
    writeFileSync(conf, first.replace(String(broker.port), String(await freePort())));
    const second = new Program(t, 'the second', [
      process.execPath,
      join(builtFolder, 'src', 'midge.cjs'),
      '-c',
      conf,
    ]);
    assert.deepEqual(await second.waitForEnd(), { code: 1, signal: null });
    const text = `Error: the store ${broker.folder}/store/mosquitto.db is in use by process ${broker.pid}`;
    assert.ok(
      second.lines.some((line) => line.includes(text)),
      second.tail(),
    );
    await broker.kill();
    const next = await broker.startAgain(t);
    const reader = await RawClient.connect(t, next, 4);
    await reader.subscribe('kept', 0);
    await reader.expectPublish('kept', 'x');
  });
}

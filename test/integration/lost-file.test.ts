/** The file of the store goes away while the broker runs: nothing acknowledged goes with it. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { RawClient } from '../support/clients/raw-client.js';

const config = 'log_type all\npersistence true\npersistence_location {folder}/store/\nsys_interval 1';

for (const mode of ['autosave', 'durable']) {
  test(`${mode}: a removed folder is written again`, async (t) => {
    const broker = await startBroker(t, { workers: 2, config: `${config}\npersistence_mode ${mode}` });
    const received: string[] = [];
    const away = new DurableClient('away', ({ payload }) => received.push(Buffer.from(payload).toString()));
    await away.connect(t, broker);
    await away.subscribe('stored', 1);
    await away.disconnect();
    const publisher = await RawClient.connect(t, broker, 4);
    await publisher.publish('stored', 'before');
    if (mode === 'autosave') {
      broker.program.signal('SIGUSR1');
      await broker.waitForLog(/Saved \d+ bytes/);
    }
    rmSync(join(broker.folder, 'store'), { recursive: true });
    if (mode === 'durable') {
      publisher.sendPublish('stored', 'not acknowledged', { qos: 1, packetId: 7 });
      await broker.waitForLog(/Error: The file of the store was removed or replaced while the broker ran/);
      await broker.waitForLog(/The store has been written to a new file/);
      await publisher.expectClosed();
      await broker.waitForLog(/The store can be used now/);
      await broker.kill();
    } else await broker.stop();
    const next = await broker.startAgain(t);
    assert.ok(await away.connect(t, next), 'the session is there');
    await away.publish('stored', 'after');
    assert.equal(received[0], 'before');
  });
}

/** Two clients that take one client id from each other: the log names both, whichever worker they are on. */
import assert from 'node:assert/strict';
import { isReference, withBrokers } from '../support/brokers/broker.js';
import { RawClient } from '../support/clients/raw-client.js';

withBrokers(
  'two clients with one id are both named',
  async (t, broker) => {
    const watcher = await RawClient.connect(t, broker, 4, { clientId: 'watcher' });
    for (let i = 0; i < 4; i += 1) {
      await RawClient.connect(t, broker, 4, { clientId: 'meter', username: i % 2 === 0 ? 'cellar' : 'roof' });
    }
    const line = await broker.waitForLog(/Warning: Client id meter was taken over 3 times within \d+ s/);
    assert.match(
      line,
      /at last from 127\.0\.0\.1:\d+ \(connected 20\S+Z, user roof\) and 127\.0\.0\.1:\d+ \(connected 20\S+Z, user cellar\)/,
    );
    watcher.sendSubscribe('$SYS/broker/clients/taken_over');
    for (;;) {
      const packet = await watcher.next();
      if (packet.type === 'publish' && Buffer.from(packet.payload).toString() === '3') return;
    }
  },
  {
    config: 'listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\nworker_threads 2',
    skip: isReference ? 'a line of Midge' : false,
  },
);

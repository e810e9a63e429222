/** A listener whose transport is not there yet is not opened as something else, and does not keep the others down. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { reload } from '../support/brokers/access-files.js';
import { startBroker } from '../support/brokers/broker.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';

const MISSING = 'protocol http_api\nenable_proxy_protocol 2';

test('HTTP behind a proxy: said, and not opened', async (t) => {
  const other = await freePort();
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1\nallow_anonymous true\nlistener ${other} 127.0.0.1\n${MISSING}`,
  });
  const said = broker.log.find((text) => text.includes(`listener ${other} 127.0.0.1 is not opened`));
  assert.ok(said, broker.log.join('\n'));
  await RawClient.connect(t, broker, 5);
  await assert.rejects(once(connect(other, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' });
});

test('after a reload it is said what a restart would open', async (t) => {
  const other = await freePort();
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1\nallow_anonymous true\nlistener ${other} 127.0.0.1\n${MISSING}`,
  });
  const file = join(broker.folder, 'broker.conf');
  writeFileSync(file, readFileSync(file, 'utf8').replace(MISSING, 'protocol websockets'));
  await reload(broker);
  await broker.waitForLog(
    new RegExp(`: Warning: The listener ${other} 127.0.0.1 is opened only after a restart.$`),
  );
});

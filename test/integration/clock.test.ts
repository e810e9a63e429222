/** The machine's clock is set, or the broker is stopped for a while: nobody who is there is taken for gone. */
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { builtFolder } from '../support/project.js';

const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'shift-clock.js')).href;
const DAY = 86_400_000;

for (const [name, jump] of [
  ['forward', DAY],
  ['back', -DAY],
] as const) {
  test(`the clock is set ${name} by a day: clients, sessions and delayed wills stay, and a silent client goes`, async (t) => {
    const file = join(makeFolder(t), 'clock');
    const setClock = (ms: number): void => {
      writeFileSync(`${file}.new`, String(ms));
      renameSync(`${file}.new`, file);
    };
    setClock(0);
    const broker = await startBroker(t, {
      env: { NODE_OPTIONS: `--import ${preload}`, CLOCK_FILE: file },
    });
    const watcher = await RawClient.connect(t, broker, 5, { keepAlive: 600 });
    await watcher.subscribe('will/#', 0);
    const away = { clientId: 'away', cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
    const willOf = (topic: string, seconds: number) => ({
      topic,
      payload: Buffer.from('gone'),
      qos: 0 as const,
      retain: false,
      properties: { willDelayInterval: seconds },
    });
    const leaving = await RawClient.connect(t, broker, 5, { ...away, will: willOf('will/late', 600) });
    leaving.destroy();
    const silent = await RawClient.connect(t, broker, 5, { keepAlive: 1, will: willOf('will/silent', 0) });
    setClock(jump);
    await broker.waitForLog(new RegExp(`clock was set ${name} by 86400 s`));
    await silent.expectClosed();
    await watcher.expectPublish('will/silent', 'gone');
    await watcher.expectSilence();
    const back = await RawClient.connect(t, broker, 5, away);
    assert.equal(back.connack!.sessionPresent, true);
    assert.equal(broker.log.filter((line) => line.includes('clock was set')).length, 1);
  });
}

test('a broker that was stopped reads what clients have sent before it judges their keepalives', async (t) => {
  const broker = await startBroker(t);
  const connecting = Array.from({ length: 20 }, () => RawClient.connect(t, broker, 4, { keepAlive: 4 }));
  const clients = await Promise.all(connecting);
  process.kill(broker.pid, 'SIGSTOP');
  try {
    for (const client of clients) client.send({ type: 'pingreq' });
    await delay(8000); // so long a silence would be too long for all of them
  } finally {
    process.kill(broker.pid, 'SIGCONT');
  }
  for (const client of clients) await client.expectPacket('pingresp');
});

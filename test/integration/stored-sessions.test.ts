/** Sessions that outlive the broker: whichever worker takes them up, messages of every worker reach them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';

const ids = Array.from({ length: 12 }, (_, index) => `stays-${index}`);

test('after a restart on several workers', async (t) => {
  const folder = makeFolder(t);
  const config = `persistence true\npersistence_location ${folder}/`;
  const first = await startBroker(t, { config, workers: 3 });
  for (const clientId of ids) {
    const client = await connect(t, first, clientId);
    await client.subscribe(`to/${clientId}`, 1);
    await client.disconnect();
  }
  await publishToAll(t, first, 'before');
  await first.stop();

  const second = await startBroker(t, { config, workers: 3 });
  for (let publisher = 0; publisher < 6; publisher++) await publishToAll(t, second, `after ${publisher}`);
  for (const clientId of ids) {
    const client = await connect(t, second, clientId);
    assert.ok(client.connack?.sessionPresent, clientId);
    for (const payload of ['before', ...Array.from({ length: 6 }, (_, i) => `after ${i}`)]) {
      const { packetId } = await client.expectPublish(`to/${clientId}`, payload);
      client.sendAck('puback', packetId);
    }
    await client.disconnect();
  }
});

for (const workers of [1, 3]) {
  test(`a session that ended while the broker was not running is not taken up, ${workers} workers`, async (t) => {
    const folder = makeFolder(t);
    const config = `persistence true\npersistence_location ${folder}/`;
    const first = await startBroker(t, { config, workers });
    const options = { clientId: 'c', cleanStart: false, properties: { sessionExpiryInterval: 1 } };
    const client = await RawClient.connect(t, first, 5, options);
    await client.subscribe('t', 1);
    await client.disconnect();
    const left = Date.now();
    await (await RawClient.connect(t, first, 5)).publish('t', 'old');
    await first.stop();
    await sleep(left + 1500 - Date.now());
    const second = await startBroker(t, { config, workers });
    const again = await RawClient.connect(t, second, 5, options);
    assert.equal(again.connack!.sessionPresent, false);
    await again.expectSilence();
    await (await RawClient.connect(t, second, 5)).publish('t', 'new');
    await again.expectSilence();
  });
}

function connect(t: TestContext, broker: Broker, clientId: string): Promise<RawClient> {
  return RawClient.connect(t, broker, 4, { clientId, cleanStart: false });
}

/** Connections are spread over the workers, so that each publisher is on another one than the last. */
async function publishToAll(t: TestContext, broker: Broker, payload: string): Promise<void> {
  const publisher = await RawClient.connect(t, broker, 4);
  for (const [index, clientId] of ids.entries()) {
    const packetId = index + 1;
    publisher.sendPublish(`to/${clientId}`, payload, { qos: 1, packetId });
    await publisher.expectPacket('puback', { packetId });
  }
}

/** Sessions that outlive the broker: whichever worker takes them up, messages of every worker reach them. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
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

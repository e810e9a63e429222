/** `$CONTROL/…`: what the broker answers, and that nobody else hears of it. */
import assert from 'node:assert/strict';
import { isReference, withBrokers } from '../support/brokers/broker.js';
import { RawClient } from '../support/clients/raw-client.js';

const api = '$CONTROL/broker/v1';
const skip = isReference ? 'since Mosquitto 2.1' : false;

/** Publishes a request. @returns the answer, which needs no subscription */
async function ask(client: RawClient, topic: string, request: string): Promise<unknown> {
  client.sendPublish(topic, request, { qos: 1, retain: true });
  const packets = [await client.next(), await client.next()];
  assert.ok(packets.some((packet) => packet.type === 'puback' && packet.reasonCode === 0));
  const answer = packets.find((packet) => packet.type === 'publish');
  assert.equal(answer?.topic, `${topic}/response`);
  assert.equal(answer.qos, 0);
  return JSON.parse(Buffer.from(answer.payload).toString());
}

withBrokers(
  'requests nobody is registered for',
  async (t, broker) => {
    const watcher = await RawClient.connect(t, broker, 5);
    await watcher.subscribe('$CONTROL/#', 2);
    for (const version of [3, 4, 5] as const) {
      const client = await RawClient.connect(t, broker, version);
      for (const topic of [api, '$CONTROL/dynamic-security/v1']) {
        assert.deepEqual(await ask(client, topic, '{}'), { error: 'endpoint not available' });
      }
    }
    await watcher.expectSilence();
    // Nothing of it was retained.
    await watcher.subscribe(api, 2);
    await watcher.expectSilence();
  },
  { skip },
);

withBrokers(
  'enable_control_api',
  async (t, broker) => {
    const client = await RawClient.connect(t, broker, 5);
    const commands = [
      { command: 'listPlugins', correlationData: 'one' },
      { command: 'listListeners' },
      { command: 'listSecrets', correlationData: 'three' },
    ];
    const listener = { port: broker.port, protocol: 'mqtt', 'bind-address': '127.0.0.1', tls: false };
    assert.deepEqual(await ask(client, api, JSON.stringify({ commands })), {
      responses: [
        { command: 'listPlugins', correlationData: 'one', data: { plugins: [] } },
        { command: 'listListeners', data: { listeners: [listener] } },
        { command: 'listSecrets', correlationData: 'three', error: 'Unknown command' },
      ],
    });
    assert.deepEqual(await ask(client, api, 'nonsense'), { error: 'Payload not valid JSON' });
    assert.deepEqual(await ask(client, api, 'null'), { error: 'Invalid/missing commands' });
    assert.deepEqual(await ask(client, '$CONTROL/other', '{}'), { error: 'endpoint not available' });
    // QoS 2, too: the request counts when it is released.
    client.sendPublish(api, JSON.stringify({ commands: [] }), { qos: 2, packetId: 9 });
    await client.expectPacket('pubrec', { packetId: 9, reasonCode: 0 });
    await client.expectSilence();
    client.sendAck('pubrel', 9);
    const answers = [await client.next(), await client.next()];
    assert.deepEqual(answers.map(({ type }) => type).sort(), ['pubcomp', 'publish']);
  },
  { config: 'enable_control_api true', skip },
);

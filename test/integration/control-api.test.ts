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

const unknown = (error: string) => `{"command":"Unknown command","error":"${error}"}`;
const plugins = '{"command":"listPlugins","data":{"plugins":[]}}';

/** What 2.1.2 answers, to the byte. */
const faults: [request: string, answer: string][] = [
  ['', unknown('Payload not valid JSON')],
  ['nonsense', unknown('Payload not valid JSON')],
  ['null', unknown('Invalid/missing commands')],
  ['[]', unknown('Invalid/missing commands')],
  ['{"commands":{}}', unknown('Invalid/missing commands')],
  ['{"commands":[]}', ''],
  ['{"commands":[5]}', unknown('Command not an object')],
  ['{"commands":[[]]}', unknown('Command not an object')],
  ['{"commands":[{}]}', unknown('Missing command')],
  ['{"commands":[{"command":5,"correlationData":"c"}]}', unknown('Missing command')],
  ['{"commands":[{"command":"nope"}]}', '{"command":"nope","error":"Unknown command"}'],
  [
    '{"commands":[{"command":"nope","correlationData":"c"}]}',
    '{"command":"nope","error":"Unknown command","correlationData":"c"}',
  ],
  [
    '{"commands":[{"command":"listPlugins","correlationData":"c"}]}',
    '{"command":"listPlugins","data":{"plugins":[]},"correlationData":"c"}',
  ],
  [
    '{"commands":[{"command":"listListeners","correlationData":null}]}',
    '{"command":"listListeners","error":"Invalid correlationData data type."}',
  ],
  ['{"commands":[{"command":"listplugins"}]}', plugins],
  [
    '{"commands":[{"command":"listPlugins"},5,{"command":"listPlugins"}]}',
    `${plugins},${unknown('Command not an object')}`,
  ],
  [
    '{"commands":[{"command":"nope"},{"command":"listPlugins"}]}',
    `{"command":"nope","error":"Unknown command"},${plugins}`,
  ],
];

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
    for (const [request, answer] of faults) {
      assert.equal(JSON.stringify(await ask(client, api, request)), `{"responses":[${answer}]}`, request);
    }
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

/** MQTT.js against the broker, in each version of the protocol: what a Node-RED or a home automation does. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import mqtt, {
  type IClientOptions,
  type IClientPublishOptions,
  type IPublishPacket,
  type MqttClient,
} from 'mqtt';
import { type Broker, isReference, withBrokers } from '../support/brokers/broker.js';
import { afterTest } from '../support/cleanup.js';
import { patienceMs, within } from '../support/within.js';

type Version = 3 | 4 | 5;
type Scenario = (client: ClientFactory, version: Version) => Promise<void>;
type ClientFactory = (name: string, options?: IClientOptions) => Promise<Client>;

const scenarios: Record<string, Scenario> = {
  'every QoS meets every QoS': exchange,
  'retained messages': retained,
  'a lost client leaves its will': will,
  'a session survives': session,
  'a group shares its messages': shared,
};

/** What only MQTT 5.0 has. */
const scenariosOf5: Record<string, Scenario> = {
  'topic aliases both ways': aliases,
  'few messages at a time': flowControl,
  'messages expire, a will is delayed': expiry,
};

/** The second one is there because Mosquitto 2.0.11 does not start with a WebSocket listener alone. */
const webSocketListener =
  'allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol websockets\nlistener 0 {folder}/other.sock';

for (const protocol of ['mqtt', 'ws'] as const) {
  const config = protocol === 'ws' ? webSocketListener : '';
  withBrokers(
    `MQTT.js, ${protocol}`,
    async (t, broker) => {
      const runs = ([3, 4, 5] as const).flatMap((version) =>
        Object.entries(version === 5 ? { ...scenarios, ...scenariosOf5 } : scenarios).map(
          ([name, scenario], index) =>
            t.test(`${name}, protocol version ${version}`, (s) =>
              scenario(
                (id, options) =>
                  connect(s, broker, version, `${version}/${index}/${id}`, { protocol, ...options }),
                version,
              ),
            ),
        ),
      );
      await Promise.all(runs);
    },
    { config },
  );
}

/** An MQTT.js client with its messages kept; client id and topics begin with the scenario's own prefix. */
class Client {
  readonly messages: IPublishPacket[];
  readonly sessionPresent: boolean;
  readonly #mqtt: MqttClient;
  readonly #prefix: string;
  #arrived: () => void = () => {};

  constructor(client: MqttClient, prefix: string, sessionPresent: boolean, messages: IPublishPacket[]) {
    this.#mqtt = client;
    this.#prefix = prefix;
    this.sessionPresent = sessionPresent;
    this.messages = messages;
    client.on('message', () => this.#arrived());
  }

  async subscribe(filter: string, qos: 0 | 1 | 2): Promise<void> {
    const granted = await this.#mqtt.subscribeAsync(`${this.#prefix}${filter}`, { qos });
    assert.deepEqual(
      granted.map((grant) => grant.qos),
      [qos],
    );
  }

  /** As a member of a group. */
  async share(group: string, filter: string, qos: 0 | 1 | 2): Promise<void> {
    await this.#mqtt.subscribeAsync(`$share/${group}/${this.#prefix}${filter}`, { qos });
  }

  async publish(topic: string, payload: string, options: IClientPublishOptions): Promise<void> {
    await this.#mqtt.publishAsync(`${this.#prefix}${topic}`, payload, options);
  }

  /** The first `count` messages, each as "topic payload qos retain". @throws when they do not come. */
  async received(count: number): Promise<string[]> {
    const enough = new Promise<void>((resolve) => {
      this.#arrived = () => {
        if (this.messages.length >= count) resolve();
      };
      this.#arrived();
    });
    await within(patienceMs, enough, () => `waiting for ${count} messages, ${this.messages.length} came`);
    return this.messages.map(
      ({ topic, payload, qos, retain }) =>
        `${topic.slice(this.#prefix.length)} ${payload} ${qos}${retain ? ' retained' : ''}`,
    );
  }

  leave(): Promise<void> {
    return this.#mqtt.endAsync();
  }

  /** Without a DISCONNECT. */
  vanish(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#mqtt.once('close', resolve));
    this.#mqtt.options.reconnectPeriod = 0;
    this.#mqtt.stream.destroy();
    return closed;
  }
}

async function connect(
  t: TestContext,
  broker: Broker,
  version: Version,
  clientId: string,
  options: IClientOptions = {},
): Promise<Client> {
  const prefix = clientId.slice(0, clientId.lastIndexOf('/') + 1);
  const { will: ownWill } = options;
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: broker.port,
    protocolVersion: version,
    protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
    clientId,
    reconnectPeriod: 0,
    ...(version === 5 && options.clean === false ? { properties: { sessionExpiryInterval: 60 } } : {}),
    ...options,
    ...(ownWill === undefined ? {} : { will: { ...ownWill, topic: `${prefix}${ownWill.topic}` } }),
  });
  afterTest(t, () => client.endAsync(true));
  // Messages of a kept session may come right behind the CONNACK.
  const messages: IPublishPacket[] = [];
  // The packet itself has no topic where an alias stands for it.
  client.on('message', (topic, _payload, packet) => messages.push({ ...packet, topic }));
  const sessionPresent = await within(
    10_000,
    new Promise<boolean>((resolve, reject) => {
      client.on('connect', (packet) => resolve(packet.sessionPresent));
      client.on('error', reject);
    }),
    () => `waiting for the CONNACK of ${clientId}`,
  );
  return new Client(client, prefix, sessionPresent, messages);
}

async function exchange(client: ClientFactory): Promise<void> {
  const levels = [0, 1, 2] as const;
  const publisher = await client('publisher');
  const subscribers = await Promise.all(levels.map((qos) => client(`subscriber-${qos}`)));
  await Promise.all(levels.map((qos) => subscribers[qos]!.subscribe('+/x', qos)));

  const count = 20;
  for (let n = 0; n < count; n++) {
    await Promise.all(levels.map((qos) => publisher.publish(`${qos}/x`, `${n}`, { qos })));
  }
  for (const granted of levels) {
    const received = await subscribers[granted]!.received(count * levels.length);
    for (const sent of levels) {
      assert.deepEqual(
        received.filter((message) => message.startsWith(`${sent}/x `)),
        Array.from({ length: count }, (_, n) => `${sent}/x ${n} ${Math.min(sent, granted)}`),
      );
    }
    assert.equal(received.length, count * levels.length);
  }
}

async function retained(client: ClientFactory): Promise<void> {
  const publisher = await client('publisher');
  await publisher.publish('a', 'old', { qos: 1, retain: true });
  await publisher.publish('a', 'new', { qos: 1, retain: true });
  await publisher.publish('b', 'gone', { qos: 2, retain: true });
  await publisher.publish('b', '', { qos: 2, retain: true });

  const subscriber = await client('subscriber');
  await subscriber.subscribe('#', 2);
  assert.deepEqual(await subscriber.received(1), ['a new 1 retained']);
  await publisher.publish('a', 'live', { qos: 2, retain: true });
  assert.deepEqual(await subscriber.received(2), ['a new 1 retained', 'a live 2']);
}

async function will(client: ClientFactory): Promise<void> {
  const watcher = await client('watcher');
  await watcher.subscribe('+', 1);
  const willOf = (topic: string) => ({ will: { topic, payload: Buffer.from('gone'), qos: 1 as const } });
  const polite = await client('polite', willOf('polite'));
  const lost = await client('lost', willOf('lost'));
  await polite.leave();
  await lost.vanish();
  assert.deepEqual(await watcher.received(1), ['lost gone 1']);
}

async function session(client: ClientFactory, version: Version): Promise<void> {
  const publisher = await client('publisher');
  const first = await client('sleeper', { clean: false });
  await first.subscribe('x', 2);
  await first.vanish();
  for (let n = 0; n < 30; n++) await publisher.publish('x', `${n}`, { qos: 2 });

  const second = await client('sleeper', { clean: false });
  assert.equal(second.sessionPresent, version !== 3); // MQTT 3.1 has no such flag.
  const away = Array.from({ length: 30 }, (_, n) => `x ${n} 2`);
  assert.deepEqual(await second.received(30), away);
  await publisher.publish('x', 'live', { qos: 1 });
  assert.deepEqual(await second.received(31), [...away, 'x live 1']);
  await second.leave();

  const fresh = await client('sleeper', { clean: true });
  assert.equal(fresh.sessionPresent, false);
  await fresh.subscribe('x', 1);
  await publisher.publish('x', 'only', { qos: 1 });
  assert.deepEqual(await fresh.received(1), ['x only 1']);
}

async function shared(client: ClientFactory): Promise<void> {
  const members = await Promise.all(['one', 'two', 'three'].map((name) => client(name)));
  for (const member of members) await member.share('group', 'x', 1);
  const publisher = await client('publisher');
  const count = 30;
  for (let n = 0; n < count; n++) await publisher.publish('x', `${n}`, { qos: 1 });
  const got = await Promise.all(members.map((member) => member.received(count / members.length)));
  assert.equal(new Set(got.flat()).size, count);
}

async function aliases(client: ClientFactory): Promise<void> {
  const subscriber = await client('subscriber', { properties: { topicAliasMaximum: 2 } });
  await subscriber.subscribe('#', 1);
  const publisher = await client('publisher', { autoAssignTopicAlias: true });
  const topics = ['a', 'b', 'a', 'c', 'b', 'c', 'a', 'd', 'd', 'a'];
  for (const [n, topic] of topics.entries()) await publisher.publish(topic, `${n}`, { qos: 1 });
  assert.deepEqual(
    await subscriber.received(topics.length),
    topics.map((topic, n) => `${topic} ${n} 1`),
  );
}

async function flowControl(client: ClientFactory): Promise<void> {
  const subscriber = await client('subscriber', { properties: { receiveMaximum: 1 } });
  await subscriber.subscribe('x', 2);
  const publisher = await client('publisher');
  const sent = Array.from({ length: 50 }, (_, n) => `${n}`);
  // All at once: MQTT.js does not keep to the broker's receive maximum, and Mosquitto refuses some of it.
  const publishing = sent.map((payload) => () => publisher.publish('x', payload, { qos: 2 }));
  if (isReference) for (const publish of publishing) await publish();
  else await Promise.all(publishing.map((publish) => publish()));
  assert.deepEqual(
    await subscriber.received(sent.length),
    sent.map((payload) => `x ${payload} 2`),
  );
}

async function expiry(client: ClientFactory): Promise<void> {
  const watcher = await client('watcher');
  await watcher.subscribe('clock', 1);
  const sleeper = await client('sleeper', { clean: false });
  await sleeper.subscribe('+', 1);
  await sleeper.vanish();
  // A will that is delayed by two seconds is the clock.
  const clock = await client('clock', {
    clean: false,
    will: { topic: 'clock', payload: Buffer.from('2 s'), qos: 1, properties: { willDelayInterval: 2 } },
  });
  const publisher = await client('publisher');
  await publisher.publish('x', 'short', { qos: 1, properties: { messageExpiryInterval: 1 } });
  await publisher.publish('x', 'long', { qos: 1, properties: { messageExpiryInterval: 100 } });
  await clock.vanish();
  assert.deepEqual(await watcher.received(1), ['clock 2 s 1']);
  const back = await client('sleeper', { clean: false });
  assert.deepEqual(await back.received(2), ['x long 1', 'clock 2 s 1']);
}

/** A second connection with the client id of a first: who stays, and what becomes of session and will. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ProtocolVersion, PublishPacket } from '../../src/mqtt/packets.js';
import { type Broker, isReference, withBrokers } from '../support/brokers/broker.js';
import type { ConnectOptions } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { patienceMs, within } from '../support/within.js';

const sessionTakenOver = 0x8e;
/** More than there are workers, so that the client moves between them. */
const moves = 7;
const streamMoves = 30;

const versions: readonly ProtocolVersion[] = [3, 4, 5];

/** Options of a client whose session outlives its connection. */
function lasting(version: ProtocolVersion, clientId: string): ConnectOptions {
  return { clientId, cleanStart: false, properties: version === 5 ? { sessionExpiryInterval: 300 } : {} };
}

/** The old connection ends as its version wants it. */
async function expectTakenOver(client: RawClient, version: ProtocolVersion): Promise<void> {
  // Debian's Mosquitto 2.0.11 closes without a word.
  if (version === 5 && !isReference)
    await client.expectPacket('disconnect', { reasonCode: sessionTakenOver });
  await client.expectClosed();
}

withBrokers('the newer connection stays', async (t, broker) => {
  for (const version of versions) {
    let current = await RawClient.connect(t, broker, version, { clientId: `stays-${version}` });
    for (let move = 0; move < moves; move++) {
      const newer = await RawClient.connect(t, broker, version, { clientId: `stays-${version}` });
      await expectTakenOver(current, version);
      await newer.expectSilence();
      current = newer;
    }
  }
});

withBrokers('a session moves to the newer connection with all it has', async (t, broker) => {
  const publisher = await SessionClient.connect(t, broker, 4);
  for (const version of versions) {
    const options = lasting(version, `session-${version}`);
    const topic = `session/${version}`;
    let current = await RawClient.connect(t, broker, version, options);
    await current.subscribe(topic, 2);
    for (let move = 0; move < moves; move++) {
      await publisher.publish(topic, Buffer.from('unacknowledged'), 1);
      const first = await current.expectPublish(topic, 'unacknowledged', { qos: 1, dup: false });
      await publisher.publish(topic, Buffer.from('half way'), 2);
      const second = await current.expectPublish(topic, 'half way', { qos: 2, dup: false });
      current.sendAck('pubrec', second.packetId);
      await current.expectPacket('pubrel', { packetId: second.packetId });

      const newer = await RawClient.connect(t, broker, version, options);
      await expectTakenOver(current, version);
      assert.equal(newer.connack?.sessionPresent, version !== 3);
      await newer.expectPublish(topic, 'unacknowledged', { qos: 1, dup: true, packetId: first.packetId });
      await newer.expectPacket('pubrel', { packetId: second.packetId });
      newer.sendAck('puback', first.packetId);
      newer.sendAck('pubcomp', second.packetId);
      await newer.expectSilence();
      current = newer;
    }
  }
});

withBrokers('a clean start leaves nothing of the older session', async (t, broker) => {
  const publisher = await SessionClient.connect(t, broker, 4);
  for (const version of versions) {
    for (let move = 0; move < moves; move++) {
      const topic = `clean/${version}/${move}`;
      const options = lasting(version, `clean-${version}`);
      const older = await RawClient.connect(t, broker, version, options);
      await older.subscribe(topic, 1);
      const newer = await RawClient.connect(t, broker, version, { ...options, cleanStart: true });
      await expectTakenOver(older, version);
      assert.equal(newer.connack?.sessionPresent, false);
      await publisher.publish(topic, Buffer.from('lost'), 1);
      await newer.expectSilence();
      await newer.disconnect();
    }
  }
});

withBrokers('a client may come back with another version of the protocol', async (t, broker) => {
  const publisher = await SessionClient.connect(t, broker, 4);
  let current = await RawClient.connect(t, broker, 4, lasting(4, 'upgraded'));
  await current.subscribe('upgraded', 1);
  let last: ProtocolVersion = 4;
  for (const version of [5, 3, 5, 4] as const) {
    const newer = await RawClient.connect(t, broker, version, lasting(version, 'upgraded'));
    await expectTakenOver(current, last);
    await publisher.publish('upgraded', Buffer.from('hello'), 1);
    const { packetId } = await newer.expectPublish('upgraded', 'hello', { qos: 1 });
    newer.sendAck('puback', packetId);
    await newer.expectSilence();
    [current, last] = [newer, version];
  }
});

/** Whether the older connection's will is sent, by the two connections. */
const wills: readonly [
  what: string,
  version: ProtocolVersion,
  older: ConnectOptions,
  newer: ConnectOptions,
  sent: boolean,
][] = [
  ['a clean session', 4, { cleanStart: true }, { cleanStart: false }, true],
  ['a lasting session that goes on', 4, { cleanStart: false }, { cleanStart: false }, true],
  ['a lasting session that ends', 4, { cleanStart: false }, { cleanStart: true }, true],
  ['5.0, a session that ends with its connection', 5, { cleanStart: true }, { cleanStart: false }, true],
  [
    '5.0, a session that goes on',
    5,
    { properties: { sessionExpiryInterval: 60 } },
    { cleanStart: false },
    true,
  ],
  ['5.0, a clean start', 5, { properties: { sessionExpiryInterval: 60 } }, { cleanStart: true }, true],
];

withBrokers('the will of the older connection', async (t, broker) => {
  const watcher = await RawClient.connect(t, broker, 4);
  await watcher.subscribe('will/#', 0);
  const marker = await SessionClient.connect(t, broker, 4);
  for (const [index, [what, version, olderOptions, newerOptions, sent]] of wills.entries()) {
    for (let move = 0; move < moves; move++) {
      const clientId = `will-${index}-${move}`;
      const will = {
        topic: `will/${clientId}`,
        payload: Buffer.from('taken'),
        qos: 1,
        retain: false,
        properties: {},
      } as const;
      const older = await RawClient.connect(t, broker, version, { clientId, ...olderOptions, will });
      await RawClient.connect(t, broker, version, { clientId, ...newerOptions });
      await expectTakenOver(older, version);
      if (sent) await watcher.expectPublish(`will/${clientId}`, 'taken');
    }
    await marker.publish('will/marker', Buffer.from(what), 1);
    await watcher.expectPublish('will/marker', what);
  }
});

withBrokers('of many connections at once, one stays', async (t, broker) => {
  const publisher = await SessionClient.connect(t, broker, 4);
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(
      Array.from({ length: 20 }, () => RawClient.connect(t, broker, 4, lasting(4, 'crowd'))),
    );
    const alive = await Promise.all(clients.map(staysOpen));
    const winners = clients.filter((_, index) => alive[index]);
    assert.equal(winners.length, 1);
    await winners[0]!.subscribe('crowd', 1);
    await publisher.publish('crowd', Buffer.from(`${round}`), 1);
    const { packetId } = await winners[0]!.expectPublish('crowd', `${round}`);
    winners[0]!.sendAck('puback', packetId);
    await winners[0]!.expectSilence();
  }
});

/** Whether a connection answers, rather than being closed. */
async function staysOpen(client: RawClient): Promise<boolean> {
  return client.expectSilence().then(
    () => true,
    async () => {
      await client.expectClosed();
      return false;
    },
  );
}

withBrokers('a stream of messages survives the moves of its subscriber', async (t, broker) => {
  for (const version of [4, 5] as const) await stream(t, broker, version);
});

async function stream(t: TestContext, broker: Broker, version: ProtocolVersion): Promise<void> {
  const count = 600;
  const topic = `stream/${version}`;
  const received: { 1: number[]; 2: number[] } = { 1: [], 2: [] };
  let arrived: () => void = () => {};
  const options = {
    ...lasting(version, `stream-${version}`),
    onMessage: ({ payload, qos, dup }: PublishPacket) => {
      const list = received[qos as 1 | 2];
      const number = Number(Buffer.from(payload).toString());
      // QoS 1 allows a message twice, but the second time it must say so.
      if (qos === 1 && dup && list.includes(number)) return;
      list.push(number);
      arrived();
    },
  };
  const receivedAtLeast = (wanted: number): Promise<void> => {
    const reached = new Promise<void>((resolve) => {
      arrived = () => {
        if (received[1].length >= wanted && received[2].length >= wanted) resolve();
      };
      arrived();
    });
    const came = () => `${received[1].length} and ${received[2].length} came`;
    return within(patienceMs, reached, () => `waiting for ${wanted} messages of each QoS; ${came()}`);
  };

  let subscriber = await SessionClient.connect(t, broker, version, options);
  await subscriber.subscribe(topic, 2);
  const publisher = await SessionClient.connect(t, broker, 4);
  const published = publishAll(publisher, topic, count);
  for (let move = 1; move <= streamMoves; move++) {
    await receivedAtLeast(Math.floor((count * move) / (streamMoves + 1)));
    subscriber = await SessionClient.connect(t, broker, version, { ...options, previous: subscriber });
  }
  await published;
  await receivedAtLeast(count);

  const all = Array.from({ length: count }, (_, number) => number);
  assert.deepEqual(received[1], all);
  assert.deepEqual(received[2], all);
}

/** Publishes the numbers from 0 to `count` at QoS 1 and at QoS 2, some at a time. */
async function publishAll(publisher: SessionClient, topic: string, count: number): Promise<void> {
  const atOnce = 10;
  for (let first = 0; first < count; first += atOnce) {
    const numbers = Array.from({ length: Math.min(atOnce, count - first) }, (_, index) => first + index);
    await Promise.all(
      numbers.flatMap((number) =>
        ([1, 2] as const).map((qos) => publisher.publish(topic, Buffer.from(`${number}`), qos)),
      ),
    );
  }
}

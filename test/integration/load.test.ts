/** Two hundred connections at once: no message may be lost, doubled or out of order, at QoS 1 and 2. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { ProtocolVersion, PublishPacket, Qos } from '../../src/mqtt/packets.js';
import { type Broker, isReference, withBrokers } from '../support/brokers/broker.js';
import { SessionClient } from '../support/clients/session-client.js';
import { patienceMs, within } from '../support/within.js';

/** Ten groups with ten publishers and ten subscribers each: every subscriber of a group gets all of its messages. */
const groups = 10;
const membersPerGroup = 10;
/** Of each publisher, at each QoS. */
const messagesPerPublisher = 40;
/** Unacknowledged messages of one publisher. */
const atOnce = 10;
const levels: readonly Qos[] = [1, 2];

withBrokers('200 connections, every message once and in order', exchange, {
  // More than the default of 1000 may have to wait for a slow reader among the two hundred.
  // In Debian's Mosquitto 2.0.11 a message can overtake those that wait for room in the window, so it gets none.
  config: `max_queued_messages 0\n${isReference ? 'max_inflight_messages 0' : ''}`,
});

/** A subscriber's record: for each publisher and QoS the numbers received, as they came. */
type Record = Map<string, number[]>;

async function exchange(t: TestContext, broker: Broker): Promise<void> {
  const expected = groups * membersPerGroup * membersPerGroup * messagesPerPublisher * levels.length;
  let received = 0;
  let complete: () => void = () => {};
  const allReceived = new Promise<void>((resolve) => {
    complete = resolve;
  });
  const count = (record: Record, message: PublishPacket) => {
    const [publisher, number] = Buffer.from(message.payload).toString().split(' ');
    const stream = `${publisher} qos ${message.qos}`;
    if (!record.has(stream)) record.set(stream, []);
    record.get(stream)!.push(Number(number));
    if (++received === expected) complete();
  };

  const records = await connectSubscribers(t, broker, count);
  const publishers = await connectPublishers(t, broker);
  await Promise.all(publishers.map(({ client, name, topic }) => publishAll(client, name, topic)));
  await within(patienceMs, allReceived, () => `${received} of ${expected} messages had come`);

  const numbers = Array.from({ length: messagesPerPublisher }, (_, number) => number);
  for (const [group, record] of records) {
    assert.equal(record.size, membersPerGroup * levels.length);
    for (const [stream, got] of record) {
      assert.ok(stream.startsWith(`${group}/`), `${stream} came to a subscriber of group ${group}`);
      assert.deepEqual(got, numbers, stream);
    }
  }
}

/** All versions of the protocol take part. */
function versionOf(member: number): ProtocolVersion {
  return ([3, 4, 5] as const)[member % 3]!;
}

async function connectSubscribers(
  t: TestContext,
  broker: Broker,
  count: (record: Record, message: PublishPacket) => void,
): Promise<[group: number, Record][]> {
  const records: [group: number, Record][] = [];
  for (let member = 0; member < membersPerGroup; member++) {
    for (let group = 0; group < groups; group++) {
      const record: Record = new Map();
      const client = await SessionClient.connect(t, broker, versionOf(member), {
        onMessage: (message) => count(record, message),
      });
      await client.subscribe(`load/${group}/+`, 2);
      records.push([group, record]);
    }
  }
  return records;
}

async function connectPublishers(
  t: TestContext,
  broker: Broker,
): Promise<{ client: SessionClient; name: string; topic: string }[]> {
  const publishers = [];
  for (let member = 0; member < membersPerGroup; member++) {
    for (let group = 0; group < groups; group++) {
      const client = await SessionClient.connect(t, broker, versionOf(member));
      publishers.push({ client, name: `${group}/${member}`, topic: `load/${group}/${member}` });
    }
  }
  return publishers;
}

async function publishAll(client: SessionClient, name: string, topic: string): Promise<void> {
  for (let first = 0; first < messagesPerPublisher; first += atOnce) {
    const acknowledged = [];
    for (let number = first; number < Math.min(first + atOnce, messagesPerPublisher); number++) {
      for (const qos of levels)
        acknowledged.push(client.publish(topic, Buffer.from(`${name} ${number}`), qos));
    }
    await Promise.all(acknowledged);
  }
}

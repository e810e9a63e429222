/** From a topic to whom it is for, and into their buffers: routes, retained messages, PUBLISH written, bytes copied. */
import { copyBytes } from '../../src/base/copy-bytes.js';
import { OutgoingBuffer } from '../../src/mqtt/outgoing-buffer.js';
import { Publication } from '../../src/mqtt/publication.js';
import { type Delivery, newDelivery, writePublish } from '../../src/mqtt/publish-writer.js';
import { RouteTable } from '../../src/routing/route-table.js';
import { RetainedTree } from '../../src/topic/retained-tree.js';
import { subscriptionTo, testSession } from '../support/brokers/sessions.js';
import { publicationOf, publishPacket } from '../support/packets/publication.js';
import { type Benchmark, isProgram, report } from './harness.js';

const filterCount = 10_000;
const topicCount = 1000;

export function run(): void {
  report(`route, ${filterCount} filters`, routing());
  report(`retained messages, ${filterCount} topics`, retaining());
  report('PUBLISH of 64 bytes written', writing());
  report('copy of bytes', copying());
}

/** A house of many rooms with a few sensors each, and some who watch a floor or a kind of sensor everywhere. */
function topicOf(i: number): string {
  return `home/floor${i % 10}/room${i % 1000}/sensor${i}`;
}

function routing(): Benchmark[] {
  const { session } = testSession();
  const table = new RouteTable();
  for (let i = 0; i < filterCount - 200; i += 1) table.add(subscriptionTo(topicOf(i), 0, session));
  for (let i = 0; i < 100; i += 1) {
    table.add(subscriptionTo(`home/floor${i % 10}/room${i}/#`, 0, session));
    table.add(subscriptionTo(`home/+/+/sensor${i}`, 0, session));
  }
  const topics = Array.from({ length: topicCount }, (_, i) => Buffer.from(topicOf(i * 7)));
  let serial = 0;
  const churning = subscriptionTo('elsewhere', 0, session);
  return [
    {
      name: 'remembered',
      operations: topicCount,
      once: () => {
        let found = 0;
        for (const topic of topics) found += table.route(topic, 0, topic.length)!.subscriptions.length;
        return found;
      },
    },
    {
      name: 'looked up in the tree',
      operations: topicCount,
      once: () => {
        let found = 0;
        table.add(churning); // what is remembered does not hold any more
        for (const topic of topics) found += table.route(topic, 0, topic.length)!.subscriptions.length;
        table.remove(churning);
        return found;
      },
    },
    {
      name: 'each topic once',
      operations: topicCount,
      once: () => {
        let found = 0;
        for (let i = 0; i < topicCount; i += 1) {
          serial += 1;
          const topic = Buffer.from(`home/floor0/room0/reading${serial}`);
          found += table.route(topic, 0, topic.length)!.subscriptions.length;
        }
        return found;
      },
    },
    {
      name: 'subscribe and unsubscribe',
      operations: 1,
      once: () => {
        table.add(churning);
        table.remove(churning);
        return table.subscriptionCount;
      },
    },
  ];
}

function retaining(): Benchmark[] {
  const messages = Array.from({ length: filterCount }, (_, i) =>
    Publication.create({ topic: topicOf(i), payload: Buffer.from('21.5'), qos: 0, retain: true }),
  );
  const tree = new RetainedTree<Publication>();
  for (const message of messages) tree.set(message);
  const matching = (name: string, filter: string): Benchmark => ({
    name,
    operations: 1,
    once: () => {
      let found = 0;
      tree.match(filter, () => {
        found += 1;
      });
      return found;
    },
  });
  let next = 0;
  return [
    {
      name: 'set one that is there',
      operations: 1,
      once: () => {
        next = (next + 1) % filterCount;
        tree.set(messages[next]!);
        return tree.size;
      },
    },
    {
      name: 'clear and set',
      operations: 1,
      once: () => {
        next = (next + 1) % filterCount;
        tree.delete(messages[next]!.topic);
        tree.set(messages[next]!);
        return tree.size;
      },
    },
    matching('match one topic', topicOf(5000)),
    matching('match a room, 10 messages', 'home/floor5/room15/#'),
    matching('match + levels, 1 message', 'home/+/+/sensor77'),
    matching('match everything', '#'),
  ];
}

function writing(): Benchmark[] {
  const out = new OutgoingBuffer({ write: () => true }, { add: () => {} });
  const usual: Delivery = { ...newDelivery(4), now: Date.UTC(2024, 0) };
  const sent = { topic: 'home/floor1/room2/sensor3', payload: Buffer.alloc(64, 'x') };
  const properties = { contentType: 'text/plain', messageExpiryInterval: 60 };
  const plain = publicationOf(publishPacket(sent), 4);
  const qos1 = publicationOf(publishPacket({ ...sent, qos: 1 }), 4);
  const v5 = publicationOf(publishPacket(sent), 5);
  const rich = publicationOf(publishPacket({ ...sent, properties }), 5, usual.now);
  const rows: [name: string, publication: Publication, delivery: Delivery][] = [
    ['passed on as it came', plain, usual],
    ['passed on, QoS 1', qos1, { ...usual, qos: 1, packetId: 77 }],
    ['laid out anew: QoS 1 as QoS 0', qos1, usual],
    ['laid out anew: v3.1.1 to v5', plain, { ...usual, version: 5 }],
    ['laid out anew: v5 to v3.1.1', v5, usual],
    ['laid out again: owned copy', plain.toOwned(), usual],
    ['laid out anew: properties, identifier', rich, { ...usual, version: 5, subscriptionIdentifiers: [5] }],
    ['laid out anew: alias alone', v5, { ...usual, version: 5, topicAlias: 3, withTopic: false }],
  ];
  const inARow = 500;
  return rows.map(([name, publication, delivery]) => ({
    name,
    operations: inARow,
    once: () => {
      let written = 0;
      for (let i = 0; i < inARow; i += 1) {
        if (writePublish(out, publication, delivery, 1e9)) written += 1;
      }
      out.flush();
      return written;
    },
  }));
}

/** `copyBytes` takes the loop up to a length: here is where the one overtakes the other. */
function copying(): Benchmark[] {
  const inARow = 1000;
  const target = Buffer.alloc(65_536);
  return [16, 32, 64, 128, 160, 192, 256, 512, 4096].flatMap((length) => {
    const source = Buffer.alloc(length + 8, 'x');
    const ways: [name: string, copy: (at: number) => void][] = [
      ['loop', (at) => loop(source, 8, length + 8, target, at)],
      ['set', (at) => target.set(source.subarray(8, length + 8), at)],
      ['copyBytes', (at) => copyBytes(source, 8, length + 8, target, at)],
    ];
    return ways.map(([name, copy]) => ({
      name: `${String(length).padStart(4)} bytes: ${name}`,
      operations: inARow,
      once: () => {
        for (let i = 0; i < inARow; i += 1) copy(i & 63);
        return target[70]!;
      },
    }));
  });
}

function loop(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  for (let i = start; i < end; i += 1) target[at++] = source[i]!;
}

if (isProgram(import.meta.url)) run();

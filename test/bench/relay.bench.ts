/**
 * The whole way of a PUBLISH through one worker, but for the kernel: read, routed, written into the subscribers'
 * buffers, acknowledged.
 */
import { encodePacket } from '../../src/mqtt/encode.js';
import type { Qos } from '../../src/mqtt/packets.js';
import type { BrokerClient } from '../support/brokers/broker-client.js';
import { BrokerFixture } from '../support/brokers/broker-fixture.js';
import { publishPacket } from '../support/packets/publication.js';
import { type Benchmark, isProgram, report } from './harness.js';

const readBytes = 65_536;
const topic = 'bench/0001';

export async function run(): Promise<void> {
  const benchmarks: Benchmark[] = [];
  for (const payloadBytes of [16, 64, 256, 4096]) {
    benchmarks.push(await relaying(`QoS 0, ${payloadBytes} bytes`, { payloadBytes, qos: 0, subscribers: 1 }));
  }
  for (const qos of [1, 2] as const) {
    benchmarks.push(await relaying(`QoS ${qos}, 64 bytes`, { payloadBytes: 64, qos, subscribers: 1 }));
  }
  for (const subscribers of [0, 10, 100]) {
    const name = `QoS 0, 64 bytes, to ${subscribers} subscribers`;
    benchmarks.push(await relaying(name, { payloadBytes: 64, qos: 0, subscribers }));
  }
  report('relay, a message', benchmarks);
}

interface Load {
  payloadBytes: number;
  qos: Qos;
  subscribers: number;
}

async function relaying(name: string, { payloadBytes, qos, subscribers }: Load): Promise<Benchmark> {
  const fixture = new BrokerFixture({ logMask: 0, settings: { maxInflightMessages: 0 } });
  const publisher = await fixture.connect(4);
  const receivers = await Promise.all(Array.from({ length: subscribers }, () => subscriber(fixture, qos)));
  publisher.dropOutput();
  const payload = Buffer.alloc(payloadBytes, 'x');
  const packet = (packetId: number) => encodePacket(publishPacket({ topic, payload, qos, packetId }), 4);
  const count = Math.floor(readBytes / packet(1).length);
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  const publishes = Buffer.concat(ids.map(packet));
  const releases = qos === 2 ? Buffer.concat(ids.map((id) => ack('pubrel', id))) : null;
  let firstId = 1;
  return {
    name,
    operations: count,
    once: () => {
      publisher.receive(publishes);
      if (releases !== null) publisher.receive(releases);
      if (qos > 0) {
        for (const receiver of receivers) acknowledge(receiver, qos, firstId, count);
        firstId = ((firstId - 1 + count) % 0xffff) + 1;
      }
      return fixture.broker.counters.length;
    },
  };
}

async function subscriber(fixture: BrokerFixture, qos: Qos): Promise<BrokerClient> {
  const client = await fixture.connect(4);
  client.subscribe(topic, qos);
  client.dropOutput();
  return client;
}

function ack(type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number): Buffer {
  return encodePacket({ type, packetId, reasonCode: 0, properties: {} }, 4);
}

/** The subscriber answers what it was sent, under the packet ids that come next. */
function acknowledge(client: BrokerClient, qos: Qos, firstId: number, count: number): void {
  const answers = qos === 1 ? (['puback'] as const) : (['pubrec', 'pubcomp'] as const);
  for (const type of answers) client.receive(acksFrom(type, firstId, count));
}

const prepared = new Map<string, Buffer>();

function acksFrom(type: 'puback' | 'pubrec' | 'pubcomp', firstId: number, count: number): Buffer {
  const key = `${type} ${firstId} ${count}`;
  let acks = prepared.get(key);
  if (acks === undefined) {
    const ids = Array.from({ length: count }, (_, i) => ((firstId - 1 + i) % 0xffff) + 1);
    acks = Buffer.concat(ids.map((id) => ack(type, id)));
    prepared.set(key, acks);
  }
  return acks;
}

if (isProgram(import.meta.url)) await run();

/**
 * The checker of the load generator finds each fault that a broker could have. The broker of these tests relays
 * messages of one topic, and has faults on request.
 */
import assert from 'node:assert/strict';
import { createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, PublishPacket, Qos } from '../../../src/mqtt/packets.js';
import { afterTest } from '../../support/cleanup.js';
import { freePort } from '../../support/network/free-port.js';
import { compileGenerator, type GeneratorEnd, hasCompiler, runGenerator } from './generator.js';

const skip = !hasCompiler() && process.env.CI === undefined ? 'there is no C compiler' : false;

/** What becomes of a message on its way; the first one has the number 0. */
type Fault = (message: PublishPacket, number: number) => PublishPacket[];

const none: Fault = (message) => [message];

test('a broker without faults', { skip }, async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const { report, code, reason } = await load(t, none, qos);
    assert.equal(code, 0, reason);
    assert.ok(report!.sent! > 50);
    assert.equal(report!.delivered, report!.sent);
    assert.deepEqual(findingsOf(report!), {});
  }
});

test('a closed loop goes on only with what has been delivered', { skip }, async (t) => {
  let relayed = 0;
  const dropsAfter50: Fault = (message) => (relayed++ < 50 ? [message] : []);
  const { report, code } = await load(t, dropsAfter50, 1, ['--rate', '0', '--window', '8']);
  assert.equal(code, 1);
  assert.equal(report!.delivered, 50);
  assert.deepEqual(findingsOf(report!), { lost: 8 });
});

const faults: [name: string, fault: Fault, findings: (count: number) => Record<string, number>][] = [
  ['lost', (message, number) => (number % 10 === 9 ? [] : [message]), (count) => ({ lost: tenths(count) })],
  [
    'duplicates',
    (message, number) => (number % 10 === 9 ? [message, message] : [message]),
    (count) => ({ duplicates: tenths(count) }),
  ],
  ['reordered', swapping(), () => ({ reordered: 10 })],
  [
    'corrupt',
    (message, number) => [number % 10 === 9 ? { ...message, payload: damaged(message.payload) } : message],
    (count) => ({ corrupt: tenths(count), lost: tenths(count) }),
  ],
  [
    'corrupt: cut off',
    (message, number) => [number % 10 === 9 ? { ...message, payload: message.payload.subarray(1) } : message],
    (count) => ({ corrupt: tenths(count), lost: tenths(count) }),
  ],
  [
    'misrouted',
    (message, number) => [number % 10 === 9 ? { ...message, topic: 'load/1' } : message],
    (count) => ({ misrouted: tenths(count) }),
  ],
  [
    'foreign',
    (message, number) => (number === 9 ? [message, { ...message, payload: new Uint8Array(64) }] : [message]),
    () => ({ foreign: 1 }),
  ],
  [
    'wrongQos',
    (message, number) => [number === 9 ? { ...message, qos: 0 } : message],
    () => ({ wrongQos: 1 }),
  ],
];

for (const [name, fault, findings] of faults) {
  test(`finds ${name}`, { skip }, async (t) => {
    const { report, code, reason } = await load(t, fault, 1);
    assert.equal(code, 1, reason);
    assert.deepEqual(findingsOf(report!), findings(report!.sent!));
  });
}

test('latencies count from when a message was due', { skip }, async (t) => {
  const pauseMs = 200;
  const stops: Fault = (message, number) => {
    if (number === 30) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
    return [message];
  };
  const { report, code } = await load(t, stops, 0);
  assert.equal(code, 0);
  // A wait may end a little before its time.
  assert.ok(report!.latencyMaxMicros! > pauseMs * 1000 * 0.95, `${report!.latencyMaxMicros} µs`);
  // About half of the time was a pause, in which messages were due all the time.
  assert.ok(report!.latencyP90Micros! > (pauseMs * 1000) / 4, `${report!.latencyP90Micros} µs`);
});

test('a connection that breaks is no figure', { skip }, async (t) => {
  const breaks: Fault = () => {
    throw new Error('on request');
  };
  const { report, code, reason } = await load(t, breaks, 0);
  assert.equal(code, 2);
  assert.equal(report, undefined);
  assert.match(reason, /^load: the connection of load-publisher-0 has broken: /);
});

test('an option that is not known, or out of bounds', { skip }, async () => {
  const unknown = await runGenerator(['traffic', '--nothing', '1'], 1, 1);
  assert.equal(unknown.reason, 'load: there is no option --nothing');
  const size = await runGenerator(['traffic', '--size', '12'], 1, 1);
  assert.equal(size.reason, 'load: --size 12: a number from 32 to 65536 is wanted');
});

// ------------------------------------------------------------------ what these tests share

function tenths(count: number): number {
  return Math.floor(count / 10);
}

function damaged(payload: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(payload);
  copy[40]! ^= 1;
  return copy;
}

/** Of the first hundred, every ninth of ten is overtaken by the tenth. */
function swapping(): Fault {
  let held: PublishPacket | undefined;
  return (message, number) => {
    if (number < 100 && number % 10 === 8) {
      held = message;
      return [];
    }
    const out = held === undefined ? [message] : [message, held];
    held = undefined;
    return out;
  };
}

const countedElsewhere = new Set(['sent', 'delivered', 'repeated']);
const findingNames =
  /^(lost|unacknowledged|duplicates|reordered|corrupt|misrouted|foreign|wrongQos|notRetained)$/;

function findingsOf(report: Readonly<Record<string, number>>): Record<string, number> {
  const found = Object.entries(report).filter(
    ([name, count]) => count > 0 && findingNames.test(name) && !countedElsewhere.has(name),
  );
  return Object.fromEntries(found);
}

/** One publisher to one subscriber: 200 messages at a fixed rate, of which 120 are measured. */
async function load(
  t: TestContext,
  fault: Fault,
  qos: Qos,
  more: readonly string[] = ['--rate', '500'],
): Promise<GeneratorEnd> {
  compileGenerator();
  const port = await startBroker(t, fault);
  const options = [
    '--warmup',
    '0',
    '--seconds',
    '0.4',
    '--drain',
    '0.5',
    '--publishers',
    '1',
    '--qos',
    String(qos),
  ];
  return runGenerator(['traffic', '--shape', 'pairs', ...options, ...more], port, process.pid);
}

async function startBroker(t: TestContext, fault: Fault): Promise<number> {
  const port = await freePort();
  const broker = new FaultyBroker(fault);
  const server = createServer((socket) => broker.accept(socket));
  afterTest(t, () => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  return port;
}

/** One subscriber, which gets everything with the QoS of its publisher. */
class FaultyBroker {
  readonly #fault: Fault;
  #subscriber: Socket | undefined;
  #received = 0;
  #sent = 0;

  constructor(fault: Fault) {
    this.#fault = fault;
  }

  accept(socket: Socket): void {
    const framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, 4, 'client');
      if (isPacketError(packet)) throw new Error(packet.message);
      this.#handle(socket, packet);
      return true;
    });
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      try {
        framer.push(bytes, bytes.length);
      } catch {
        socket.destroy();
      }
    });
  }

  #handle(socket: Socket, packet: Packet): void {
    const answer = (reply: Packet) => void socket.write(encodePacket(reply, 4));
    const acknowledge = (type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number) =>
      answer({ type, packetId, reasonCode: 0, properties: {} });
    if (packet.type === 'connect')
      answer({ type: 'connack', sessionPresent: false, reasonCode: 0, properties: {} });
    if (packet.type === 'subscribe') {
      this.#subscriber = socket;
      const reasonCodes = packet.subscriptions.map(({ qos }) => qos);
      answer({ type: 'suback', packetId: packet.packetId, reasonCodes, properties: {} });
    }
    if (packet.type === 'publish') {
      if (packet.qos === 1) acknowledge('puback', packet.packetId);
      if (packet.qos === 2) acknowledge('pubrec', packet.packetId);
      this.#relay(packet);
    }
    if (packet.type === 'pubrec') acknowledge('pubrel', packet.packetId);
    if (packet.type === 'pubrel') acknowledge('pubcomp', packet.packetId);
  }

  #relay(packet: PublishPacket): void {
    for (const message of this.#fault(packet, this.#received++)) {
      const packetId = message.qos === 0 ? 0 : (this.#sent++ % 0xffff) + 1;
      this.#subscriber!.write(encodePacket({ ...message, packetId }, 4));
    }
  }
}

/**
 * What the broker answers to a client that breaks the protocol: MQTT 5.0 clients get a DISCONNECT with the reason,
 * older ones and those that cannot be talked to are just closed. In no case does another client notice.
 */
import assert from 'node:assert/strict';
import { connect as connectTcp } from 'node:net';
import type { TestContext } from 'node:test';
import { type Broker, isReference, withBrokers } from '../support/brokers/broker.js';
import { afterTest } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { within } from '../support/within.js';

const malformed = 0x81;
const protocolError = 0x82;
/** Mosquitto sends 0x81, though nothing is malformed. */
const topicNameInvalid = 0x90;
const topicAliasInvalid = 0x94;
const packetTooLarge = 0x95;
const closed = 'closed';
/** What is asked for here is what Mosquitto 2.1 does. */
const differs = isReference ? 'Mosquitto 2.0.11 lets some of it pass' : false;

const deepTopic = 'a/'.repeat(201);

interface Fault {
  what: string;
  bytes: string | Uint8Array;
  /** The reason code of the DISCONNECT. */
  v5: number | typeof closed;
  /** The same fault in MQTT 3.1.1, where it needs other bytes; null: there is no such fault. */
  v3Bytes?: string | Uint8Array | null;
}

const faults: readonly Fault[] = [
  {
    what: 'PUBLISH with a wildcard in its topic',
    bytes: '30 05 00 01 23 00 78',
    v5: malformed,
    v3Bytes: '30 04 00 01 23 78',
  },
  { what: 'PUBLISH with QoS 3', bytes: '36 07 00 01 61 00 01 00 78', v5: malformed },
  { what: 'PUBLISH with QoS 0 and DUP', bytes: '38 05 00 01 61 00 78', v5: malformed },
  { what: 'PUBLISH cut off in its topic', bytes: '30 03 00 05 61', v5: malformed },
  { what: 'PUBLISH with invalid UTF-8', bytes: '30 04 00 01 ff 00', v5: malformed },
  { what: 'PUBLISH with packet id 0', bytes: '32 06 00 01 61 00 00 00', v5: protocolError },
  {
    what: 'PUBLISH with a topic of too many levels',
    bytes: publishTo(deepTopic),
    v5: topicNameInvalid,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with topic alias 0',
    bytes: '30 07 00 01 61 03 23 00 00',
    v5: topicAliasInvalid,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with a topic alias above the limit',
    bytes: '30 07 00 01 61 03 23 00 ff',
    v5: topicAliasInvalid,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with an unknown topic alias and no topic',
    bytes: '30 06 00 00 03 23 00 01',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with a subscription identifier',
    bytes: '30 06 00 01 61 02 0b 01',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with payload format 2',
    bytes: '30 06 00 01 61 02 01 02',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with a wildcard in its response topic',
    bytes: '30 08 00 01 61 04 08 00 01 23',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'PUBLISH with a property twice',
    bytes: '30 08 00 01 61 04 01 00 01 00',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'SUBSCRIBE with wrong flags',
    bytes: '80 07 00 01 00 00 01 61 00',
    v5: malformed,
    v3Bytes: '80 06 00 01 00 01 61 00',
  },
  { what: 'SUBSCRIBE without a filter', bytes: '82 03 00 01 00', v5: malformed, v3Bytes: '82 02 00 01' },
  {
    what: 'SUBSCRIBE with packet id 0',
    bytes: '82 07 00 00 00 00 01 61 00',
    v5: malformed,
    v3Bytes: '82 06 00 00 00 01 61 00',
  },
  {
    what: 'SUBSCRIBE with QoS 3',
    bytes: '82 07 00 01 00 00 01 61 03',
    v5: malformed,
    v3Bytes: '82 06 00 01 00 01 61 03',
  },
  {
    what: 'SUBSCRIBE with retain handling 3',
    bytes: '82 07 00 01 00 00 01 61 30',
    v5: malformed,
    v3Bytes: null,
  },
  {
    what: 'SUBSCRIBE with a # in the middle',
    bytes: '82 09 00 01 00 00 03 23 2f 61 00',
    v5: malformed,
    v3Bytes: '82 08 00 01 00 03 23 2f 61 00',
  },
  {
    what: 'SUBSCRIBE with subscription identifier 0',
    bytes: '82 09 00 01 02 0b 00 00 01 61 00',
    v5: protocolError,
    v3Bytes: null,
  },
  {
    what: 'SUBSCRIBE to a shared group without a filter',
    bytes: subscribeTo('$share/g'),
    v5: protocolError,
    v3Bytes: null,
  },
  { what: 'UNSUBSCRIBE without a filter', bytes: 'a2 03 00 01 00', v5: malformed, v3Bytes: 'a2 02 00 01' },
  { what: 'PUBREL with wrong flags', bytes: '60 02 00 01', v5: malformed },
  { what: 'a reserved packet type', bytes: '00 00', v5: protocolError },
  { what: 'CONNACK from a client', bytes: '20 03 00 00 00', v5: protocolError, v3Bytes: '20 02 00 00' },
  { what: 'SUBACK from a client', bytes: '90 04 00 01 00 00', v5: protocolError },
  { what: 'PINGRESP from a client', bytes: 'd0 00', v5: protocolError },
  { what: 'AUTH without a method', bytes: 'f0 00', v5: protocolError },
  { what: 'a second CONNECT', bytes: connect5('x'), v5: closed, v3Bytes: connect4('x') },
  { what: 'PINGREQ with a payload', bytes: 'c0 01 00', v5: closed },
  { what: 'a remaining length of five bytes', bytes: '30 ff ff ff ff 01', v5: closed },
  { what: 'a packet larger than max_packet_size', bytes: publishTo('a', 3000), v5: packetTooLarge },
];

withBrokers(
  'a protocol fault ends its own connection only',
  async (t, broker) => {
    const bystander = await RawClient.connect(t, broker, 5);
    for (const { what, bytes, v5, v3Bytes = bytes } of faults) {
      await t.test(`${what}, MQTT 5.0`, (s) => expectAnswer(s, broker, 5, bytes, v5));
      if (v3Bytes !== null)
        await t.test(`${what}, MQTT 3.1.1`, (s) => expectAnswer(s, broker, 4, v3Bytes, closed));
    }
    await bystander.expectSilence();
  },
  { config: 'max_packet_size 2000', skip: differs },
);

async function expectAnswer(
  t: TestContext,
  broker: Broker,
  version: 4 | 5,
  bytes: string | Uint8Array,
  answer: number | typeof closed,
): Promise<void> {
  const client = await RawClient.connect(t, broker, version);
  client.send(bytes);
  if (answer !== closed) {
    const { reasonCode } = await client.expectPacket('disconnect');
    assert.equal(reasonCode, answer, `0x${answer.toString(16)} wanted, 0x${reasonCode.toString(16)} came`);
  }
  await client.expectClosed();
}

/** CONNECTs as hexadecimal bytes, and the bytes of the answer before the connection closes. */
const refusals: readonly [what: string, connect: string, answer: string][] = [
  ['an unknown version', `10 0d 00 04 4d515454 06 02 0000 0001 78`, '20 03 00 84 00'],
  ['MQIsdp with the version of MQTT', '10 0f 00 06 4d5149736470 04 02 0000 0001 78', '20 02 00 01'],
  ['another protocol', '10 0d 00 04 4d515458 04 02 0000 0001 78', ''],
  ['reserved flag set, 3.1.1', '10 0d 00 04 4d515454 04 03 0000 0001 78', ''],
  ['empty client id and a session, 3.1.1', '10 0c 00 04 4d515454 04 00 0000 0000', '20 02 00 02'],
  ['empty client id, 3.1', '10 0e 00 06 4d5149736470 03 02 0000 0000', '20 02 00 02'],
  ['password without user name, 3.1.1', '10 10 00 04 4d515454 04 42 0000 0001 78 0001 70', ''],
  ['will of QoS 3, 3.1.1', '10 13 00 04 4d515454 04 1e 0000 0001 78 0001 77 0001 79', ''],
  ['will with a wildcard, 3.1.1', '10 13 00 04 4d515454 04 06 0000 0001 78 0001 23 0001 79', ''],
  ['extra bytes, 3.1.1', '10 0e 00 04 4d515454 04 02 0000 0001 78 00', ''],
  ['extra bytes, 5.0', '10 0f 00 04 4d515454 05 02 0000 00 0001 78 00', '20 03 00 81 00'],
  ['receive maximum 0', '10 11 00 04 4d515454 05 02 0000 03 210000 0001 78', '20 03 00 82 00'],
  ['unknown authentication method', '10 12 00 04 4d515454 05 02 0000 04 15000141 0001 78', '20 03 00 8c 00'],
  ['a packet before CONNECT', 'c0 00', ''],
  ['no MQTT at all', '474554202f20485454502f312e310d0a0d0a', ''],
];

withBrokers('a faulty CONNECT is refused', refuseAll, { skip: differs });

async function refuseAll(t: TestContext, broker: Broker): Promise<void> {
  for (const [what, connect, answer] of refusals) {
    const bytes = Buffer.from(connect.replaceAll(' ', ''), 'hex');
    await t.test(what, async (s) => {
      assert.equal(await answerUntilClosed(s, broker, bytes), answer.replaceAll(' ', ''));
    });
  }
}

/** Sends bytes on a new connection. @returns what comes back until the broker closes it, in hexadecimal digits. */
function answerUntilClosed(t: TestContext, broker: Broker, bytes: Uint8Array): Promise<string> {
  const socket = connectTcp(broker.port, '127.0.0.1', () => socket.write(bytes));
  afterTest(t, () => socket.destroy());
  const received: Buffer[] = [];
  const answer = () => Buffer.concat(received).toString('hex');
  const closing = new Promise<string>((resolve) => {
    socket.on('data', (chunk) => received.push(chunk));
    socket.on('error', () => {}); // A reset is an end, too.
    socket.on('close', () => resolve(answer()));
  });
  return within(
    10_000,
    closing,
    () => `waiting for the end of the connection; ${answer() || 'nothing'} came`,
  );
}

function publishTo(topic: string, payloadBytes = 0): Uint8Array {
  const body = Buffer.concat([uint16(topic.length), Buffer.from(topic), Buffer.alloc(payloadBytes + 1)]);
  return Buffer.concat([Buffer.of(0x30, (body.length & 0x7f) | 0x80, body.length >> 7), body]);
}

function subscribeTo(filter: string): Uint8Array {
  const body = Buffer.concat([Buffer.of(0, 1, 0), uint16(filter.length), Buffer.from(filter), Buffer.of(0)]);
  return Buffer.concat([Buffer.of(0x82, body.length), body]);
}

function uint16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

function connect5(clientId: string): Uint8Array {
  return connectOf(5, Buffer.concat([Buffer.of(0), uint16(clientId.length), Buffer.from(clientId)]));
}

function connect4(clientId: string): Uint8Array {
  return connectOf(4, Buffer.concat([uint16(clientId.length), Buffer.from(clientId)]));
}

function connectOf(version: number, rest: Buffer): Uint8Array {
  const body = Buffer.concat([Buffer.from('\0\x04MQTT'), Buffer.of(version, 2, 0, 0), rest]);
  return Buffer.concat([Buffer.of(0x10, body.length), body]);
}

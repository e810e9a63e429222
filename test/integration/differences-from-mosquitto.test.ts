/**
 * Differences that `docs/from-mosquitto.md` tells of, seen on both brokers: the answers here are Midge's and those of
 * Debian's Mosquitto 2.0.11 to the same bytes.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type Broker, isReference, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest } from '../support/cleanup.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { patienceMs, within } from '../support/within.js';

const CONNECT = packetBytes(0x10, "00 04 'MQTT' 05 02 00 3c 00 00 02 'ab'");
const PINGREQ = Buffer.from('c000', 'hex');
const PINGRESP = 'd000';
const CLOSED = 'closed';
const deepTopic = `a${'/a'.repeat(250)}`;
const qos2 = (first: number) => packetBytes(first, "00 01 'a' 00 07 00 'x'");

interface Difference {
  what: string;
  packets: readonly Buffer[];
  /** The answers; `closed` stands for the end of the connection. */
  midge: string;
  mosquitto: string;
}

const differences: readonly Difference[] = [
  {
    what: 'a faulty CONNECT of MQTT 5.0: a will topic with a wildcard',
    packets: [packetBytes(0x10, "00 04 'MQTT' 05 06 00 3c 00 00 02 'ab' 00 00 03 'a/#' 00 01 'x'")],
    midge: '2003009000 closed',
    mosquitto: 'closed',
  },
  {
    what: 'a QoS 2 PUBLISH with the same packet id for the third time',
    packets: [CONNECT, qos2(0x34), qos2(0x3c), qos2(0x3c)],
    midge: '50020007 50020007 50020007',
    mosquitto: '50020007 50020007 e00182 closed',
  },
  {
    what: 'a shared subscription without a share name',
    packets: [CONNECT, packetBytes(0x82, "00 01 00 00 09 '$share//a' 00")],
    midge: '90040001008f',
    mosquitto: '900400010000',
  },
  {
    what: 'a SUBACK larger than the client takes',
    packets: [
      packetBytes(0x10, "00 04 'MQTT' 05 02 00 3c 05 27 00 00 00 14 00 02 'ab'"),
      packetBytes(0x82, `00 01 00 ${"00 01 'a' 00 ".repeat(20)}`),
    ],
    midge: '200e00000b22000a27001e8480210014 e00195 closed',
    mosquitto: `200900000622000a210014 9017000100${'00'.repeat(20)}`,
  },
  {
    what: 'a topic with more than 200 levels',
    packets: [CONNECT, packetBytes(0x32, `01 f5 '${deepTopic}' 00 01 00 'x'`)],
    midge: '4003000190',
    mosquitto: 'e00182 closed',
  },
];

test('Midge', { skip: isReference }, async (t) => {
  const broker = await startBroker(t);
  for (const { what, packets, midge } of differences) {
    assert.equal(await answerTo(t, broker, packets), midge, what);
  }
});

test('Mosquitto', { skip: skipWithout('/usr/sbin/mosquitto') }, async (t) => {
  const broker = await startMosquitto(t);
  for (const { what, packets, mosquitto } of differences) {
    assert.equal(await answerTo(t, broker, packets), mosquitto, what);
  }
});

/**
 * Sends one packet after the other, each when the one before is answered, and then a PINGREQ.
 * @returns the answers in hex, without the CONNACK of `CONNECT` and the PINGRESP
 */
async function answerTo(t: TestContext, broker: Broker, packets: readonly Buffer[]): Promise<string> {
  const socket = connect(broker.port, '127.0.0.1');
  afterTest(t, () => socket.destroy());
  socket.on('error', () => {}); // Mosquitto may reset a connection that it closes.
  const answers: string[] = [];
  for (const packet of [...packets, PINGREQ]) {
    const answered = new Promise<string>((resolve) => {
      socket.once('close', () => resolve(CLOSED));
      socket.once('data', (bytes) => resolve(bytes.toString('hex')));
    });
    socket.write(packet);
    const answer = await within(
      patienceMs,
      answered,
      () => `there are only the answers ${answers.join(' ')}`,
    );
    if (answer !== PINGRESP && (packet !== CONNECT || answer === CLOSED)) answers.push(answer);
    if (answer === CLOSED) break;
  }
  socket.destroy();
  return answers.join(' ');
}

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
import { PLAIN_CONNECTS, SEEN_DIFFERENCES } from '../support/differential/seen-differences.js';
import { endOfPacket } from '../support/differential/sequences.js';
import { patienceMs, within } from '../support/within.js';

const PINGREQ = Buffer.from('c000', 'hex');
const PINGRESP = 'd000';

test('Midge', { skip: isReference }, async (t) => {
  const broker = await startBroker(t);
  for (const { row, what, packets, midge } of SEEN_DIFFERENCES) {
    assert.equal(await answerTo(t, broker, packets), midge, `${row}: ${what}`);
  }
});

test('Mosquitto', { skip: skipWithout('/usr/sbin/mosquitto') }, async (t) => {
  const broker = await startMosquitto(t);
  for (const { row, what, packets, mosquitto } of SEEN_DIFFERENCES) {
    assert.equal(await answerTo(t, broker, packets), mosquitto, `${row}: ${what}`);
  }
});

/**
 * Sends one packet after the other, each with a PINGREQ behind it, when the one before is done with.
 * @returns the answers in hex, without the CONNACK of a plain CONNECT and the PINGRESPs
 */
async function answerTo(t: TestContext, broker: Broker, packets: readonly Buffer[]): Promise<string> {
  const socket = connect(broker.port, '127.0.0.1');
  afterTest(t, () => socket.destroy());
  socket.on('error', () => {}); // Mosquitto may reset a connection that it closes.
  let received = Buffer.alloc(0);
  let isClosed = false;
  let wake = () => {};
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes]);
    wake();
  });
  socket.on('close', () => {
    isClosed = true;
    wake();
  });
  const answers: string[] = [];
  for (const packet of packets) {
    socket.write(Buffer.concat([packet, PINGREQ]));
    const isAnswered = new Promise<void>((resolve) => {
      wake = () => {
        if (isClosed || splitPackets(received).at(-1) === PINGRESP) resolve();
      };
      wake();
    });
    await within(
      patienceMs,
      isAnswered,
      () => `there is only ${answers.join(' ')} ${received.toString('hex')}`,
    );
    const got = splitPackets(received).filter((answer) => answer !== PINGRESP);
    answers.push(...got.slice(PLAIN_CONNECTS.has(packet) ? 1 : 0));
    received = Buffer.alloc(0);
    if (isClosed) return [...answers, 'closed'].join(' ');
  }
  socket.destroy();
  return answers.join(' ');
}

/** The whole packets, in hex. */
function splitPackets(bytes: Buffer): string[] {
  const packets: string[] = [];
  for (let start = 0; ; ) {
    const end = endOfPacket(bytes, start);
    if (typeof end !== 'number' || end > bytes.length) return packets;
    packets.push(bytes.toString('hex', start, end));
    start = end;
  }
}

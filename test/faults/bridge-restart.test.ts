/** The uplink is gone while the broker is killed and started again: what was acknowledged is sent all the same. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { SessionClient } from '../support/clients/session-client.js';
import { FlakyProxy } from '../support/network/flaky-proxy.js';
import { inShortOrLong } from '../support/run-length.js';

const messages = inShortOrLong(30_000, 200_000);
/** Messages that a publisher has under way at once. */
const atOnce = 500;
const payloadBytes = 100;
/** What the process may grow by, with what the system shows it of the store's file. */
const growthMaxKiB = inShortOrLong(60_000, 150_000);

const payload = (number: number): Buffer => Buffer.from(String(number).padEnd(payloadBytes, '.'));
const numberOf = (bytes: Uint8Array): number => Number.parseInt(Buffer.from(bytes).toString(), 10);

/** Publishes the numbers [from, to). */
async function publish(t: TestContext, broker: Broker, from: number, to: number): Promise<void> {
  const client = await SessionClient.connect(t, broker, 4);
  for (let next = from; next < to; next += atOnce) {
    const last = Math.min(next + atOnce, to);
    await Promise.all(
      Array.from({ length: last - next }, (_, i) => client.publish('up', payload(next + i), 1)),
    );
  }
  client.destroy();
}

/** KiB of memory that the process has in use, or has had at most. */
function residentKiB({ pid }: Broker, which: 'VmRSS' | 'VmHWM'): number {
  return Number(
    new RegExp(`^${which}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1],
  );
}

test(`${messages} messages without an uplink, the broker killed twice: all arrive, in order`, async (t) => {
  const far = await startBroker(t, { config: 'max_queued_messages 0' });
  const proxy = await FlakyProxy.open(t, far.port);
  await proxy.close();
  const folder = makeFolder(t);
  const config = [
    'listener {port} 127.0.0.1',
    'allow_anonymous true',
    'max_queued_messages 0',
    'persistence true',
    `persistence_location ${folder}/`,
    'connection up',
    `address 127.0.0.1:${proxy.port}`,
    'restart_timeout 1',
    'remote_clientid gateway',
    'topic up out 1',
  ].join('\n');
  const arrived: number[] = [];
  let isComplete: () => void = () => {};
  const complete = new Promise<void>((resolve) => {
    isComplete = resolve;
  });
  const seen = new Set<number>();
  const client = await SessionClient.connect(t, far, 4, {
    onMessage: ({ payload: bytes }) => {
      const number = numberOf(bytes);
      if (!seen.has(number)) arrived.push(number);
      seen.add(number);
      if (seen.size === messages) isComplete();
    },
  });
  await client.subscribe('up', 1);

  const third = Math.floor(messages / 3);
  let near = await startBroker(t, { config });
  const emptyKiB = residentKiB(near, 'VmRSS');
  await publish(t, near, 0, third);
  await near.kill();
  near = await startBroker(t, { config });
  await publish(t, near, third, 2 * third);
  await near.kill();
  near = await startBroker(t, { config });
  await publish(t, near, 2 * third, messages);
  const fullKiB = residentKiB(near, 'VmRSS');
  await proxy.restore();
  await complete;
  assert.deepEqual(
    arrived,
    Array.from({ length: messages }, (_, number) => number),
  );
  const peakKiB = residentKiB(near, 'VmHWM');
  t.diagnostic(`resident: ${emptyKiB} KiB empty, ${fullKiB} KiB with all stored, ${peakKiB} KiB at most`);
  assert.ok(peakKiB - emptyKiB < growthMaxKiB, `the backlog takes ${peakKiB - emptyKiB} KiB of memory`);
});

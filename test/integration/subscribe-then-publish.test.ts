/**
 * The promise of a SUBACK: what is published afterwards, on whatever connection and worker, is delivered. Hammered
 * by subscribers that subscribe and unsubscribe the same few filters again and again.
 */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Qos } from '../../src/mqtt/packets.js';
import { type Broker, withBrokers } from '../support/brokers/broker.js';
import { SessionClient } from '../support/clients/session-client.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong } from '../support/run-length.js';
import { patienceMs, within } from '../support/within.js';

const roundsOfChain = inShortOrLong(200, 5000);
const chains = 6;
const publisherCount = 6;
/** A chain lets a new connection publish at every so manieth round. */
const freshPublisherEvery = 25;

withBrokers('a message published after the SUBACK is delivered', async (t, broker) => {
  const seed = seedOfRun();
  t.diagnostic(`seed ${seed}`);
  const publishers = await Promise.all(
    Array.from({ length: publisherCount }, () => SessionClient.connect(t, broker, 4)),
  );
  await Promise.all(
    Array.from({ length: chains }, (_, chain) =>
      runChain(t, broker, { chain, publishers, random: new Random(seed + chain) }),
    ),
  );
});

interface Chain {
  chain: number;
  publishers: readonly SessionClient[];
  random: Random;
}

/** Subscribe, publish elsewhere, receive, unsubscribe, again and again. */
async function runChain(t: TestContext, broker: Broker, { chain, publishers, random }: Chain): Promise<void> {
  const inbox = new Inbox();
  const subscriber = await SessionClient.connect(t, broker, 4, {
    onMessage: ({ payload }) => inbox.add(Buffer.from(payload).toString()),
  });
  for (let round = 1; round <= roundsOfChain; round += 1) {
    const [filter, topic] = random.pick(filters);
    const qos = random.pick<Qos>([0, 1, 2]);
    const text = `${chain}-${round}`;
    const fresh = round % freshPublisherEvery === 0;
    const publisher = fresh ? await SessionClient.connect(t, broker, 4) : random.pick(publishers);

    await subscriber.subscribe(filter, qos);
    const published = publisher.publish(topic, Buffer.from(text), random.pick<Qos>([0, 1, 2]));
    await inbox.waitFor(text, `round ${round}, filter ${filter}`);
    await published;
    await subscriber.unsubscribe(filter);
    assert.equal(inbox.countOf(text), 1);
    inbox.clear();
    if (fresh) publisher.destroy();
  }
}

/** The same for all chains, so that a worker's last subscriber of a filter goes while another one's first comes. */
const filters: readonly [filter: string, topic: string][] = [
  ['race/one', 'race/one'],
  ['race/two', 'race/two'],
  ['race/+/level', 'race/three/level'],
  ['race/deep/#', 'race/deep/and/deeper'],
  ['race/deep/and/+', 'race/deep/and/deeper'],
];

/** Messages received by one subscriber. */
class Inbox {
  #texts: string[] = [];
  #wake: () => void = () => {};

  add(text: string): void {
    this.#texts.push(text);
    this.#wake();
  }

  clear(): void {
    this.#texts = [];
  }

  countOf(text: string): number {
    return this.#texts.filter((other) => other === text).length;
  }

  waitFor(text: string, where: string): Promise<void> {
    const arrived = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (this.countOf(text) > 0) resolve();
      };
      this.#wake();
    });
    return within(patienceMs, arrived, () => `the message was not delivered: ${where}`);
  }
}

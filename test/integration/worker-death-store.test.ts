/**
 * A worker thread dies under traffic: what the others acknowledge meanwhile for the sessions it keeps reaches them
 * later, and what is sent with QoS 2 reaches them once.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Broker } from '../support/brokers/broker.js';
import { type FallibleBroker, startFallible } from '../support/brokers/fallible-broker.js';
import type { DurableClient } from '../support/clients/durable-client.js';
import { NumberPublisher, NumberSubscriber, NumberTally, range } from '../support/clients/numbers.js';
import { patienceMs, within } from '../support/within.js';

const workers = 3;
const publisherCount = 9;
const subscriberCount = 9;
/** Messages acknowledged between one fall and the next. */
const betweenFalls = 500;

const config = `persistence true
persistence_location {folder}/
max_inflight_messages 0
max_queued_messages 0`;

/** Publishers whose connections are renewed when they are lost, and subscribers that are away. */
class Traffic {
  readonly publishers: NumberPublisher[];
  readonly subscribers: NumberSubscriber[];
  readonly #t: TestContext;
  readonly #broker: Broker;
  #acknowledged = 0;
  #goal = Number.POSITIVE_INFINITY;
  #reached: () => void = () => {};
  #isOver = false;
  #runs: Promise<unknown> = Promise.resolve();

  /** @param tally of all subscribers together; none: each has its own */
  constructor(t: TestContext, broker: Broker, tally?: NumberTally) {
    this.#t = t;
    this.#broker = broker;
    this.subscribers = range(subscriberCount).map((index) => new NumberSubscriber(index, tally));
    this.publishers = range(publisherCount).map(
      (index) =>
        new NumberPublisher(index, () => {
          this.#acknowledged += 1;
          if (this.#acknowledged >= this.#goal) this.#reached();
        }),
    );
  }

  /** @param filters by QoS, what each subscriber wants */
  async begin(filters: Readonly<Record<1 | 2, string>>): Promise<void> {
    for (const { client } of this.subscribers) {
      await client.connect(this.#t, this.#broker);
      await client.subscribe(filters[1], 1);
      await client.subscribe(filters[2], 2);
      await client.disconnect();
    }
    for (const { client } of this.publishers) await client.connect(this.#t, this.#broker);
    this.#runs = Promise.all(this.publishers.map((publisher) => publisher.run(() => this.#isOver)));
    for (const { client } of this.publishers) void this.#keepConnected(client);
  }

  async #keepConnected(client: DurableClient): Promise<void> {
    while (!this.#t.signal.aborted) {
      await client.lost;
      if (this.#isOver && client.pending === 0) return;
      await client.connect(this.#t, this.#broker).catch(() => {}); // its worker fell, too
    }
  }

  /** Resolves when so many more are acknowledged. */
  more(count: number): Promise<void> {
    this.#goal = this.#acknowledged + count;
    const reached = new Promise<void>((resolve) => {
      this.#reached = resolve;
    });
    return within(patienceMs, reached, () => `${this.#acknowledged} acknowledged of ${this.#goal}`);
  }

  /** Everything that was published is acknowledged, and everybody is here. */
  async end(): Promise<void> {
    this.#isOver = true;
    const pending = () => this.publishers.map(({ client }) => client.pending).join(', ');
    await within(patienceMs, this.#runs, () => `waiting for acknowledgements: ${pending()}`);
    for (const { client } of this.publishers) await client.disconnect();
    for (const { client } of this.subscribers) {
      assert.ok(await client.connect(this.#t, this.#broker), `the session of ${client.clientId} is lost`);
    }
  }
}

async function fallUnderTraffic({ fallOne }: FallibleBroker, traffic: Traffic): Promise<void> {
  await traffic.more(betweenFalls);
  await fallOne();
  await traffic.more(betweenFalls);
  await fallOne(1);
  await traffic.more(betweenFalls);
}

test('what is acknowledged while a worker is replaced is there for the sessions that it keeps', async (t) => {
  const fallible = await startFallible(t, workers, { config });
  const traffic = new Traffic(t, fallible.broker);
  await traffic.begin({ 1: 'qos1/+', 2: 'qos2/+' });
  await fallUnderTraffic(fallible, traffic);
  await traffic.end();
  for (const { tally } of traffic.subscribers) {
    await tally.waitForAll(traffic.publishers);
    tally.expectOnce(traffic.publishers);
  }
});

test('a message for a shared group whose members live there waits for them', async (t) => {
  const fallible = await startFallible(t, workers, { config });
  const tally = new NumberTally();
  const traffic = new Traffic(t, fallible.broker, tally);
  await traffic.begin({ 1: '$share/group/qos1/+', 2: '$share/group/qos2/+' });
  await fallUnderTraffic(fallible, traffic);
  await traffic.end();
  await tally.waitForAll(traffic.publishers);
  tally.expectOnce(traffic.publishers);
});

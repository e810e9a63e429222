/**
 * The whole broker under traffic, killed at random moments, also while it saves and in the first second of its life:
 * what it acknowledged is there afterwards, and no QoS 2 message comes twice. PUBCOMP is the end of a QoS 2 exchange.
 * Sessions are spread over three workers, and differently after each start.
 */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { DurableClient } from '../support/clients/durable-client.js';
import { NumberPublisher, NumberSubscriber, range } from '../support/clients/numbers.js';
import { RawClient } from '../support/clients/raw-client.js';
import { Random, seedOfRun } from '../support/random.js';
import { inEachLength } from '../support/run-length.js';
import { patienceMs, within } from '../support/within.js';

const rounds = inEachLength(5, 20, 300);
const publisherCount = 4;
const subscriberCount = 4;
/** Topics that are set and cleared, filters that are subscribed to and left. */
const switchCount = 12;
/** Messages that are acknowledged before a kill, at most. */
const acknowledgedMax = 400;
/** In one round of so many the kill falls into a save; in as many another one, into the start that follows. */
const roundsForOne = 4;
/** Milliseconds after a save was asked for, and after a start, within which a kill comes. */
const saveMs = 40;
const startMs = 1000;

/** Subscribes to filters and leaves them, sets retained messages and clears them, one at a time. */
class Changer {
  readonly client: DurableClient;
  readonly #random: Random;
  /** As acknowledged, by the number of the filter or topic. */
  readonly #subscribed = Array.from({ length: switchCount }, () => false);
  readonly #retained = Array.from({ length: switchCount }, () => '');
  #number = 0;
  #heard: boolean[] = [];
  #onEnd: () => void = () => {};

  constructor(random: Random) {
    this.#random = random;
    this.client = new DurableClient('changer', ({ topic }) => {
      if (topic === 'switch/end') this.#onEnd();
      else this.#heard[Number(topic.split('/')[1])] = true;
    });
  }

  async run(isOver: () => boolean): Promise<void> {
    const lane = async (change: () => Promise<void>) => {
      while (!isOver()) await change();
    };
    await Promise.all([lane(() => this.#changeSubscription()), lane(() => this.#changeRetained())]);
  }

  async #changeSubscription(): Promise<void> {
    const index = this.#random.below(switchCount);
    const subscribes = this.#random.below(2) === 0;
    if (subscribes) await this.client.subscribe(`switch/${index}`, 1);
    else await this.client.unsubscribe(`switch/${index}`);
    this.#subscribed[index] = subscribes;
  }

  async #changeRetained(): Promise<void> {
    const index = this.#random.below(switchCount);
    this.#number += 1;
    const payload = this.#random.below(3) === 0 ? '' : String(this.#number);
    await this.client.publish(`retained/${index}`, payload, { retain: true });
    this.#retained[index] = payload;
  }

  /** Compares what the broker has with what it acknowledged. Not while it runs. */
  async check(t: TestContext, broker: Broker): Promise<void> {
    const prober = await RawClient.connect(t, broker, 4);
    assert.deepEqual(await this.#probeSubscriptions(prober), this.#subscribed, 'subscriptions');
    await prober.subscribe('retained/+', 1);
    assert.deepEqual(await this.#readRetained(prober), this.#retained, 'retained messages');
    await prober.disconnect();
  }

  async #probeSubscriptions(prober: RawClient): Promise<boolean[]> {
    this.#heard = Array.from({ length: switchCount }, () => false);
    const end = new Promise<void>((resolve) => {
      this.#onEnd = resolve;
    });
    for (const index of this.#heard.keys()) await prober.publish(`switch/${index}`, '');
    await prober.publish('switch/end', '');
    await within(patienceMs, end, () => 'the changer waits for the end of the probe');
    return this.#heard;
  }

  async #readRetained(prober: RawClient): Promise<string[]> {
    const found = Array.from({ length: switchCount }, () => '');
    prober.sendPublish('retained/end', '');
    for (;;) {
      const { topic, payload, qos, packetId } = await prober.expectPacket('publish');
      if (qos === 1) prober.sendAck('puback', packetId);
      if (topic === 'retained/end') return found;
      found[Number(topic.split('/')[1])] = Buffer.from(payload).toString();
    }
  }
}

/** A broker, its clients, and what they have done with it. */
class Trial {
  readonly #t: TestContext;
  readonly #config: string;
  readonly #random: Random;
  readonly #publishers: NumberPublisher[];
  readonly #subscribers: NumberSubscriber[];
  readonly #changer: Changer;
  #broker: Broker | undefined;
  #acknowledged = 0;
  #duringSaves = 0;
  #duringStarts = 0;
  #killAt = Number.POSITIVE_INFINITY;
  #kill: () => void = () => {};
  /** What is not acknowledged when the broker is killed ends on the next one. */
  #unfinished: Promise<unknown> = Promise.resolve();

  constructor(t: TestContext, config: string, random: Random) {
    this.#t = t;
    this.#config = config;
    this.#random = random;
    const onAcknowledged = () => {
      this.#acknowledged += 1;
      if (this.#acknowledged >= this.#killAt) this.#kill();
    };
    this.#publishers = range(publisherCount).map((index) => new NumberPublisher(index, onAcknowledged));
    this.#subscribers = range(subscriberCount).map((index) => new NumberSubscriber(index));
    this.#changer = new Changer(random);
  }

  /** Begins with everybody subscribed. */
  async begin(): Promise<void> {
    this.#broker = await startBroker(this.#t, { workers: 3, config: this.#config });
    for (const client of this.#clients) await client.connect(this.#t, this.#broker);
    for (const { client } of this.#subscribers) {
      await client.subscribe('qos1/+', 1);
      await client.subscribe('qos2/+', 2);
    }
    await this.#changer.client.subscribe('switch/end', 1);
  }

  /** Traffic, and a kill in the midst of it. Then all goes on with a new broker. */
  async round(): Promise<void> {
    let over = false;
    const killed = new Promise<void>((resolve) => {
      this.#kill = resolve;
    });
    this.#killAt = this.#acknowledged + this.#random.below(acknowledgedMax);
    const runners = [...this.#publishers, this.#changer];
    this.#unfinished = Promise.all(runners.map((runner) => runner.run(() => over)));
    await within(patienceMs, killed, () => `waiting for message ${this.#killAt}; ${this.#acknowledged} came`);
    if (this.#random.below(roundsForOne) === 0) {
      this.#broker!.program.signal('SIGUSR1');
      await delay(this.#random.below(saveMs));
      this.#duringSaves += 1;
    }
    over = true;
    await this.#broker!.kill();
    for (const client of this.#clients) await client.ended;
    if (this.#random.below(roundsForOne) === 0) {
      await this.#broker!.startAndKill(this.#t, this.#random.below(startMs));
      this.#duringStarts += 1;
    }
    await this.#goOn(() => this.#random.below(3) > 0);
  }

  /** @param comesBack whether a subscriber does; the others stay away for this round */
  async #goOn(comesBack: () => boolean): Promise<void> {
    this.#broker = await this.#broker!.startAgain(this.#t);
    const subscribers = this.#subscribers.filter(comesBack);
    for (const { client } of [...this.#publishers, this.#changer, ...subscribers]) await this.#resume(client);
    await this.#finish();
    await this.#changer.check(this.#t, this.#broker);
  }

  /** What was under way when the broker was killed is acknowledged now. */
  async #finish(): Promise<void> {
    const pending = () => this.#clients.map(({ clientId, pending }) => `${clientId} ${pending}`).join(', ');
    await within(patienceMs, this.#unfinished, () => `waiting for acknowledgements: ${pending()}`);
  }

  async #resume(client: DurableClient): Promise<void> {
    assert.ok(await client.connect(this.#t, this.#broker!), `the session of ${client.clientId} is lost`);
  }

  /** Everybody comes back, and everything has arrived. */
  async end(): Promise<void> {
    for (const { client } of this.#subscribers) {
      await client.disconnect();
      await this.#resume(client);
    }
    for (const { tally } of this.#subscribers) {
      await tally.waitForAll(this.#publishers);
      tally.expectOnce(this.#publishers);
    }
    const published = this.#publishers.reduce((sum, publisher) => sum + publisher.published, 0);
    this.#t.diagnostic(
      `${published} messages to ${subscriberCount} subscribers; ${this.#duringSaves} kills just after a save was asked ` +
        `for, ${this.#duringStarts} more in the first second`,
    );
  }

  get #clients(): DurableClient[] {
    return [...this.#publishers, ...this.#subscribers, this.#changer].map(({ client }) => client);
  }
}

const modes = { autosave: '', durable: 'persistence_mode durable' };

describe('kills', { concurrency: 2 }, () => {
  for (const [mode, line] of Object.entries(modes)) {
    const seed = seedOfRun();
    test(`${mode}: nothing acknowledged is lost in ${rounds} kills, seed ${seed}`, async (t) => {
      const limits = 'max_inflight_messages 0\nmax_queued_messages 0';
      const config = `persistence true\npersistence_location {folder}/\n${limits}\n${line}`;
      const trial = new Trial(t, config, new Random(seed));
      await trial.begin();
      for (let round = 0; round < rounds; round += 1) await trial.round();
      await trial.end();
    });
  }
});

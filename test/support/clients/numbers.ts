/**
 * Streams of numbers for tests of what may not get lost: publishers whose messages are numbered without a gap, and
 * subscribers that count what comes.
 */
import assert from 'node:assert/strict';
import type { Qos } from '../../../src/mqtt/packets.js';
import { patienceMs, within } from '../within.js';
import { DurableClient } from './durable-client.js';

/** Messages that a publisher has on their way at once. */
const window = 10;

/** Publishes numbers without a gap, at QoS 1 or 2. */
export class NumberPublisher {
  readonly client: DurableClient;
  readonly qos: Qos;
  published = 0;
  readonly #topic: string;
  readonly #onAcknowledged: () => void;

  constructor(index: number, onAcknowledged: () => void) {
    this.client = new DurableClient(`publisher-${index}`);
    this.qos = index % 2 === 0 ? 1 : 2;
    this.#topic = `qos${this.qos}/${index}`;
    this.#onAcknowledged = onAcknowledged;
  }

  /** Goes on until it is told that it is over. @returns when everything is acknowledged */
  async run(isOver: () => boolean): Promise<void> {
    const lane = async () => {
      while (!isOver()) {
        this.published += 1;
        await this.client.publish(this.#topic, String(this.published), { qos: this.qos });
        this.#onAcknowledged();
      }
    };
    await Promise.all(Array.from({ length: window }, lane));
  }

  get topic(): string {
    return this.#topic;
  }
}

/** Counts what comes, by topic and number. */
export class NumberTally {
  readonly #counts = new Map<string, Map<number, number>>();
  #arrived: () => void = () => {};

  add(topic: string, number: number): void {
    const numbers = this.#numbersOf(topic);
    numbers.set(number, (numbers.get(number) ?? 0) + 1);
    this.#arrived();
  }

  #numbersOf(topic: string): Map<number, number> {
    let numbers = this.#counts.get(topic);
    if (numbers === undefined) {
      numbers = new Map();
      this.#counts.set(topic, numbers);
    }
    return numbers;
  }

  /** @returns when all that was published has come. @throws with what is missing */
  waitForAll(publishers: readonly NumberPublisher[]): Promise<void> {
    const missing = () =>
      publishers.flatMap(({ topic, published }) => {
        const numbers = this.#numbersOf(topic);
        if (numbers.size === published) return [];
        const absent = range(published).filter((number) => !numbers.has(number));
        return [`${absent.length} of ${topic}, the first ${absent[0]}`];
      });
    const complete = new Promise<void>((resolve) => {
      this.#arrived = () => {
        if (publishers.every(({ topic, published }) => this.#numbersOf(topic).size >= published)) resolve();
      };
      this.#arrived();
    });
    return within(patienceMs, complete, () => `missing: ${missing().join('; ')}`);
  }

  /** What came more than once of a topic. */
  doubled(topic: string): number[] {
    return [...this.#numbersOf(topic)].filter(([, count]) => count > 1).map(([number]) => number);
  }

  /** @throws where a message that was sent with QoS 2 came more than once */
  expectOnce(publishers: readonly NumberPublisher[]): void {
    for (const { qos, topic } of publishers) {
      if (qos === 2) assert.deepEqual(this.doubled(topic), [], `came twice of ${topic}`);
    }
  }
}

export class NumberSubscriber {
  readonly client: DurableClient;
  readonly tally: NumberTally;

  /** @param tally its own, unless several are to be counted together */
  constructor(index: number, tally = new NumberTally()) {
    this.tally = tally;
    this.client = new DurableClient(`subscriber-${index}`, ({ topic, payload }) => {
      tally.add(topic, Number(Buffer.from(payload).toString()));
    });
  }
}

export function range(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

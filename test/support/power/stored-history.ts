/**
 * What was asked of a broker, and when it acknowledged it: what a store has to hold that is found after a power cut.
 * An exchange of QoS 2 ends with PUBCOMP.
 */
import type { Store } from '../../../src/store/store.js';
import { text } from '../store/stores.js';

/** Microseconds since the epoch, by this process's clock: it says milliseconds, rounded down. */
export const now = { earliest: () => Date.now() * 1000, latest: () => (Date.now() + 1) * 1000 };

/** What is promised at a power cut: whatever was acknowledged until `floor`, and nothing that was asked for after `cut`. */
export interface Promised {
  floor: number;
  cut: number;
}

interface Step {
  value: string;
  askedAt: number;
  acknowledgedAt: number;
}

/** A thing that has one value after the other. */
export class ValueHistory {
  readonly #steps: Step[] = [{ value: '', askedAt: 0, acknowledgedAt: 0 }];

  /** @param change resolves when it is acknowledged */
  async set(value: string, change: Promise<unknown>): Promise<void> {
    const step = { value, askedAt: now.earliest(), acknowledgedAt: Number.POSITIVE_INFINITY };
    this.#steps.push(step);
    await change;
    step.acknowledgedAt = now.latest();
  }

  /** The values that it may have. */
  allowed({ floor, cut }: Promised): string[] {
    const last = this.#steps.findLastIndex(({ acknowledgedAt }) => acknowledgedAt <= floor);
    return this.#steps
      .slice(last)
      .filter(({ askedAt }) => askedAt <= cut)
      .map(({ value }) => value);
  }
}

/** The numbered messages of a topic, on their way to one session. */
export class MessageHistory {
  readonly qos: 1 | 2;
  readonly #askedAt: number[] = [];
  readonly #acknowledgedAt: number[] = [];
  /** When the receiver had answered, or began to: from then on the message may be gone. */
  readonly #receivedAt: number[] = [];
  /** When the receiver had been asked for PUBCOMP: from then on it must not be sent as a message again. */
  readonly #releasedAt: number[] = [];

  constructor(qos: 1 | 2) {
    this.qos = qos;
  }

  get count(): number {
    return this.#askedAt.length;
  }

  async publish(send: (payload: string) => Promise<unknown>): Promise<void> {
    const number = this.#askedAt.push(now.earliest()) - 1;
    this.#acknowledgedAt[number] = Number.POSITIVE_INFINITY;
    await send(String(number));
    this.#acknowledgedAt[number] = now.latest();
  }

  received(number: number): void {
    this.#receivedAt[number] ??= now.earliest();
  }

  released(number: number): void {
    this.#releasedAt[number] ??= now.latest();
  }

  /**
   * @param numbers of the messages that would be sent, in their order
   * @returns what is wrong with them
   */
  faults(topic: string, numbers: readonly number[], promised: Promised): string[] {
    const { floor, cut } = promised;
    const faults: string[] = [];
    const present = new Set(numbers);
    this.#acknowledgedAt.forEach((at, number) => {
      const isTaken = (this.#receivedAt[number] ?? Number.POSITIVE_INFINITY) <= cut;
      if (at <= floor && !isTaken && !present.has(number)) faults.push(`${topic} ${number} is lost`);
    });
    for (const number of numbers) {
      if (this.#askedAt[number]! > cut || this.#askedAt[number] === undefined)
        faults.push(`${topic} ${number} was not published yet`);
      if ((this.#releasedAt[number] ?? Number.POSITIVE_INFINITY) <= floor)
        faults.push(`${topic} ${number} would come again`);
    }
    if (this.qos === 2 && present.size < numbers.length) faults.push(`${topic} has a message twice`);
    const firsts = numbers.filter((number, at) => numbers.indexOf(number) === at);
    if (firsts.some((number, at) => at > 0 && number < firsts[at - 1]!))
      faults.push(`${topic} is out of order`);
    return faults;
  }
}

export class StoredHistory {
  readonly retained = new Map<string, ValueHistory>();
  /** Of one session, by filter: `yes` or nothing. */
  readonly subscriptions = new Map<string, ValueHistory>();
  /** By session, then by topic. */
  readonly queues = new Map<string, Map<string, MessageHistory>>();
  readonly subscriber: string;

  constructor(subscriber: string) {
    this.subscriber = subscriber;
  }

  valueOf(values: Map<string, ValueHistory>, key: string): ValueHistory {
    let history = values.get(key);
    if (history === undefined) values.set(key, (history = new ValueHistory()));
    return history;
  }

  /** What a store lacks, or has that it must not have. */
  faults(store: Store, promised: Promised): string[] {
    const faults: string[] = [];
    const compare = (what: string, found: string, history: ValueHistory) => {
      const allowed = history.allowed(promised);
      if (!allowed.includes(found))
        faults.push(`${what} is '${found}', not one of '${allowed.join("', '")}'`);
    };
    for (const [topic, history] of this.retained) {
      const found = store.retained.get(topic);
      compare(topic, found === undefined ? '' : text(found.payload()), history);
    }
    const filters = store.sessions.load(this.subscriber)?.subscriptions.map(({ filter }) => filter) ?? [];
    for (const [filter, history] of this.subscriptions)
      compare(filter, filters.includes(filter) ? 'yes' : '', history);
    for (const [clientId, topics] of this.queues)
      faults.push(...queueFaults(store, clientId, topics, promised));
    return faults;
  }
}

function queueFaults(
  store: Store,
  clientId: string,
  topics: ReadonlyMap<string, MessageHistory>,
  promised: Promised,
): string[] {
  const found = new Map([...topics.keys()].map((topic) => [topic, [] as number[]]));
  const loaded = store.sessions.load(clientId);
  if (loaded !== undefined) {
    // What was stored as waiting may have been sent when the broker was killed: it is in both.
    const entries = new Map(
      [...loaded.stored.outgoing.read(0, Number.POSITIVE_INFINITY), ...loaded.outgoing.inFlight].map(
        (entry) => [entry.sequence, entry],
      ),
    );
    for (const { publication, state } of [...entries.values()].sort((a, b) => a.sequence - b.sequence)) {
      // Once it is released nothing is stored of a message but its id.
      if (state === 'awaiting PUBCOMP') continue;
      found.get(publication.topic)?.push(Number(text(publication.payload())));
    }
  }
  return [...topics].flatMap(([topic, history]) => history.faults(topic, found.get(topic)!, promised));
}

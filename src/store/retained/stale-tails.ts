/**
 * The topics that have become new or gone and wait for the second index of retained messages to follow
 * (`retained-tails.ts`): their tails are stale. One record lists all of a transaction, in the table `tailNotes`. Any
 * thread writes and reads these lists.
 */
import { topicMatchesFilter } from '../../topic/topic-filter.js';
import type { Environment } from '../environment.js';
import { MessageIds } from '../keys.js';
import type { LastWriter, WriteBatcher } from '../write-batcher.js';

/** Between the topics of a list; no topic has it. */
const SEPARATOR = '\0';

export class StaleTails implements LastWriter {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  readonly #keys = new MessageIds();
  /** Of the transaction being written. */
  #topics: string[] = [];

  constructor(environment: Environment, batcher: WriteBatcher) {
    this.#environment = environment;
    this.#batcher = batcher;
  }

  /** The topic is new or gone; part of the transaction being written. */
  add(topic: string): void {
    if (this.#topics.length === 0) this.#batcher.atEnd(this);
    this.#topics.push(topic);
  }

  writeLast(): void {
    this.write(this.#topics);
    this.#topics = [];
  }

  /** Stores a list of its own; part of the transaction of this turn. */
  write(topics: readonly string[]): void {
    const list = Buffer.from(topics.join(SEPARATOR));
    this.#environment.put(this.#environment.tables.tailNotes, this.#keys.next(), list);
  }
}

/** The topics with stale tails, or those that match a filter: they may have a message that the index does not know. */
export function staleTopics({ tables }: Environment, filter?: string): Set<string> {
  const found = new Set<string>();
  for (const { value } of tables.tailNotes.getRange({})) {
    for (const topic of topicsOf(value)) {
      if (filter === undefined || topicMatchesFilter(topic, filter)) found.add(topic);
    }
  }
  return found;
}

export function topicsOf(list: Uint8Array): string[] {
  return Buffer.from(list.buffer, list.byteOffset, list.length).toString().split(SEPARATOR);
}

/** What a `StoreWriter` told, and whether a store holds exactly that. */
import assert from 'node:assert/strict';
import type { Store } from '../../../src/store/store.js';
import { isRemovedLater, type WriterNews } from './store-writer.js';
import { text } from './stores.js';

export class WrittenNumbers {
  readonly #name: string;
  readonly #kept = new Set<number>();
  readonly #removed = new Set<number>();

  constructor(name: string) {
    this.#name = name;
  }

  get count(): number {
    return this.#kept.size;
  }

  note(news: WriterNews): void {
    if (news.kind === 'kept') this.#kept.add(news.number);
    if (news.kind === 'removed') this.#removed.add(news.number);
  }

  /** Everything acknowledged is there, nothing is there that was removed, and the queue is in its order. */
  check(store: Store): void {
    const loaded = store.sessions.load(this.#name);
    assert.ok(loaded, `session ${this.#name}`);
    const queued = loaded.stored.outgoing.read(0, Number.POSITIVE_INFINITY);
    const numbers = queued.map((entry) => Number(text(entry.message.payload)));
    assert.deepEqual(
      numbers,
      numbers.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(numbers).size, numbers.length);
    const present = new Set(numbers);
    for (const number of this.#kept) {
      const topic = `numbers/${this.#name}/${number}`;
      assert.equal(Number(text(store.retained.get(topic)!.payload())), number, topic);
      if (!isRemovedLater(number)) assert.ok(present.has(number), `queued ${number}`);
      if (this.#removed.has(number)) assert.ok(!present.has(number), `removed ${number}`);
    }
  }
}

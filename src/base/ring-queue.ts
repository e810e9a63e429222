/**
 * A first-in first-out queue over a ring of slots: push and shift cost the same however long it is, and a queue
 * that emptied gives its memory back. One that was never used has no slots yet: each client has several.
 *
 *        head          tail = head + length (mod capacity)
 *   [ . . A B C . . . ]        capacity is a power of two, so that "mod" is a mask
 */
const MIN_CAPACITY = 8;

/** Shared: it is never written to. */
const NO_SLOTS: undefined[] = [];

export class RingQueue<T> {
  #slots: (T | undefined)[] = NO_SLOTS;
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(item: T): void {
    if (this.#length === this.#slots.length) this.#resize(Math.max(MIN_CAPACITY, this.#slots.length * 2));
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = item;
    this.#length += 1;
  }

  peek(): T | undefined {
    return this.#length === 0 ? undefined : this.#slots[this.#head];
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length -= 1;
    if (this.#length === 0 && this.#slots.length > MIN_CAPACITY) this.clear();
    return item;
  }

  clear(): void {
    this.#slots = NO_SLOTS;
    this.#head = 0;
    this.#length = 0;
  }

  *[Symbol.iterator](): Generator<T> {
    for (let i = 0; i < this.#length; i += 1) {
      yield this.#slots[(this.#head + i) & (this.#slots.length - 1)] as T;
    }
  }

  /** Keeps the items for which `keep` is true, in order. */
  filter(keep: (item: T) => boolean): void {
    const kept = [...this].filter(keep);
    this.clear();
    for (const item of kept) this.push(item);
  }

  #resize(capacity: number): void {
    const slots: (T | undefined)[] = new Array(capacity);
    for (let i = 0; i < this.#length; i += 1) {
      slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
    }
    this.#slots = slots;
    this.#head = 0;
  }
}

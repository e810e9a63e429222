/**
 * An unordered set of items that are added and removed all the time, such as connections. Unlike a `Set` it uses slots
 * again (`number-map.ts` says why). Each item knows its slot, so that it is removed without a search.
 */

export interface HasSlot {
  /** Written by the list only; −1 if the item is in none. */
  slot: number;
}

export class SlotList<T extends HasSlot> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.slot = this.#items.length;
    this.#items.push(item);
  }

  /** Does nothing if the item is not in the list. */
  delete(item: T): void {
    const { slot } = item;
    if (slot < 0) return;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[slot] = last;
      last.slot = slot;
    }
    item.slot = -1;
  }

  /** Iterates over the items of this moment; adding or removing items meanwhile changes nothing. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items].values();
  }
}

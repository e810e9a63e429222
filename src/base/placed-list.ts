/**
 * An unordered set of items that are added and removed all the time, such as connections. Unlike a `Set` it uses slots
 * again (`number-map.ts` says why). Each item knows its slot, so that it is removed without a search.
 */
export interface Placed {
  /** Written by the list only; −1 if the item is in none. */
  place: number;
}

export class PlacedList<T extends Placed> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  add(item: T): void {
    item.place = this.#items.length;
    this.#items.push(item);
  }

  /** One that is not there does no harm. */
  delete(item: T): void {
    const { place } = item;
    if (place < 0) return;
    const last = this.#items.pop()!;
    if (last !== item) {
      this.#items[place] = last;
      last.place = place;
    }
    item.place = -1;
  }

  /** Those that are there now: what comes and goes meanwhile changes nothing. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#items].values();
  }
}

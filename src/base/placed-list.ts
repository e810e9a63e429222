/**
 * Things in no order that come and go, such as connections: like a `Set`, but one whose places are used again
 * (`number-map.ts` says why). Each thing knows its place, so that it is removed without a search.
 */
export interface Placed {
  /** The list's own; −1 if it is in none. */
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

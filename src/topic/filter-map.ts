/**
 * Values by filter, of filters that come and go.
 *
 * A `Map` leaves the place of a deleted key in its chain until the whole table is built anew, and whoever looks for that
 * key passes all its earlier places. With 10,000 filters beside it, one that is subscribed to and unsubscribed from
 * again and again took 5 µs each time, with more filters more. So the key of a removed filter stays, without a value,
 * and is used again; once there are many of them they are deleted together.
 */

/** Keys without a value at the most, and for so many with a value one without. */
const FREE_MIN = 64;
const USED_FOR_ONE_FREE = 4;

export class FilterMap<T> {
  /** `null`: the key is free. */
  readonly #values = new Map<string, T | null>();
  #free = 0;

  get size(): number {
    return this.#values.size - this.#free;
  }

  get(filter: string): T | undefined {
    return this.#values.get(filter) ?? undefined;
  }

  set(filter: string, value: T): void {
    if (this.#free > 0 && this.#values.get(filter) === null) this.#free -= 1;
    this.#values.set(filter, value);
  }

  delete(filter: string): boolean {
    if (this.get(filter) === undefined) return false;
    this.#values.set(filter, null);
    this.#free += 1;
    if (this.#free >= FREE_MIN && this.#free * USED_FOR_ONE_FREE > this.size) this.#deleteFree();
    return true;
  }

  *values(): Generator<T> {
    for (const value of this.#values.values()) if (value !== null) yield value;
  }

  #deleteFree(): void {
    for (const [filter, value] of this.#values) if (value === null) this.#values.delete(filter);
    this.#free = 0;
  }
}

/**
 * Values by names, for what comes and goes, such as the sessions of clients. A `Map` whose values are numbers only, and
 * the values in places that are used again: `number-map.ts` says why. Lists them in the order in which they came.
 */
export class Registry<T> {
  readonly #places = new Map<string, number>();
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#places.size;
  }

  has(name: string): boolean {
    return this.#places.has(name);
  }

  get(name: string): T | undefined {
    const place = this.#places.get(name);
    return place === undefined ? undefined : this.#values[place];
  }

  set(name: string, value: T): void {
    let place = this.#places.get(name);
    if (place === undefined) {
      place = this.#free.pop() ?? this.#values.length;
      this.#places.set(name, place);
    }
    this.#values[place] = value;
  }

  delete(name: string): boolean {
    const place = this.#places.get(name);
    if (place === undefined) return false;
    this.#places.delete(name);
    this.#values[place] = undefined;
    this.#free.push(place);
    return true;
  }

  *values(): Generator<T> {
    for (const place of this.#places.values()) yield this.#values[place]!;
  }

  *[Symbol.iterator](): Generator<[name: string, value: T]> {
    for (const [name, place] of this.#places) yield [name, this.#values[place]!];
  }
}

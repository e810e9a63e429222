/**
 * A map from names to values that are added and removed all the time, such as sessions by client id. It lists them in
 * the order of their addition. The values lie in slots that are used again, and a `Map` leads from a name to a slot:
 * `number-map.ts` says why.
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

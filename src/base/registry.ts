/**
 * A map from names to values that are added and removed all the time, such as sessions by client id. It lists them in
 * the order of their addition. The values lie in slots that are used again, and a `Map` leads from a name to a slot:
 * `number-map.ts` says why.
 */
export class Registry<T> {
  readonly #slots = new Map<string, number>();
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#slots.size;
  }

  has(name: string): boolean {
    return this.#slots.has(name);
  }

  get(name: string): T | undefined {
    const slot = this.#slots.get(name);
    return slot === undefined ? undefined : this.#values[slot];
  }

  set(name: string, value: T): void {
    let slot = this.#slots.get(name);
    if (slot === undefined) {
      slot = this.#free.pop() ?? this.#values.length;
      this.#slots.set(name, slot);
    }
    this.#values[slot] = value;
  }

  delete(name: string): boolean {
    const slot = this.#slots.get(name);
    if (slot === undefined) return false;
    this.#slots.delete(name);
    this.#values[slot] = undefined;
    this.#free.push(slot);
    return true;
  }

  *values(): Generator<T> {
    for (const slot of this.#slots.values()) yield this.#values[slot]!;
  }

  *[Symbol.iterator](): Generator<[name: string, value: T]> {
    for (const [name, slot] of this.#slots) yield [name, this.#values[slot]!];
  }
}

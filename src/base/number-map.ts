/**
 * A map from whole numbers to values that are added and removed all the time, such as messages in flight by packet
 * identifier. Listing all values is slower than with a `Map`.
 *
 * A `Map` does not use the slots of removed keys again: when its table is full it makes a new one, and V8's old table
 * points to the new. Once a full garbage collection has promoted one table to the old generation, each later table,
 * with all values that were ever in it, survives the young collections. With 100 messages in flight every message
 * survived, and a collection took ten times as long. This map uses slots again.
 *
 * The number itself is the hash, because such numbers mostly count up: then each key is in its own slot. A key whose
 * slot belongs to another key is in a `Map` beside the table. So a client cannot choose packet identifiers that make a
 * search longer than two steps.
 */
const CAPACITY_MIN = 8;

/** A table up to this size stays when it is empty; a larger one is freed, because many clients have one. */
const REUSED_CAPACITY_MAX = 256;

const FREE = -1;

/** Shared: it is never written to. */
const NO_NUMBERS: number[] = [];

interface Displaced<T> {
  value: T;
  serial: number;
}

export class NumberMap<T> {
  /** A power of two of slots. */
  #keys = NO_NUMBERS;
  #values: (T | undefined)[] = [];
  /** The order in which the keys came. */
  #serials: number[] = NO_NUMBERS;
  /** Keys whose slot belonged to another key when they came; `null` = none. */
  #displaced: Map<number, Displaced<T>> | null = null;
  #lastSerial = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(key: number): boolean {
    if (this.#size === 0) return false;
    if (this.#keys[key & (this.#keys.length - 1)] === key) return true;
    return this.#displaced?.has(key) === true;
  }

  get(key: number): T | undefined {
    if (this.#size === 0) return undefined;
    const slot = key & (this.#keys.length - 1);
    if (this.#keys[slot] === key) return this.#values[slot];
    return this.#displaced === null ? undefined : this.#displaced.get(key)?.value;
  }

  /** A value that replaces another one keeps its place in the order. */
  set(key: number, value: T): void {
    if (this.#size > 0 && this.#replace(key, value)) return;
    if ((this.#size + 1) * 4 > this.#keys.length * 3)
      this.#resize(Math.max(CAPACITY_MIN, this.#keys.length * 2));
    this.#size += 1;
    this.#lastSerial += 1;
    this.#put(key, value, this.#lastSerial);
  }

  delete(key: number): boolean {
    if (this.#size === 0) return false;
    const slot = key & (this.#keys.length - 1);
    if (this.#keys[slot] === key) {
      this.#keys[slot] = FREE;
      this.#values[slot] = undefined;
    } else if (this.#displaced === null || !this.#displaced.delete(key)) {
      return false;
    } else if (this.#displaced.size === 0) {
      this.#displaced = null;
    }
    this.#size -= 1;
    if (this.#size > 0) return true;
    if (this.#keys.length > REUSED_CAPACITY_MAX) this.clear();
    this.#lastSerial = 0;
    return true;
  }

  clear(): void {
    this.#keys = this.#serials = NO_NUMBERS;
    this.#values = [];
    this.#displaced = null;
    this.#lastSerial = 0;
    this.#size = 0;
  }

  /** The numbers in the order in which they came. */
  keys(): number[] {
    const found: { key: number; serial: number }[] = [];
    for (let slot = 0; slot < this.#keys.length; slot += 1) {
      const key = this.#keys[slot]!;
      if (key !== FREE) found.push({ key, serial: this.#serials[slot]! });
    }
    for (const [key, { serial }] of this.#displaced ?? []) found.push({ key, serial });
    found.sort((a, b) => a.serial - b.serial);
    return found.map(({ key }) => key);
  }

  /** In the same order. */
  values(): T[] {
    return this.keys().map((key) => this.get(key)!);
  }

  /** @returns false if the key is not there */
  #replace(key: number, value: T): boolean {
    const slot = key & (this.#keys.length - 1);
    if (this.#keys[slot] === key) {
      this.#values[slot] = value;
      return true;
    }
    const displaced = this.#displaced === null ? undefined : this.#displaced.get(key);
    if (displaced === undefined) return false;
    displaced.value = value;
    return true;
  }

  /** A key that is not there. */
  #put(key: number, value: T, serial: number): void {
    const slot = key & (this.#keys.length - 1);
    if (this.#keys[slot] !== FREE) {
      this.#displaced ??= new Map();
      this.#displaced.set(key, { value, serial });
      return;
    }
    this.#keys[slot] = key;
    this.#values[slot] = value;
    this.#serials[slot] = serial;
  }

  #resize(capacity: number): void {
    const [keys, values, serials, displaced] = [this.#keys, this.#values, this.#serials, this.#displaced];
    this.#keys = new Array<number>(capacity).fill(FREE);
    this.#values = new Array<T | undefined>(capacity).fill(undefined);
    this.#serials = new Array<number>(capacity).fill(0);
    this.#displaced = null;
    for (let from = 0; from < keys.length; from += 1) {
      if (keys[from] !== FREE) this.#put(keys[from]!, values[from]!, serials[from]!);
    }
    for (const [key, { value, serial }] of displaced ?? []) this.#put(key, value, serial);
  }
}

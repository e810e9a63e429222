/**
 * A map from whole numbers to values that are added and removed all the time, such as messages in flight by packet
 * identifier. Listing all values is slower than with a `Map`.
 *
 * A `Map` does not use the slots of removed keys again: when its table is full it makes a new one, and V8's old table
 * points to the new. Once a full garbage collection has promoted one table to the old generation, each later table,
 * with all values that were ever in it, survives the young collections. With 100 messages in flight every message
 * survived, and a collection took ten times as long. This map uses slots again.
 *
 * The table has open addressing and linear probing. The number itself is the hash, because such numbers mostly count
 * up: then each key is in its own slot. A client may choose packet identifiers that collide, but only few: in a table
 * of n slots no more than 65,536 / n of them share one.
 */
const CAPACITY_MIN = 8;

/** A table up to this size stays when it is empty; a larger one is freed, because many clients have one. */
const REUSED_CAPACITY_MAX = 256;

const FREE = -1;

/** Instead of a slot. */
const NOWHERE = -1;

/** Shared: it is never written to. */
const NO_NUMBERS: number[] = [];

export class NumberMap<T> {
  /** Its length, the number of slots, is a power of two. */
  #keys = NO_NUMBERS;
  #values: (T | undefined)[] = [];
  /** Grow with each addition, for `values` in that order. */
  #serials: number[] = NO_NUMBERS;
  #lastSerial = 0;
  #size = 0;
  /** The largest distance of a key from its own slot. */
  #reach = 0;

  get size(): number {
    return this.#size;
  }

  has(key: number): boolean {
    return this.#find(key) !== NOWHERE;
  }

  get(key: number): T | undefined {
    const place = this.#find(key);
    return place === NOWHERE ? undefined : this.#values[place];
  }

  /** A value that replaces another one keeps its place in the order. */
  set(key: number, value: T): void {
    const place = this.#find(key);
    if (place !== NOWHERE) {
      this.#values[place] = value;
      return;
    }
    if ((this.#size + 1) * 4 > this.#keys.length * 3)
      this.#resize(Math.max(CAPACITY_MIN, this.#keys.length * 2));
    this.#size += 1;
    this.#lastSerial += 1;
    this.#put(key, value, this.#lastSerial);
  }

  delete(key: number): boolean {
    const place = this.#find(key);
    if (place === NOWHERE) return false;
    this.#size -= 1;
    if (this.#size === 0 && this.#keys.length > REUSED_CAPACITY_MAX) {
      this.clear();
      return true;
    }
    this.#closeGap(place);
    if (this.#size === 0) this.#lastSerial = this.#reach = 0;
    return true;
  }

  clear(): void {
    this.#keys = this.#serials = NO_NUMBERS;
    this.#values = [];
    this.#lastSerial = 0;
    this.#size = 0;
    this.#reach = 0;
  }

  /** The numbers in the order in which they came. */
  keys(): number[] {
    const places: number[] = [];
    for (let place = 0; place < this.#keys.length; place += 1)
      if (this.#keys[place] !== FREE) places.push(place);
    places.sort((a, b) => this.#serials[a]! - this.#serials[b]!);
    return places.map((place) => this.#keys[place]!);
  }

  /** In the same order. */
  values(): T[] {
    return this.keys().map((key) => this.get(key)!);
  }

  #find(key: number): number {
    if (this.#size === 0) return NOWHERE;
    const mask = this.#keys.length - 1;
    for (let distance = 0; distance <= this.#reach; distance += 1) {
      const place = (key + distance) & mask;
      const found = this.#keys[place];
      if (found === key) return place;
      if (found === FREE) return NOWHERE;
    }
    return NOWHERE;
  }

  /** A key that is not there, into the first free place. */
  #put(key: number, value: T, serial: number): void {
    const mask = this.#keys.length - 1;
    let distance = 0;
    while (this.#keys[(key + distance) & mask] !== FREE) distance += 1;
    const place = (key + distance) & mask;
    this.#keys[place] = key;
    this.#values[place] = value;
    this.#serials[place] = serial;
    if (distance > this.#reach) this.#reach = distance;
  }

  /** What stands behind the gap and wanted that place, or one before it, moves up, or it would not be found. */
  #closeGap(gap: number): void {
    const mask = this.#keys.length - 1;
    for (let distance = 1; distance <= this.#reach; distance += 1) {
      const place = (gap + distance) & mask;
      const key = this.#keys[place]!;
      if (key === FREE) break;
      if (((place - key) & mask) < distance) continue;
      this.#keys[gap] = key;
      this.#values[gap] = this.#values[place];
      this.#serials[gap] = this.#serials[place]!;
      gap = place;
      distance = 0;
    }
    this.#keys[gap] = FREE;
    this.#values[gap] = undefined;
  }

  #resize(capacity: number): void {
    const [keys, values, serials] = [this.#keys, this.#values, this.#serials];
    this.#keys = new Array<number>(capacity).fill(FREE);
    this.#values = new Array<T | undefined>(capacity).fill(undefined);
    this.#serials = new Array<number>(capacity).fill(0);
    this.#reach = 0;
    for (let from = 0; from < keys.length; from += 1) {
      if (keys[from] !== FREE) this.#put(keys[from]!, values[from]!, serials[from]!);
    }
  }
}

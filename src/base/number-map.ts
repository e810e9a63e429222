/**
 * Values by whole numbers from 0 on, for what comes and goes all the time, as messages in flight by their packet
 * identifiers. To list them all takes longer than with a `Map`.
 *
 * A `Map` is made anew each time it is full of places that were left, and V8's old table points to the new one. As
 * soon as one table has been taken for long-lived, which a full collection does with all it finds, the young
 * collections keep every later one, with all that is or was in it. With 100 messages in flight each message survived,
 * and a collection took ten times as long. Here the places are used again.
 *
 * An open-addressing table with linear probing. Such numbers mostly count up, so the number itself is the hash: then
 * each has the place that it wants, and whatever is done is done there. Packet identifiers, which a client may choose
 * to our disadvantage, are few: in a table of n no more than 65,536 / n of them want the same place.
 */
const CAPACITY_MIN = 8;

/** A larger table is given back when it is empty: many clients have one. */
const KEPT_CAPACITY_MAX = 256;

const FREE = -1;

/** Instead of a place. */
const NOWHERE = -1;

/** Shared: it is never written to. */
const NO_NUMBERS: number[] = [];

export class NumberMap<T> {
  /** A power of two of places. */
  #keys = NO_NUMBERS;
  #values: (T | undefined)[] = [];
  /** By which the order in which they came is known. */
  #serials: number[] = NO_NUMBERS;
  #lastSerial = 0;
  #size = 0;
  /** No key is further than this from the place that it wants. */
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
    if (this.#size === 0 && this.#keys.length > KEPT_CAPACITY_MAX) {
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

/**
 * Values by whole numbers from 0 on, for what comes and goes all the time, as messages in flight by their packet
 * identifiers. To list them all takes longer than with a `Map`.
 *
 * A `Map` is made anew each time it is full of places that were left, and V8's old table points to the new one. As
 * soon as one table has been taken for long-lived, which a full collection does with all it finds, the young
 * collections keep every later one, with all that is or was in it. With 100 messages in flight each message survived,
 * and a collection took ten times as long. Here the places are used again.
 *
 * An open-addressing table with linear probing. Such numbers mostly count up, so the number itself is the hash. Packet
 * identifiers, which a client may choose to our disadvantage, are few: in a table of n no more than 65,536 / n of
 * them want the same place.
 */
const CAPACITY_MIN = 8;

/** A larger table is given back when it is empty: many clients have one. */
const KEPT_CAPACITY_MAX = 256;

const FREE = -1;

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

  get size(): number {
    return this.#size;
  }

  has(key: number): boolean {
    return this.#size > 0 && this.#keys[this.#placeOf(key)] === key;
  }

  get(key: number): T | undefined {
    return this.#size === 0 ? undefined : this.#values[this.#placeOf(key)];
  }

  /** A value that replaces another one keeps its place in the order. */
  set(key: number, value: T): void {
    if ((this.#size + 1) * 4 > this.#keys.length * 3)
      this.#resize(Math.max(CAPACITY_MIN, this.#keys.length * 2));
    const place = this.#placeOf(key);
    this.#values[place] = value;
    if (this.#keys[place] === key) return;
    this.#keys[place] = key;
    this.#serials[place] = this.#lastSerial += 1;
    this.#size += 1;
  }

  delete(key: number): boolean {
    if (!this.has(key)) return false;
    this.#size -= 1;
    if (this.#size === 0) this.#empty(key);
    else this.#closeGap(this.#placeOf(key));
    return true;
  }

  clear(): void {
    this.#keys = this.#serials = NO_NUMBERS;
    this.#values = [];
    this.#lastSerial = 0;
    this.#size = 0;
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

  /** Where the key is, or else the free place where it would go. */
  #placeOf(key: number): number {
    const mask = this.#keys.length - 1;
    let place = key & mask;
    for (let at = this.#keys[place]; at !== FREE && at !== key; at = this.#keys[place])
      place = (place + 1) & mask;
    return place;
  }

  #empty(lastKey: number): void {
    if (this.#keys.length > KEPT_CAPACITY_MAX) {
      this.clear();
      return;
    }
    this.#free(this.#placeOf(lastKey));
    this.#lastSerial = 0;
  }

  /** What stands behind the gap and was meant for it or for a place before it moves up, or would not be found. */
  #closeGap(gap: number): void {
    const mask = this.#keys.length - 1;
    for (let place = (gap + 1) & mask; this.#keys[place] !== FREE; place = (place + 1) & mask) {
      const wanted = this.#keys[place]! & mask;
      if (((place - wanted) & mask) < ((place - gap) & mask)) continue;
      this.#keys[gap] = this.#keys[place]!;
      this.#values[gap] = this.#values[place];
      this.#serials[gap] = this.#serials[place]!;
      gap = place;
    }
    this.#free(gap);
  }

  #free(place: number): void {
    this.#keys[place] = FREE;
    this.#values[place] = undefined;
  }

  #resize(capacity: number): void {
    const [keys, values, serials] = [this.#keys, this.#values, this.#serials];
    this.#keys = new Array<number>(capacity).fill(FREE);
    this.#values = new Array<T | undefined>(capacity).fill(undefined);
    this.#serials = new Array<number>(capacity).fill(0);
    for (let from = 0; from < keys.length; from += 1) {
      if (keys[from] === FREE) continue;
      const place = this.#placeOf(keys[from]!);
      this.#keys[place] = keys[from]!;
      this.#values[place] = values[from];
      this.#serials[place] = serials[from]!;
    }
  }
}

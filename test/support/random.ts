/** Random choices that can be repeated: the same seed gives the same sequence. */

/** Of this run: another one each time, unless TEST_SEED says which. */
export function seedOfRun(): number {
  return Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 32));
}

export class Random {
  readonly seed: number;
  #state: number;

  /** @param seed a 32-bit number; put it into the test's name or message so that a failure can be replayed. */
  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** A number from 0 up to, not including, `bound`. */
  below(bound: number): number {
    // A 32-bit mixing of a counter (the splitmix construction): every state is followed by another one.
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return Math.floor((((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32) * bound);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

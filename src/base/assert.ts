/**
 * Assertions for our own mistakes. What a peer or an operator does wrong is never asserted: it is answered.
 */

/** Thrown for a bug of ours. The worker that meets one falls loudly, the rest of the broker stands. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new AssertionError(what);
}

/** Ends a `switch` over a union: the compiler proves it is never reached. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected value ${JSON.stringify(value)}`);
}

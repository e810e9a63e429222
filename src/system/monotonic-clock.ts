/**
 * Milliseconds on a clock that only goes forward. `performance.now` does the same, but to load it takes longer than all
 * the other work of a command before it connects.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

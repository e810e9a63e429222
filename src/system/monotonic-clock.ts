/**
 * Milliseconds on a clock that only goes forward. `performance.now` does the same, but loading it takes longer than
 * everything else that a command does before it connects.
 */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

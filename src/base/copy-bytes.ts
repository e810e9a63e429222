/**
 * Below this many bytes a plain loop is faster than the call into the engine's memmove, because a view of the
 * source has to be made for it (measured with `npm run bench -- relay matching`).
 */
const LOOP_MAX = 48;

/** Copies `source[start, end)` to `target` at `at` (hot path). */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  if (end - start <= LOOP_MAX) {
    for (let i = start; i < end; i += 1) target[at++] = source[i]!;
  } else {
    target.set(source.subarray(start, end), at);
  }
}

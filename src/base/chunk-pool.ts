/**
 * A pool of byte chunks of a few fixed sizes. A connection borrows a chunk while it has something to write and returns
 * it as soon as the kernel has the bytes: an idle connection holds no buffer, and a busy one moves up to large chunks,
 * so that a burst leaves in one system call.
 */
const SIZES = [1024, 4096, 16_384, 65_536, 262_144, 1_048_576] as const;

/** Chunks of each size that wait for reuse; more are left to the garbage collector. */
const SPARE_MAX = [256, 128, 64, 64, 8, 2] as const;

const LARGEST_SIZE = SIZES.length - 1;

/** Sizes by number: 0 is the smallest. The largest in which small packets are collected; others hold one each. */
export const COLLECTING_SIZE_MAX = 3;

const spare: Buffer[][] = SIZES.map(() => []);

/** A chunk of the given size number, or larger if `atLeast` bytes do not fit. */
export function takeChunk(size: number, atLeast: number): Buffer {
  let fit = size;
  while (fit < LARGEST_SIZE && SIZES[fit]! < atLeast) fit += 1;
  if (SIZES[fit]! < atLeast) return Buffer.allocUnsafeSlow(atLeast);
  return spare[fit]!.pop() ?? Buffer.allocUnsafeSlow(SIZES[fit]!);
}

/** Gives a chunk back; a buffer that is no chunk is left alone. The caller must not touch it afterwards. */
export function returnChunk(chunk: Buffer): void {
  if (chunk.length !== chunk.buffer.byteLength) return;
  const size = SIZES.indexOf(chunk.length as (typeof SIZES)[number]);
  if (size >= 0 && spare[size]!.length < SPARE_MAX[size]!) spare[size]!.push(chunk);
}

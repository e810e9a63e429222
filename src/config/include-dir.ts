/** Which files of an included directory are read, and in which order. [mosq: include_dir] */

const suffix = '.conf';

/** Paths of the files to read, in order. Hidden files count; there is nothing below the directory. */
export function includedFiles(directory: string, entries: readonly string[]): string[] {
  return entries
    .filter((name) => name.endsWith(suffix) && name.length > suffix.length)
    .map((name) => `${directory}/${name}`)
    .sort(comparePaths);
}

/** Alphabetical; the capital of a letter comes right before the small one, so `A.conf a.conf B.conf`. */
export function comparePaths(one: string, other: string): number {
  const ones = Buffer.from(one);
  const others = Buffer.from(other);
  const length = Math.min(ones.length, others.length);
  for (let at = 0; at < length; at++) {
    const order = upperCase(ones[at]!) - upperCase(others[at]!) || ones[at]! - others[at]!;
    if (order !== 0) return order;
  }
  return ones.length - others.length;
}

function upperCase(byte: number): number {
  return byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte;
}

/** Whole numbers as C reads them. */

export const int32Max = 0x7fffffff;
const int32Min = -0x80000000;

/**
 * Reads a word as strtol(3) with base 0 does: decimal, `0x` hexadecimal or octal after a leading `0`, with an
 * optional sign. The whole word must be the number.
 *
 * @param max Lets numbers beyond 32 bits pass, up to this one.
 */
export function parseInteger(word: string, max = int32Max): number | 'not a number' | 'out of range' {
  const match = /^([+-]?)(?:0[xX]([0-9a-fA-F]+)|(0[0-7]*)|([1-9][0-9]*))$/.exec(word);
  if (match === null) return 'not a number';
  const [, sign, hexadecimal, octal, decimal] = match;
  const magnitude =
    hexadecimal !== undefined
      ? Number.parseInt(hexadecimal, 16)
      : octal !== undefined
        ? Number.parseInt(octal, 8)
        : Number.parseInt(decimal!, 10);
  const value = sign === '-' && magnitude !== 0 ? -magnitude : magnitude;
  return value < int32Min || value > Math.max(int32Max, max) ? 'out of range' : value;
}

/** Reads a word as atoi(3) does: the decimal number it begins with, or 0. */
export function leadingInteger(word: string): number {
  const match = /^[+-]?\d+/.exec(word);
  return match === null ? 0 : Math.min(int32Max, Math.max(int32Min, Number.parseInt(match[0], 10)));
}

/**
 * Numbers as C reads and prints them: atoi and strtol read the number at the beginning of a text and ignore the rest,
 * and `%f` and `%g` print digits in cases in which JavaScript uses another notation.
 */

const INT_MAX = 0x7fffffff;

/** As atoi: an integer at the beginning, 0 if there is none, held within 32 bits. */
export function leadingInteger(text: string): number {
  const value = Number(/^\s*[+-]?\d+/.exec(text)?.[0] ?? 0);
  return Math.max(-INT_MAX - 1, Math.min(INT_MAX, value));
}

/** As strtol: an integer of any size at the beginning, `undefined` where there is none. */
export function leadingLong(text: string): number | undefined {
  const digits = /^\s*[+-]?\d+/.exec(text)?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** As atof, for decimal notation. */
export function leadingNumber(text: string): number {
  return Number(/^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i.exec(text)?.[0] ?? 0);
}

/** As `%.{decimals}f`: every digit, however large the number; halves go to the even digit. */
export function formatFixed(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return formatNonFinite(value);
  const sign = value < 0 || Object.is(value, -0) ? '-' : '';
  const [mantissa, exponent] = takeApart(Math.abs(value));
  const scaled = mantissa * 10n ** BigInt(decimals);
  const digits = (
    exponent >= 0 ? scaled << BigInt(exponent) : divideByPowerOf2(scaled, -exponent)
  ).toString();
  if (decimals === 0) return sign + digits;
  const padded = digits.padStart(decimals + 1, '0');
  return `${sign}${padded.slice(0, -decimals)}.${padded.slice(-decimals)}`;
}

/** A finite number ≥ 0 as mantissa · 2^exponent. */
function takeApart(value: number): [mantissa: bigint, exponent: number] {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  const raw = bits.getBigUint64(0);
  const biased = Number(raw >> 52n);
  const fraction = raw & 0xfffffffffffffn;
  return biased === 0 ? [fraction, -1074] : [fraction | (1n << 52n), biased - 1075];
}

/** value / 2^power, rounded to the nearest, halves to even. */
function divideByPowerOf2(value: bigint, power: number): bigint {
  const shift = BigInt(power);
  const quotient = value >> shift;
  const rest = value - (quotient << shift);
  const half = 1n << (shift - 1n);
  return rest > half || (rest === half && (quotient & 1n) === 1n) ? quotient + 1n : quotient;
}

/** As `%.{digits}g`: the shorter of decimal and scientific notation, without zeros at the end. */
export function formatGeneral(value: number, digits: number): string {
  if (!Number.isFinite(value)) return formatNonFinite(value);
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa, exponentText] = value.toExponential(digits - 1).split('e') as [string, string];
  const exponent = Number(exponentText);
  if (exponent >= -4 && exponent < digits) return trimZeros(value.toFixed(digits - 1 - exponent));
  const exponentDigits = String(Math.abs(exponent)).padStart(2, '0');
  return `${trimZeros(mantissa)}e${exponent < 0 ? '-' : '+'}${exponentDigits}`;
}

function trimZeros(digits: string): string {
  return digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits;
}

function formatNonFinite(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  return value > 0 ? 'inf' : '-inf';
}

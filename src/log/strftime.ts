/**
 * strftime(3) in the C locale, for `log_timestamp_format`. Conversions, flags and widths are glibc's; the packages
 * at hand lack the week-based ones and render `%c`, `%x` and `%X` in their own way.
 */

const dayNames = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];

const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

type Pad = '0' | ' ' | '';

/** A number with the width and padding that the conversion has by itself, or text, which is not padded. */
type Value = string | { number: number; width: number; pad: Pad };

const zeros = (number: number, width = 2): Value => ({ number, width, pad: '0' });
const spaces = (number: number, width = 2): Value => ({ number, width, pad: ' ' });

const conversions: Readonly<Record<string, (date: Date) => Value>> = {
  a: (date) => dayNames[date.getDay()]!.slice(0, 3),
  A: (date) => dayNames[date.getDay()]!,
  b: (date) => monthNames[date.getMonth()]!.slice(0, 3),
  B: (date) => monthNames[date.getMonth()]!,
  c: (date) => strftime('%a %b %e %H:%M:%S %Y', date),
  C: (date) => zeros(Math.floor(date.getFullYear() / 100)),
  d: (date) => zeros(date.getDate()),
  D: (date) => strftime('%m/%d/%y', date),
  e: (date) => spaces(date.getDate()),
  F: (date) => strftime('%Y-%m-%d', date),
  g: (date) => zeros(isoWeek(date).year % 100),
  G: (date) => zeros(isoWeek(date).year, 1),
  h: (date) => monthNames[date.getMonth()]!.slice(0, 3),
  H: (date) => zeros(date.getHours()),
  I: (date) => zeros(hourOf12(date)),
  j: (date) => zeros(dayOfYear(date) + 1, 3),
  k: (date) => spaces(date.getHours()),
  l: (date) => spaces(hourOf12(date)),
  m: (date) => zeros(date.getMonth() + 1),
  M: (date) => zeros(date.getMinutes()),
  n: () => '\n',
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  P: (date) => (date.getHours() < 12 ? 'am' : 'pm'),
  r: (date) => strftime('%I:%M:%S %p', date),
  R: (date) => strftime('%H:%M', date),
  s: (date) => zeros(Math.floor(date.getTime() / 1000), 1),
  S: (date) => zeros(date.getSeconds()),
  t: () => '\t',
  T: (date) => strftime('%H:%M:%S', date),
  u: (date) => zeros(date.getDay() || 7, 1),
  U: (date) => zeros(Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7)),
  V: (date) => zeros(isoWeek(date).week),
  w: (date) => zeros(date.getDay(), 1),
  W: (date) => zeros(Math.floor((dayOfYear(date) + 7 - daysSinceMonday(date)) / 7)),
  x: (date) => strftime('%m/%d/%y', date),
  X: (date) => strftime('%H:%M:%S', date),
  y: (date) => zeros(date.getFullYear() % 100),
  Y: (date) => zeros(date.getFullYear(), 1),
  z: utcOffset,
  Z: zoneAbbreviation,
  '%': () => '%',
};

/** A conversion: flags, a minimum width, the modifiers E and O (nothing in the C locale), and its letter. */
const CONVERSION = /%([-_0^#]*)(\d{0,3})[EO]?([a-zA-Z%])/g;

/** The date in local time. What is no conversion stays as it is, as glibc leaves it. */
export function strftime(format: string, date: Date): string {
  return format.replace(CONVERSION, (whole, flags: string, width: string, letter: string) => {
    const convert = conversions[letter];
    return convert === undefined ? whole : pad(convert(date), flags, Number(width));
  });
}

function pad(value: Value, flags: string, widthMin: number): string {
  let padding: Pad = typeof value === 'string' ? ' ' : value.pad;
  for (const flag of flags) {
    if (flag === '-') padding = '';
    else if (flag === '_') padding = ' ';
    else if (flag === '0') padding = '0';
  }
  const text = typeof value === 'string' ? value : String(value.number);
  const width = typeof value === 'string' ? widthMin : widthMin || value.width;
  const padded = padding === '' ? text : text.padStart(width, padding);
  return flags.includes('^') ? padded.toUpperCase() : padded;
}

const hourOf12 = (date: Date) => date.getHours() % 12 || 12;

const daysSinceMonday = (date: Date) => (date.getDay() + 6) % 7;

const DAY_MS = 86_400_000;

/** Days since 1 January. Counted in UTC: local days may have 23 or 25 hours. */
function dayOfYear(date: Date): number {
  const today = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return (today - Date.UTC(date.getFullYear(), 0, 1)) / DAY_MS;
}

/** The ISO 8601 week: it belongs to the year in which its Thursday lies. */
function isoWeek(date: Date): { year: number; week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() - daysSinceMonday(date) + 3);
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 };
}

function utcOffset(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  const hoursAndMinutes = Math.floor(Math.abs(minutes) / 60) * 100 + (Math.abs(minutes) % 60);
  return (minutes < 0 ? '-' : '+') + String(hoursAndMinutes).padStart(4, '0');
}

/** A zone's abbreviation is known only to the languages of its part of the world; the others say `GMT+1`. */
const zoneLocales = ['en-US', 'en-GB', 'en-AU', 'en-IN', 'en-ZA'];

function zoneAbbreviation(date: Date): string {
  let name = '';
  for (const locale of zoneLocales) {
    const parts = new Intl.DateTimeFormat(locale, { timeZoneName: 'short' }).formatToParts(date);
    name = parts.find(({ type }) => type === 'timeZoneName')?.value ?? '';
    if (!/^GMT[+-]/.test(name)) return name;
  }
  return name;
}

/** Ways in which a store file can be damaged: what a power cut, a bad card, another machine or a user leave. */

import type { Random } from '../random.js';
import { readSample } from './mosquitto-db-samples.js';

const PAGE = 4096;

export type Damage = (bytes: Buffer, random: Random) => Buffer;

const cutAt =
  (share: number): Damage =>
  (bytes) =>
    bytes.subarray(0, Math.floor(bytes.length * share));

const zeroPages =
  (first: number, count: number): Damage =>
  (bytes) =>
    bytes.fill(0, first * PAGE, Math.min((first + count) * PAGE, bytes.length));

const flipBits =
  (count: number): Damage =>
  (bytes, random) => {
    for (let i = 0; i < count; i += 1) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  };

const noise =
  (start: number, length: number): Damage =>
  (bytes, random) => {
    for (let i = start; i < Math.min(start + length, bytes.length); i += 1) bytes[i] = random.below(256);
    return bytes;
  };

const swapBytesOf =
  (width: number): Damage =>
  (bytes) => {
    for (let i = 0; i + width <= PAGE * 2; i += width) bytes.subarray(i, i + width).reverse();
    return bytes;
  };

export const DAMAGES: [string, Damage][] = [
  ['empty', () => Buffer.alloc(0)],
  ['one byte', () => Buffer.from([0])],
  ['cut within the first page', (bytes) => bytes.subarray(0, 100)],
  ['cut after one page', (bytes) => bytes.subarray(0, PAGE)],
  ['cut after two pages', (bytes) => bytes.subarray(0, 2 * PAGE)],
  ['cut in half', cutAt(0.5)],
  ['cut within a page', (bytes) => bytes.subarray(0, 5 * PAGE + 77)],
  ['last byte lost', (bytes) => bytes.subarray(0, bytes.length - 1)],
  ['last page lost', (bytes) => bytes.subarray(0, bytes.length - PAGE)],
  ['all zeros', (bytes) => bytes.fill(0)],
  ['all ones', (bytes) => bytes.fill(0xff)],
  ['first page zeroed', zeroPages(0, 1)],
  ['second page zeroed', zeroPages(1, 1)],
  ['both meta pages zeroed', zeroPages(0, 2)],
  ['third page zeroed', zeroPages(2, 1)],
  ['a page in the middle zeroed', zeroPages(7, 1)],
  ['five pages zeroed', zeroPages(4, 5)],
  ['all but the meta pages zeroed', zeroPages(2, 10_000)],
  ['one bit flipped', flipBits(1)],
  ['10 bits flipped', flipBits(10)],
  ['100 bits flipped', flipBits(100)],
  ['1000 bits flipped', flipBits(1000)],
  ['noise in the meta pages', noise(16, 100)],
  ['a page of noise', noise(3 * PAGE, PAGE)],
  ['noise all over', noise(2 * PAGE, 1e9)],
  ['the other byte order', swapBytesOf(8)],
  ['the other word size', swapBytesOf(4)],
  ['text', () => Buffer.from('# mosquitto.conf\nlistener 1883\n'.repeat(500))],
  ['a Mosquitto file cut off', () => readSample('v6-2.0.11-sessions.db').subarray(0, 700)],
  [
    'a Mosquitto file of noise',
    (_bytes, random) => noise(30, 1e9)(readSample('v6-2.0.11-sessions.db'), random),
  ],
];

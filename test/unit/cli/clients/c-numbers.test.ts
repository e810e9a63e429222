import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  formatFixed,
  formatGeneral,
  leadingInteger,
  leadingLong,
  leadingNumber,
} from '../../../../src/cli/clients/c-numbers.js';

describe('reading', () => {
  const rows: [text: string, integer: number, long: number | undefined, number: number][] = [
    ['12', 12, 12, 12],
    ['12abc', 12, 12, 12],
    [' -7.9', -7, -7, -7.9],
    ['+3e2', 3, 3, 300],
    ['.5', 0, undefined, 0.5],
    ['5.', 5, 5, 5],
    ['abc', 0, undefined, 0],
    ['', 0, undefined, 0],
    ['99999999999', 2147483647, 99999999999, 99999999999],
    ['-99999999999', -2147483648, -99999999999, -99999999999],
    ['1e', 1, 1, 1],
  ];
  for (const [text, integer, long, number] of rows) {
    test(JSON.stringify(text), () => {
      assert.equal(leadingInteger(text), integer);
      assert.equal(leadingLong(text), long);
      assert.equal(leadingNumber(text), number);
    });
  }
});

describe('%g', () => {
  const rows: [value: number, digits: number, text: string][] = [
    [0, 15, '0'],
    [-0, 15, '-0'],
    [100000, 15, '100000'],
    [1e15, 15, '1e+15'],
    [123456789012345, 15, '123456789012345'],
    [0.0001, 15, '0.0001'],
    [0.00001, 15, '1e-05'],
    [-1.5e-7, 15, '-1.5e-07'],
    [0.1, 17, '0.10000000000000001'],
    [1e100, 15, '1e+100'],
    [999999.5, 6, '1e+06'],
    [Number.NaN, 15, 'nan'],
    [Number.NEGATIVE_INFINITY, 15, '-inf'],
  ];
  for (const [value, digits, text] of rows) {
    test(`${value} to ${digits} digits`, () => assert.equal(formatGeneral(value, digits), text));
  }

  test('17 digits say the number exactly', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        assert.ok(Object.is(Number(formatGeneral(value, 17)), value));
      }),
    );
  });
});

test('%f is as toFixed says, but for halves and large numbers', () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, min: -1e20, max: 1e20 }),
      fc.integer({ min: 0, max: 20 }),
      (value, decimals) => {
        const magnitude = Math.abs(value);
        const cutOff = magnitude.toFixed(100).split('.')[1]!.slice(decimals);
        fc.pre(!/^50*$/.test(cutOff)); // A half goes up there, and to the even digit here.
        const sign = value < 0 || Object.is(value, -0) ? '-' : '';
        assert.equal(formatFixed(value, decimals), sign + magnitude.toFixed(decimals));
      },
    ),
  );
});

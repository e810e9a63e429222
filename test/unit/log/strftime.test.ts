import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { strftime } from '../../../src/log/strftime.js';

/** Zone and seconds since 1970, chosen for what they tell apart: years of weeks, summer time, half-hour offsets. */
const moments = [
  ['UTC', 0],
  ['Europe/Berlin', 1711846799],
  ['America/New_York', 1735707599],
  ['Asia/Kolkata', 1704067200],
  ['Australia/Sydney', 1609459200],
] as const;

/** What strftime(3) of glibc makes of each conversion at those moments, in the C locale. */
const expected: readonly [conversion: string, ...results: string[]][] = [
  ['%a', 'Thu', 'Sun', 'Tue', 'Mon', 'Fri'],
  ['%A', 'Thursday', 'Sunday', 'Tuesday', 'Monday', 'Friday'],
  ['%b', 'Jan', 'Mar', 'Dec', 'Jan', 'Jan'],
  ['%B', 'January', 'March', 'December', 'January', 'January'],
  [
    '%c',
    'Thu Jan  1 00:00:00 1970',
    'Sun Mar 31 01:59:59 2024',
    'Tue Dec 31 23:59:59 2024',
    'Mon Jan  1 05:30:00 2024',
    'Fri Jan  1 11:00:00 2021',
  ],
  ['%C', '19', '20', '20', '20', '20'],
  ['%d', '01', '31', '31', '01', '01'],
  ['%D', '01/01/70', '03/31/24', '12/31/24', '01/01/24', '01/01/21'],
  ['%e', ' 1', '31', '31', ' 1', ' 1'],
  ['%F', '1970-01-01', '2024-03-31', '2024-12-31', '2024-01-01', '2021-01-01'],
  ['%g', '70', '24', '25', '24', '20'],
  ['%G', '1970', '2024', '2025', '2024', '2020'],
  ['%h', 'Jan', 'Mar', 'Dec', 'Jan', 'Jan'],
  ['%H', '00', '01', '23', '05', '11'],
  ['%I', '12', '01', '11', '05', '11'],
  ['%j', '001', '091', '366', '001', '001'],
  ['%k', ' 0', ' 1', '23', ' 5', '11'],
  ['%l', '12', ' 1', '11', ' 5', '11'],
  ['%m', '01', '03', '12', '01', '01'],
  ['%M', '00', '59', '59', '30', '00'],
  ['%p', 'AM', 'AM', 'PM', 'AM', 'AM'],
  ['%P', 'am', 'am', 'pm', 'am', 'am'],
  ['%r', '12:00:00 AM', '01:59:59 AM', '11:59:59 PM', '05:30:00 AM', '11:00:00 AM'],
  ['%R', '00:00', '01:59', '23:59', '05:30', '11:00'],
  ['%s', '0', '1711846799', '1735707599', '1704067200', '1609459200'],
  ['%S', '00', '59', '59', '00', '00'],
  ['%T', '00:00:00', '01:59:59', '23:59:59', '05:30:00', '11:00:00'],
  ['%u', '4', '7', '2', '1', '5'],
  ['%U', '00', '13', '52', '00', '00'],
  ['%V', '01', '13', '01', '01', '53'],
  ['%w', '4', '0', '2', '1', '5'],
  ['%W', '00', '13', '53', '01', '00'],
  ['%x', '01/01/70', '03/31/24', '12/31/24', '01/01/24', '01/01/21'],
  ['%X', '00:00:00', '01:59:59', '23:59:59', '05:30:00', '11:00:00'],
  ['%y', '70', '24', '24', '24', '21'],
  ['%Y', '1970', '2024', '2024', '2024', '2021'],
  ['%z', '+0000', '+0100', '-0500', '+0530', '+1100'],
  ['%Z', 'UTC', 'CET', 'EST', 'IST', 'AEDT'],
  ['%%', '%', '%', '%', '%', '%'],
  ['%-d', '1', '31', '31', '1', '1'],
  ['%_H', ' 0', ' 1', '23', ' 5', '11'],
  ['%^a', 'THU', 'SUN', 'TUE', 'MON', 'FRI'],
  ['%05S', '00000', '00059', '00059', '00000', '00000'],
  ['%_5j', '    1', '   91', '  366', '    1', '    1'],
  ['%Ey', '70', '24', '24', '24', '21'],
  ['%Od', '01', '31', '31', '01', '01'],
  ['%Q', '%Q', '%Q', '%Q', '%Q', '%Q'],
  ['%-I', '12', '1', '11', '5', '11'],
];

describe('strftime', () => {
  const zone = process.env.TZ;
  after(() => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  });

  for (const [column, [momentZone, seconds]] of moments.entries()) {
    test(`every conversion in ${momentZone}`, () => {
      process.env.TZ = momentZone;
      const date = new Date(seconds * 1000);
      for (const [conversion, ...results] of expected) {
        assert.equal(strftime(conversion, date), results[column], conversion);
      }
    });
  }

  test('text and conversions mix', () => {
    process.env.TZ = 'UTC';
    assert.equal(strftime('[%H:%M:%S] %d.%m.%Y 100%%', new Date(0)), '[00:00:00] 01.01.1970 100%');
  });

  test('a stray percent sign stays', () => {
    assert.equal(strftime('100%', new Date(0)), '100%');
    assert.equal(strftime('% d', new Date(0)), '% d');
  });
});

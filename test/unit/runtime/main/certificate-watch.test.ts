/** When a certificate that ends is warned of, and in which words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiryWarning, warningsDue } from '../../../../src/runtime/main/certificate-watch.js';

const day = 24 * 60 * 60 * 1000;
const endsAt = Date.UTC(2026, 5, 1, 12);
const certificate = { file: '/etc/server.pem', subject: 'CN=pi', endsAt };

for (const [days, due, left] of [
  [31, 0, undefined],
  [30, 1, 'expires in 30 days'],
  [7.5, 1, 'expires in 7 days'],
  [7, 2, 'expires in 7 days'],
  [1, 3, 'expires in 1 day'],
  [0.5, 3, 'expires in less than a day'],
  [0, 4, 'has expired'],
  [-3, 4, 'has expired'],
] as const) {
  test(`${days} days before the end`, () => {
    const now = endsAt - days * day;
    assert.equal(warningsDue(certificate, now), due);
    if (left === undefined) return;
    const text = expiryWarning(certificate, now);
    assert.equal(text, `Warning: The certificate "CN=pi" in /etc/server.pem ${left} (2026-06-01 12:00 UTC).`);
  });
}

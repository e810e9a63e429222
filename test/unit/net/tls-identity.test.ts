/** Subjects of certificates as usernames. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { subjectText } from '../../../src/net/tls-identity.js';

for (const [subject, text] of [
  [undefined, ''], // a certificate whose subject is empty
  ['CN=client', 'CN=client'],
  ['C=GB\nO=Server\nOU=Production\nCN=test client', 'CN=test client,OU=Production,O=Server,C=GB'],
  ['O=a\\, b\nCN=c', 'CN=c,O=a\\, b'],
  ['O=Käse\nCN=é', 'CN=\\C3\\A9,O=K\\C3\\A4se'],
  ['O=x\nCN=a + UID=b', 'CN=a+UID=b,O=x'],
  ['CN=a \\+ b', 'CN=a \\+ b'],
] as const) {
  test(`${JSON.stringify(subject)} is ${text}`, () => assert.equal(subjectText(subject), text));
}

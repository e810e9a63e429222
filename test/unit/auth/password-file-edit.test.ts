/** Changing the text of a password file: only the user in question, and nothing of a file that is corrupt. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  fittingSaltBytes,
  hashPlainPasswords,
  removeUser,
  setPassword,
} from '../../../src/auth/password-file-edit.js';

const SHORT = `$7$101$AAAAAAAAAAAAAAAA$${'A'.repeat(86)}==`;
const LONG = `$6$${'A'.repeat(86)}==$${'A'.repeat(86)}==`;

describe('setPassword', () => {
  const cases: [what: string, before: string, after: string, added: boolean][] = [
    ['an empty file', '', 'u:NEW\n', true],
    ['at the end', 'a:1\nb:2\n', 'a:1\nb:2\nu:NEW\n', true],
    ['after a line without end', 'a:1', 'a:1\nu:NEW\n', true],
    ['in its place', 'a:1\nu:old\nb:2\n', 'a:1\nu:NEW\nb:2\n', false],
    ['with spaces around', 'a:1\n u : old \r\nb:2', 'a:1\nu:NEW\nb:2', false],
    ['comments and blank lines stay', '# staff\n\na:1\n', '# staff\n\na:1\nu:NEW\n', true],
    ['a name that begins alike', 'user:1\nU:2\n', 'user:1\nU:2\nu:NEW\n', true],
  ];
  for (const [what, before, text, added] of cases) {
    test(what, () => assert.deepEqual(setPassword(before, { username: 'u', hash: 'NEW' }), { text, added }));
  }
});

describe('removeUser', () => {
  const cases: [before: string, after: string, found: boolean][] = [
    ['u:1\n', '', true],
    ['a:1\nu:2\nb:3\n', 'a:1\nb:3\n', true],
    ['a:1\nu:2', 'a:1', true],
    ['u:1\nu:2\n# u:3\n', '# u:3\n', true],
    ['a:1\n', 'a:1\n', false],
    ['', '', false],
  ];
  for (const [before, text, found] of cases) {
    test(JSON.stringify(before), () => assert.deepEqual(removeUser(before, 'u'), { text, found }));
  }
});

describe('hashPlainPasswords', () => {
  const hash = async (password: string) => `<${password}>`;

  test('hashes what is plain and leaves the rest', async () => {
    const before = `# c\n\na:one\n b : two words \nc:${LONG}\nd:with:colon\n`;
    const text = `# c\n\na:<one>\nb:<two words>\nc:${LONG}\nd:<with:colon>\n`;
    assert.deepEqual(await hashPlainPasswords(before, hash), { text });
  });

  test('leaves a file without plain passwords byte for byte', async () => {
    const before = ` a : ${SHORT} \r\n#`;
    assert.deepEqual(await hashPlainPasswords(before, hash), { text: before });
  });
});

test('a corrupt line is told by its number', async () => {
  for (const corrupt of ['nobody', ':secret', 'empty:', 'empty: ']) {
    const text = `# c\na:1\n${corrupt}\n`;
    assert.deepEqual(setPassword(text, { username: 'u', hash: 'NEW' }), { corruptLine: 3 });
    assert.deepEqual(removeUser(text, 'a'), { corruptLine: 3 });
    assert.deepEqual(await hashPlainPasswords(text, async () => 'x'), { corruptLine: 3 });
  }
});

test('the length of new salts follows the file', () => {
  const cases: [text: string, saltBytes: number][] = [
    ['', 64],
    ['# c\n', 64],
    ['a:plain\n', 64],
    [`a:${SHORT}\n`, 12],
    [`a:plain\nb:${SHORT}\nc:${SHORT}\n`, 12],
    [`a:${SHORT}\nb:${LONG}\n`, 64],
    [`b:${LONG}\n`, 64],
  ];
  for (const [text, saltBytes] of cases) assert.equal(fittingSaltBytes(text), saltBytes, text);
});

/** `password_file` and `psk_file`: what is read, and every fault with its line in Mosquitto's words. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { problemLines } from '../../../src/auth/access-file.js';
import { needsArgon2, type PasswordFile, parsePasswordFile } from '../../../src/auth/password-file.js';
import { parsePskFile } from '../../../src/auth/psk-file.js';

const HASH = `$7$101$AAAAAAAAAAAAAAAA$${'A'.repeat(86)}==`;
const OTHER_HASH = `$6$AAAAAAAAAAAAAAAA$${'A'.repeat(86)}==`;
const ARGON2_HASH = `$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA`;

describe('password_file', () => {
  function read(text: string): PasswordFile {
    const result = parsePasswordFile('pw', text);
    if (!result.ok) assert.fail(JSON.stringify(result.errors));
    return result.passwords;
  }

  test('users with the hashes and lines they have', () => {
    const { users } = read(
      `# staff\n\nalice:${HASH}\r\n  bob smith :  ${OTHER_HASH}  \nno colon here\nzoë:${HASH}`,
    );
    assert.deepEqual([...users.keys()], ['alice', 'bob smith', 'zoë']);
    assert.equal(users.get('alice')!.line, 3);
    assert.equal(users.get('alice')!.text, HASH);
    assert.equal(users.get('alice')!.stored.algorithm, 'sha512-pbkdf2');
    assert.equal(users.get('bob smith')!.stored.algorithm, 'sha512');
  });

  test('an empty file has no users', () => {
    for (const text of ['', '\n', '# only\r\n', 'nothing to see\n']) {
      const { users, decoy } = read(text);
      assert.equal(users.size, 0);
      assert.equal(decoy, null);
    }
  });

  test('argon2 is needed only where such an entry exists', () => {
    assert.equal(needsArgon2(read(`a:${HASH}\nb:${OTHER_HASH}\n`)), false);
    assert.equal(needsArgon2(read(`a:${HASH}\nb:${ARGON2_HASH}\n`)), true);
  });

  test('every fault is told, with its line', () => {
    const text = [
      '# c',
      `:${HASH}`,
      'plain:secret',
      `u:${HASH}`,
      'empty:',
      `u:${OTHER_HASH}`,
      'x:$6$a$b',
      ` :${HASH}`,
    ].join('\n');
    const result = parsePasswordFile('/etc/pw', text);
    assert.ok(!result.ok);
    assert.deepEqual(result.errors.map(problemLines), [
      ["password-file: Error: Invalid line in password file '/etc/pw': :", 'Error found at /etc/pw:2.'],
      [
        "password-file: Error: Unable to decode line in password file '/etc/pw'.",
        'Error found at /etc/pw:3.',
        "The password of user 'plain' cannot be used: it is not hashed. " +
          'Use mosquitto_passwd -U /etc/pw to hash plain passwords.',
      ],
      [
        "password-file: Error: Unable to decode line in password file '/etc/pw'.",
        'Error found at /etc/pw:5.',
        "The password of user 'empty' cannot be used: it is missing.",
      ],
      [
        "password-file: Error: Duplicate user 'u' in password file '/etc/pw'.",
        'Error found at /etc/pw:6.',
        'The first one is in line 4.',
      ],
      [
        "password-file: Error: Unable to decode line in password file '/etc/pw'.",
        'Error found at /etc/pw:7.',
        "The password of user 'x' cannot be used: " + 'its salt is not 12 or 64 bytes in base64.',
      ],
      ["password-file: Error: Empty username in password file '/etc/pw'.", 'Error found at /etc/pw:8.'],
    ]);
  });

  test('a password never shows up in a message', () => {
    const result = parsePasswordFile('pw', 'alice:topsecret\n');
    assert.ok(!result.ok);
    assert.doesNotMatch(JSON.stringify(result.errors), /topsecret/);
  });

  test('usernames up to the length of an MQTT string', () => {
    assert.equal(read(`${'u'.repeat(65535)}:${HASH}`).users.size, 1);
    assert.equal(parsePasswordFile('pw', `${'u'.repeat(65536)}:${HASH}`).ok, false);
    assert.equal(parsePasswordFile('pw', `${'é'.repeat(32768)}:${HASH}`).ok, false);
  });

  test('a name that was not UTF-8 is warned of', () => {
    const latin1 = Buffer.from(`zo\xeb:${HASH}\n`, 'latin1').toString('utf8');
    const result = parsePasswordFile('pw', latin1);
    assert.ok(result.ok);
    assert.deepEqual(result.warnings.map(problemLines), [
      [
        'Warning: Line 1 of "pw" is not valid UTF-8, so that no client can match it.',
        'Warning found at pw:1.',
      ],
    ]);
  });
});

describe('psk_file', () => {
  test('identities with their keys', () => {
    const result = parsePskFile('psk', '# c\nid:0012abCD\nno colon\n two words : 12 \nodd:123\r\n');
    assert.ok(result.ok);
    assert.deepEqual(
      [...result.keys].map(([identity, key]) => [identity, key.toString('hex')]),
      [
        ['id', '0012abcd'],
        ['two words', '12'],
        ['odd', '0123'],
      ],
    );
    assert.deepEqual(result.warnings, []);
  });

  test('of two keys for an identity the first counts', () => {
    const result = parsePskFile('psk', 'id:aa\nid:bb\n');
    assert.ok(result.ok);
    assert.equal(result.keys.get('id')!.toString('hex'), 'aa');
    assert.deepEqual(
      result.warnings.map(({ line }) => line),
      [2],
    );
  });

  test('an identity without key, or a key without identity, is left out with a warning', () => {
    const result = parsePskFile('psk', ':12\nempty:\nid:aa\n');
    assert.ok(result.ok);
    assert.deepEqual([...result.keys.keys()], ['id']);
    assert.deepEqual(result.warnings.map(problemLines), [
      ["Warning: Invalid line in password file 'psk': :", 'Warning found at psk:1.'],
      ["Warning: Invalid line in password file 'psk': empty:", 'Warning found at psk:2.'],
    ]);
  });

  test('every key that is not hexadecimal is an error, and none of them is shown', () => {
    const result = parsePskFile('psk', 'a:0x12\nb:12\nc:12 34\nd:hello\n');
    assert.ok(!result.ok);
    assert.deepEqual(result.errors.map(problemLines), [
      ['Error: psk for identity "a" contains non-hexadecimal characters.', 'Error found at psk:1.'],
      ['Error: psk for identity "c" contains non-hexadecimal characters.', 'Error found at psk:3.'],
      ['Error: psk for identity "d" contains non-hexadecimal characters.', 'Error found at psk:4.'],
    ]);
  });
});

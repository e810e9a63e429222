/** The command line of `mosquitto_passwd`: every combination with its command or Mosquitto's message. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parsePasswdArguments, usernameFault } from '../../../../src/cli/passwd/passwd-arguments.js';

const PBKDF2 = { algorithm: 'sha512-pbkdf2' };

describe('commands', () => {
  const set = { kind: 'set', file: 'f', username: 'u', password: null, create: false, hash: PBKDF2 };
  const cases: [args: string, command: object][] = [
    ['f u', set],
    ['-b f u p', { ...set, password: 'p' }],
    ['-c f u', { ...set, create: true }],
    ['-c -b f u p', { ...set, create: true, password: 'p' }],
    ['-b -c - u p', { ...set, create: true, file: '-', password: 'p' }],
    ['-H sha512 f u', { ...set, hash: { algorithm: 'sha512' } }],
    ['-H argon2id -I 7 f u', { ...set, hash: { algorithm: 'argon2id', iterations: 7 } }],
    ['-I 1 -I 20 f u', { ...set, hash: { ...PBKDF2, iterations: 20 } }],
    ['--salt-bytes 12 f u', { ...set, hash: { ...PBKDF2, saltBytes: 12 } }],
    ['--salt-bytes 64 f u', { ...set, hash: { ...PBKDF2, saltBytes: 64 } }],
    ['-D f u', { kind: 'delete', file: 'f', username: 'u' }],
    ['-U f', { kind: 'upgrade', file: 'f', hash: PBKDF2 }],
    ['-b -U f', { kind: 'upgrade', file: 'f', hash: PBKDF2 }],
  ];
  for (const [args, command] of cases) {
    test(args, () => assert.deepEqual(parsePasswdArguments(args.split(' ')), command));
  }
});

describe('refusals', () => {
  const cases: [args: string, message: string][] = [
    ['-c', 'Error: -c argument given but password file or username missing.'],
    ['-c f', 'Error: -c argument given but password file or username missing.'],
    ['-c f u p', 'Error: -c argument given but password file or username missing.'],
    ['-c -b f u', 'Error: -c argument given but password file, username, or password missing.'],
    ['-D f', 'Error: -D argument given but password file or username missing.'],
    ['-U', 'Error: -U argument given but password file missing.'],
    ['-U f u', 'Error: -U argument given but password file missing.'],
    ['-c -D f u', 'Error: -c and -D cannot be used together.'],
    ['-U -c f', 'Error: -c and -U cannot be used together.'],
    ['-D -U f', 'Error: -D and -U cannot be used together.'],
    ['-b -D f u', 'Error: -b and -D cannot be used together.'],
    ['-H', 'Error: -H argument given but not enough other arguments.'],
    ['-H md5 f u', "Error: Unknown hash type 'md5'"],
    ['-I', 'Error: -I argument given but not enough other arguments.'],
    ['-I 0 f u', 'Error: Number of iterations must be > 0.'],
    ['-I -1 f u', 'Error: Number of iterations must be > 0.'],
    ['-I x f u', 'Error: Number of iterations must be > 0.'],
    ['-I 2147483648 f u', 'Error: Number of iterations must be > 0.'],
    ['--salt-bytes 13 f u', 'Error: Number of salt bytes must be 12 or 64.'],
  ];
  for (const [args, message] of cases) {
    test(args, () => assert.deepEqual(parsePasswdArguments(args.split(' ')), { kind: 'fault', message }));
  }

  for (const args of [
    [],
    ['f'],
    ['f', 'u', 'p'],
    ['-b', 'f', 'u'],
    ['-b'],
    ['-z', 'f', 'u'],
    ['--help'],
    ['--', 'f', 'u'],
  ]) {
    test(`usage: ${args.join(' ')}`, () => assert.deepEqual(parsePasswdArguments(args), { kind: 'usage' }));
  }
});

test('usernames that the broker could not read back', () => {
  for (const good of ['u', 'two words', 'zoë', 'a#b', 'a+', '$6$'])
    assert.equal(usernameFault(good), null, good);
  const cases: [username: string, fault: RegExp][] = [
    ['', /empty/],
    ['a:b', /must not contain the ':' character\.$/],
    ['a\u0001', /must not contain control characters\.$/],
    ['a\nb', /control/],
    ['a\u0085', /control/],
    ['#a', /'#'/],
    [' a', /space/],
    ['a ', /space/],
  ];
  for (const [username, fault] of cases) assert.match(usernameFault(username)!, fault);
});

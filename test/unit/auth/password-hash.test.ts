/** Password hashes: those of other programs are accepted, ours are what other programs accept, faults are told. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  argon2Fault,
  createPasswordHash,
  decoyHash,
  formatPasswordHash,
  type HashOptions,
  type PasswordHash,
  parsePasswordHash,
  verifyPassword,
} from '../../../src/auth/password-hash.js';

/** All of them are hashes of "correct horse". */
const hashesOfOthers = [
  {
    by: "Debian's mosquitto_passwd, sha512",
    text: '$6$ltvssZT1Jns8tKIZ$dqnkbrV901Gh3CGTf9t8hLg+N4ZcYdRL0kaOQEW3tYRG/1GtgmGuuuKHXqINTjTsREXSRc787AwPiUvuIyNVwA==',
  },
  {
    by: "Debian's mosquitto_passwd, sha512-pbkdf2",
    text: '$7$101$WmcUxJJoy7WShefr$5HqnzCRSRypAM/FwrXWSEoI8r2EqA4V8uL4gse2whChk71YNJNuj1qmG6znQMRPXHrYcJUc3+42JPrJZ5WPvlw==',
  },
  {
    by: "Python's hashlib, sha512 with the long salt of 2.1",
    text: '$6$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$29QtyxbW0Qth2GH5GN0ihmagtB/755oiG+oG0UjEg6L9UK/JDvWsZp5ejiy5IkbcHEawwhh/SPu9ZHDfEL2J9A==',
  },
  {
    by: "Python's hashlib, sha512-pbkdf2 with the long salt of 2.1",
    text: '$7$1000$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$53KiEygVzVVEVUVTe4h79yMtYp0OxxoKFip82vf7OCrEbcm4/E88oGkCyN0NhQ7fLOSBIpiITuELG/0ldDPFMQ==',
  },
  {
    by: 'OpenSSL, argon2id as Mosquitto 2.1 makes it',
    text: '$argon2id$v=19$m=47104,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$aVo1St5PsxylF7NjjIPOOE5jxNbeUNweT/LEl8ONyxYqiqflWO7BotCdzcmTPqR4fg0oMZSzDQFY9PDfbH+biw',
  },
  {
    by: 'OpenSSL, argon2id with other parameters and lengths',
    text: '$argon2id$v=19$m=64,t=3,p=2$AAECAwQFBgcICQoLDA0ODw$IK/S7alx11UTA4rTcwcN0shTFfPE1Y8vREYyz6XECvE',
  },
];

function parsed(text: string): PasswordHash {
  const stored = parsePasswordHash(text);
  if (typeof stored === 'string') assert.fail(stored);
  return stored;
}

describe('hashes made by others', () => {
  for (const { by, text } of hashesOfOthers) {
    test(by, async () => {
      const stored = parsed(text);
      assert.equal(await verifyPassword(stored, Buffer.from('correct horse')), true);
      assert.equal(await verifyPassword(stored, Buffer.from('correct horsf')), false);
      assert.equal(await verifyPassword(stored, Buffer.from('')), false);
      assert.equal(formatPasswordHash(stored), text);
    });
  }
});

describe('hashes made here', () => {
  const cases: { options: HashOptions; shape: RegExp }[] = [
    { options: { algorithm: 'sha512' }, shape: /^\$6\$[\w+/]{86}==\$[\w+/]{86}==$/ },
    { options: { algorithm: 'sha512', saltBytes: 12 }, shape: /^\$6\$[\w+/]{16}\$[\w+/]{86}==$/ },
    { options: { algorithm: 'sha512-pbkdf2' }, shape: /^\$7\$1000\$[\w+/]{86}==\$[\w+/]{86}==$/ },
    {
      options: { algorithm: 'sha512-pbkdf2', iterations: 7, saltBytes: 12 },
      shape: /^\$7\$7\$[\w+/]{16}\$[\w+/]{86}==$/,
    },
    {
      options: { algorithm: 'argon2id' },
      shape: /^\$argon2id\$v=19\$m=47104,t=1,p=1\$[\w+/]{86}\$[\w+/]{86}$/,
    },
  ];
  for (const { options, shape } of cases) {
    test(JSON.stringify(options), async () => {
      const password = Buffer.from('pässword');
      const text = formatPasswordHash(await createPasswordHash(password, options));
      assert.match(text, shape);
      assert.equal(await verifyPassword(parsed(text), password), true);
      assert.equal(await verifyPassword(parsed(text), Buffer.from('password')), false);
      const again = formatPasswordHash(await createPasswordHash(password, options));
      assert.notEqual(again, text, 'each hash has its own salt');
    });
  }
});

test('the text of a hash that cannot be used tells why', () => {
  const salt = 'AAAAAAAAAAAAAAAA';
  const hash = `${'A'.repeat(86)}==`;
  const faults: [text: string, why: RegExp][] = [
    ['', /not of type/],
    ['plain', /not hashed/],
    ['plain$6$', /not hashed/],
    [`$5$${salt}$${hash}`, /not of type/],
    ['$', /not of type/],
    ['$6$', /written/],
    [`$6$${salt}`, /written/],
    [`$6$${salt}$${hash}$`, /written/],
    [`$6$$${hash}`, /salt/],
    [`$6$AAAA$${hash}`, /salt/],
    [`$6$${salt}A$${hash}`, /salt/],
    [`$6$AAAAAAA!AAAAAAAA$${hash}`, /salt/],
    [`$6$${salt}$`, /hash/],
    [`$6$${salt}$${'A'.repeat(84)}`, /hash/],
    [`$6$${salt}$${'A'.repeat(86)}`, /hash/],
    [`$6$${salt}$${'A'.repeat(85)}B==`, /hash/],
    [`$7$${salt}$${hash}`, /written/],
    [`$7$0$${salt}$${hash}`, /iterations/],
    [`$7$-1$${salt}$${hash}`, /iterations/],
    [`$7$1e3$${salt}$${hash}`, /iterations/],
    [`$7$2147483648$${salt}$${hash}`, /iterations/],
    [`$7$1$${salt}$AAAA`, /hash/],
    ['$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAA', /written/],
    ['$argon2id$v=16$m=64,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /written/],
    ['$argon2id$v=19$m=64,t=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /parameters/],
    ['$argon2id$v=19$m=7,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /parameters/],
    ['$argon2id$v=19$m=64,t=0,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /parameters/],
    ['$argon2id$v=19$m=9999999999,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /parameters/],
    ['$argon2id$v=19$m=64,t=1,p=1$AAAA$AAAAAAAAAAA', /salt/],
    ['$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAA$A', /hash/],
    ['$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAA', /not of type/],
  ];
  for (const [text, why] of faults) {
    const fault = parsePasswordHash(text);
    assert.equal(typeof fault, 'string', `${text} is refused`);
    assert.match(fault as string, why, text);
  }
});

test('a decoy costs the same and fits no password', async () => {
  const stored = parsed(hashesOfOthers[1]!.text);
  const decoy = decoyHash(stored);
  assert.equal(decoy.algorithm === 'sha512-pbkdf2' && decoy.iterations, 101);
  assert.equal(await verifyPassword(decoy, Buffer.from('correct horse')), false);
});

test('argon2id can be computed on this machine', async () => {
  assert.equal(await argon2Fault(), null);
});

test('the event loop goes on while a password is hashed', async () => {
  let turns = 0;
  let hashing = true;
  const count = () => {
    turns += 1;
    if (hashing) setImmediate(count);
  };
  setImmediate(count);
  await createPasswordHash(Buffer.from('x'), { algorithm: 'sha512-pbkdf2', iterations: 20_000 });
  hashing = false;
  assert.ok(turns > 10, `${turns} turns`);
});

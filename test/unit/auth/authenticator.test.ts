/** Who may connect: every rule with both outcomes, then slowing down, load, and what a reload changes. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import {
  Authenticator,
  type ListenerAccess,
  type LoginAnswer,
  type LoginRequest,
  type TlsIdentity,
} from '../../../src/auth/authenticator.js';
import { type PasswordFile, parsePasswordFile } from '../../../src/auth/password-file.js';
import { createPasswordHash, formatPasswordHash } from '../../../src/auth/password-hash.js';
import { ReasonCode } from '../../../src/mqtt/reason-codes.js';

async function hashed(password: string, iterations = 10): Promise<string> {
  const options = { algorithm: 'sha512-pbkdf2', iterations } as const;
  return formatPasswordHash(await createPasswordHash(Buffer.from(password), options));
}

function passwordFile(text: string): PasswordFile {
  const result = parsePasswordFile('pw', text);
  if (!result.ok) assert.fail(JSON.stringify(result.errors));
  return result.passwords;
}

let passwords: PasswordFile;
before(async () => {
  passwords = passwordFile(
    `alice:${await hashed('right')}\nbob:${await hashed('')}\ncarol:${await hashed('her')}\n`,
  );
});

const OPEN: ListenerAccess = {
  allowAnonymous: true,
  passwords: null,
  users: null,
  tls: false,
  useIdentityAsUsername: false,
  useSubjectAsUsername: false,
  useUsernameAsClientid: false,
  clientidPrefixes: undefined,
  delayFailedLogins: true,
};

type LoginFields = Partial<Omit<LoginRequest, 'password'>> & { password?: string };

function request({ password, ...others }: LoginFields): LoginRequest {
  return {
    clientId: 'id',
    username: undefined,
    authenticationMethod: undefined,
    identity: undefined,
    address: '192.0.2.1',
    isGone: () => false,
    ...others,
    password: password === undefined ? undefined : Buffer.from(password),
  };
}

/** Virtual time: waiting lets it pass. */
class Ports {
  time = 0;
  readonly waits: number[] = [];
  now = () => this.time;
  wait = async (ms: number) => {
    this.waits.push(ms);
    this.time += ms;
  };
}

/** `username@clientId (voucher)`, or the reason code and why. */
function brief(answer: LoginAnswer): string {
  if (answer.admitted) return `${answer.username}@${answer.clientId} (${answer.voucher.by})`;
  return `0x${answer.reasonCode.toString(16)} ${answer.why}`;
}

const CERTIFICATE: TlsIdentity = { kind: 'certificate', commonName: 'device 1', subject: 'CN=device 1,O=x' };
const NAMELESS: TlsIdentity = { kind: 'certificate', commonName: undefined, subject: 'O=x' };
const PSK: TlsIdentity = { kind: 'psk', identity: 'key 1' };

interface Case {
  what: string;
  access: Partial<ListenerAccess> & { withPasswords?: boolean };
  logins: [LoginFields, string | RegExp][];
}

const cases: Case[] = [
  {
    what: 'anonymous allowed, no password_file: everybody, with any username',
    access: {},
    logins: [
      [{}, 'undefined@id (anonymous)'],
      [{ username: 'x' }, 'x@id (anonymous)'],
      [{ username: 'x', password: 'any' }, 'x@id (anonymous)'],
      [{ password: 'alone' }, 'undefined@id (anonymous)'],
    ],
  },
  {
    what: 'anonymous not allowed, no password_file: nobody',
    access: { allowAnonymous: false },
    logins: [
      [{}, /^0x87 there is no username/],
      [{ username: 'x', password: 'any' }, /^0x87 there is no password_file/],
    ],
  },
  {
    what: 'password_file, anonymous not allowed',
    access: { withPasswords: true, allowAnonymous: false },
    logins: [
      [{}, /^0x87 there is no username/],
      [{ password: 'right' }, /^0x87 there is no username/],
      [{ username: 'alice', password: 'right' }, 'alice@id (password)'],
      [{ username: 'alice', password: 'wrong' }, '0x87 the password of user "alice" is wrong'],
      [{ username: 'alice', password: '' }, '0x87 user "alice" sent an empty password'],
      [{ username: 'alice' }, '0x87 user "alice" sent no password'],
      [{ username: 'Alice', password: 'right' }, '0x87 user "Alice" is unknown'],
      [{ username: '', password: 'right' }, '0x87 user "" is unknown'],
      // bob's hash is that of the empty password, which mosquitto_passwd of Mosquitto 2.0 makes.
      [{ username: 'bob', password: '' }, '0x87 user "bob" sent an empty password'],
      [{ username: 'bob' }, '0x87 user "bob" sent no password'],
    ],
  },
  {
    what: 'password_file and anonymous allowed: a username is checked all the same',
    access: { withPasswords: true },
    logins: [
      [{}, 'undefined@id (anonymous)'],
      [{ username: 'alice', password: 'right' }, 'alice@id (password)'],
      [{ username: 'alice', password: 'wrong' }, /^0x87/],
      [{ username: 'eve', password: 'x' }, /^0x87/],
    ],
  },
  {
    what: 'an empty password_file knows nobody',
    access: { passwords: { file: 'pw', users: new Map(), decoy: null } },
    logins: [
      [{ username: 'alice', password: 'right' }, '0x87 user "alice" is unknown'],
      [{}, 'undefined@id (anonymous)'],
    ],
  },
  {
    what: 'use_identity_as_username: certificate or PSK identity replace the username, the password is not read',
    access: { withPasswords: true, allowAnonymous: false, tls: true, useIdentityAsUsername: true },
    logins: [
      [{ identity: CERTIFICATE }, 'device 1@id (identity)'],
      [{ identity: CERTIFICATE, username: 'alice', password: 'wrong' }, 'device 1@id (identity)'],
      [{ identity: PSK }, 'key 1@id (identity)'],
      [{ identity: { kind: 'proxy', commonName: 'far' } }, 'far@id (identity)'],
      [
        { identity: { kind: 'proxy', commonName: undefined } },
        '0x86 there is no common name of a verified certificate in the PROXY header to take as username',
      ],
      [{ identity: NAMELESS }, '0x86 there is no common name in the certificate to take as username'],
      [{ identity: { ...CERTIFICATE, commonName: '' } }, /^0x86/],
      [{ username: 'alice', password: 'right' }, '0x86 there is no certificate to take as username'],
    ],
  },
  {
    what: 'use_subject_as_username',
    access: { allowAnonymous: false, tls: true, useSubjectAsUsername: true },
    logins: [
      [{ identity: CERTIFICATE }, 'CN=device 1,O=x@id (identity)'],
      [{ identity: NAMELESS }, 'O=x@id (identity)'],
      [{ identity: PSK }, /^0x86/],
      [{ username: 'alice', password: 'right' }, /^0x86/],
    ],
  },
  {
    what: 'use_identity_as_username goes before use_subject_as_username',
    access: { tls: true, useIdentityAsUsername: true, useSubjectAsUsername: true },
    logins: [
      [{ identity: CERTIFICATE }, 'device 1@id (identity)'],
      [{ identity: NAMELESS }, /^0x86/],
    ],
  },
  {
    what: 'without TLS the two have no effect',
    access: { withPasswords: true, useIdentityAsUsername: true, useSubjectAsUsername: true },
    logins: [
      [{}, 'undefined@id (anonymous)'],
      [{ username: 'alice', password: 'wrong' }, /^0x87/],
    ],
  },
  {
    what: 'TLS without either: the username of the packet counts, whatever the certificate says',
    access: { withPasswords: true, allowAnonymous: false, tls: true },
    logins: [
      [{ identity: CERTIFICATE, username: 'alice', password: 'right' }, 'alice@id (password)'],
      [{ identity: CERTIFICATE }, /^0x87/],
    ],
  },
  {
    what: 'use_username_as_clientid',
    access: { withPasswords: true, useUsernameAsClientid: true },
    logins: [
      [{ username: 'alice', password: 'right' }, 'alice@alice (password)'],
      [{ username: 'alice', password: 'wrong' }, /^0x87/],
      [{}, /^0x87 there is no username to use as client id/],
      [{ username: '' }, /^0x87 there is no username to use as client id/],
    ],
  },
  {
    what: 'use_username_as_clientid takes the username from the certificate',
    access: { tls: true, useIdentityAsUsername: true, useUsernameAsClientid: true },
    logins: [[{ identity: CERTIFICATE }, 'device 1@device 1 (identity)']],
  },
  {
    what: 'clientid_prefixes: the id of the packet, before anything else',
    access: { withPasswords: true, clientidPrefixes: 'dev-', useUsernameAsClientid: true },
    logins: [
      [{ clientId: 'dev-1', username: 'alice', password: 'right' }, 'alice@alice (password)'],
      [{ clientId: 'Dev-1', username: 'alice', password: 'right' }, /^0x87 the client id does not begin/],
    ],
  },
  {
    what: 'an authentication method that nobody handles',
    access: {},
    logins: [[{ authenticationMethod: 'SCRAM-SHA-1' }, /^0x8c nobody handles/]],
  },
];

describe('decisions', () => {
  for (const { what, access, logins } of cases) {
    test(what, async () => {
      const { withPasswords, ...given } = access;
      const settings = { ...OPEN, ...(withPasswords ? { passwords } : {}), ...given };
      for (const [fields, expected] of logins) {
        const answer = brief(await new Authenticator(new Ports()).login(settings, request(fields)));
        if (typeof expected === 'string') assert.equal(answer, expected);
        else assert.match(answer, expected);
      }
    });
  }
});

describe('repeated failures', () => {
  const wrong = () => request({ username: 'alice', password: 'wrong' });
  const right = () => request({ username: 'alice', password: 'right' });

  test('slow down that user from that address, and nobody else', async () => {
    const ports = new Ports();
    const authenticator = new Authenticator(ports);
    const access = { ...OPEN, passwords };
    for (let i = 0; i < 6; i += 1) await authenticator.login(access, wrong());
    assert.deepEqual(ports.waits, []);
    await authenticator.login(access, { ...right(), address: '192.0.2.2' });
    await authenticator.login(access, request({ username: 'carol', password: 'her' }));
    assert.deepEqual(ports.waits, []);
    await authenticator.login(access, wrong());
    assert.deepEqual(ports.waits, [500]);
    assert.equal((await authenticator.login(access, right())).admitted, true);
    assert.deepEqual(ports.waits, [500], 'a password that was right before does not wait');
    assert.equal((await authenticator.login(access, wrong())).admitted, false);
    assert.deepEqual(ports.waits, [500, 1000], 'and says nothing of the others');
  });

  test('are not slowed down where delay_failed_logins is off', async () => {
    const ports = new Ports();
    const authenticator = new Authenticator(ports);
    const access = { ...OPEN, passwords, delayFailedLogins: false };
    for (let i = 0; i < 60; i += 1)
      assert.equal((await authenticator.login(access, wrong())).admitted, false);
    assert.equal((await authenticator.login(access, right())).admitted, true);
    assert.deepEqual(ports.waits, []);
  });

  /** Time passes as the test says. */
  class Clock {
    time = 0;
    #timers: { at: number; done: () => void }[] = [];
    now = () => this.time;
    wait = (ms: number) => new Promise<void>((done) => void this.#timers.push({ at: this.time + ms, done }));
    async pass(ms: number): Promise<void> {
      for (const end = this.time + ms; ; ) {
        for (let turns = 0; turns < 5; turns += 1) await new Promise((resolve) => setImmediate(resolve));
        const next = this.#timers.sort((a, b) => a.at - b.at)[0];
        if (next === undefined || next.at > end) {
          this.time = end;
          return;
        }
        this.#timers.shift();
        this.time = next.at;
        next.done();
      }
    }
  }

  /**
   * Five wrong passwords a second for a minute, and every three seconds the right one of the same user from the same
   * address. @returns of each of these its answer and how many milliseconds it took
   */
  async function underAttack(attacker: (i: number) => string, knows: boolean): Promise<[string, number][]> {
    const clock = new Clock();
    const authenticator = new Authenticator(clock);
    // This hash is computed at once.
    const hash = await createPasswordHash(Buffer.from('right'), { algorithm: 'sha512' });
    const access = { ...OPEN, passwords: passwordFile(`alice:${formatPasswordHash(hash)}\n`) };
    if (knows) assert.equal((await authenticator.login(access, right())).admitted, true);
    const answers: [string, number][] = [];
    for (let i = 0; i < 300; i += 1) {
      void authenticator.login(access, { ...wrong(), clientId: attacker(i) });
      if (i % 15 === 14) {
        const from = clock.time;
        const asked = Promise.resolve(authenticator.login(access, { ...right(), clientId: `device ${i}` }));
        void asked.then((answer) => answers.push([brief(answer).split(' ')[0]!, clock.time - from]));
      }
      await clock.pass(200);
    }
    await clock.pass(600_000);
    assert.equal(answers.length, 20, 'nobody waits for ever');
    return answers;
  }

  const isLetIn = ([answer]: [string, number]) => answer.startsWith('alice@');

  test('of one client do not keep another one of the same user and address out', async () => {
    const answers = await underAttack(() => 'old device', false);
    assert.deepEqual(
      answers.filter((answer) => !isLetIn(answer)),
      [],
    );
    assert.ok(
      answers.every(([, ms]) => ms <= 2000),
      JSON.stringify(answers),
    );
  });

  test('of ever new clients: who is sent away unseen is told to come again, and some are looked at', async () => {
    const answers = await underAttack((i) => `guess ${i}`, false);
    const others = answers.filter((answer) => !isLetIn(answer));
    assert.deepEqual(new Set(others.map(([answer]) => answer)), new Set(others.length > 0 ? ['0x89'] : []));
    assert.ok(others.length <= 16, JSON.stringify(answers));
  });

  test('do not touch a password that was right before', async () => {
    const answers = await underAttack((i) => `guess ${i}`, true);
    assert.ok(
      answers.every((answer) => isLetIn(answer) && answer[1] === 0),
      JSON.stringify(answers),
    );
  });

  test('trying many names from one address makes its refusals late, not its successes', async () => {
    const ports = new Ports();
    const authenticator = new Authenticator(ports);
    const access = { ...OPEN, passwords };
    for (let i = 0; i < 51; i += 1) {
      await authenticator.login(access, request({ username: `user${i}`, password: 'x' }));
    }
    assert.deepEqual(ports.waits, []);
    await authenticator.login(access, request({ username: 'next', password: 'x' }));
    assert.deepEqual(ports.waits, [500]);
    await authenticator.login(access, right());
    assert.deepEqual(ports.waits, [500]);
  });
});

describe('under load', () => {
  test('nothing is hashed for a connection that is gone, and that is no failure', async () => {
    const ports = new Ports();
    const authenticator = new Authenticator(ports);
    const access = { ...OPEN, passwords };
    for (let i = 0; i < 20; i += 1) {
      const login = { ...request({ username: 'alice', password: 'right' }), isGone: () => true };
      const answer = await authenticator.login(access, login);
      assert.equal(answer.admitted, false);
    }
    assert.deepEqual(ports.waits, []);
    const answer = await authenticator.login(access, request({ username: 'alice', password: 'right' }));
    assert.equal(answer.admitted, true);
    assert.deepEqual(ports.waits, []);
  });

  test('more logins than may wait are told that the server is busy', async () => {
    const authenticator = new Authenticator(new Ports(), { hashesRunningMax: 1, hashesWaitingMax: 2 });
    const logins = Array.from({ length: 5 }, () =>
      authenticator.login({ ...OPEN, passwords }, request({ username: 'alice', password: 'right' })),
    );
    const answers = await Promise.all(logins);
    assert.deepEqual(
      answers.map((answer) => (answer.admitted ? 0 : answer.reasonCode)),
      [0, 0, 0, ReasonCode.serverBusy, ReasonCode.serverBusy],
    );
  });
});

describe('after a reload', () => {
  async function admittedWith(access: ListenerAccess, login: LoginRequest) {
    const authenticator = new Authenticator(new Ports());
    const answer = await authenticator.login(access, login);
    assert.ok(answer.admitted);
    return { still: (changed: ListenerAccess) => authenticator.isStillAdmitted(changed, login, answer) };
  }

  test('a user whose entry is the same stays without hashing, even behind a busy queue', async () => {
    const login = request({ username: 'alice', password: 'right' });
    const { still } = await admittedWith({ ...OPEN, passwords }, login);
    const text = [...passwords.users.values()].map((entry) => `${entry.username}:${entry.text}`).join('\n');
    assert.equal(await still({ ...OPEN, passwords: passwordFile(`# new\n${text}\n`) }), true);
    const same = { ...login, isGone: () => assert.fail('a password is looked at') };
    const authenticator = new Authenticator(new Ports());
    const answer = await authenticator.login({ ...OPEN, passwords }, login);
    assert.ok(answer.admitted);
    assert.equal(await authenticator.isStillAdmitted({ ...OPEN, passwords }, same, answer), true);
  });

  test('a changed entry decides anew; a missing one sends the client away', async () => {
    const { still } = await admittedWith(
      { ...OPEN, passwords },
      request({ username: 'alice', password: 'right' }),
    );
    const hashedAgain = passwordFile(`alice:${await hashed('right')}\n`);
    assert.equal(await still({ ...OPEN, passwords: hashedAgain }), true);
    assert.equal(await still({ ...OPEN, passwords: passwordFile(`alice:${await hashed('new')}\n`) }), false);
    assert.equal(await still({ ...OPEN, passwords: passwordFile(`bob:${await hashed('right')}\n`) }), false);
  });

  test('anonymous clients go when that is no longer allowed', async () => {
    const { still } = await admittedWith(OPEN, request({}));
    assert.equal(await still(OPEN), true);
    assert.equal(await still({ ...OPEN, passwords }), true);
    assert.equal(await still({ ...OPEN, allowAnonymous: false }), false);
  });

  test('a username that nobody checked is checked once there is a password_file', async () => {
    const { still } = await admittedWith(OPEN, request({ username: 'alice', password: 'wrong' }));
    assert.equal(await still({ ...OPEN, passwords }), false);
    const other = await admittedWith(OPEN, request({ username: 'alice', password: 'right' }));
    assert.equal(await other.still({ ...OPEN, passwords }), true);
  });

  test('a client known by its certificate stays as long as the certificate counts', async () => {
    const access = { ...OPEN, allowAnonymous: false, tls: true, useIdentityAsUsername: true };
    const { still } = await admittedWith(access, request({ identity: CERTIFICATE }));
    assert.equal(await still(access), true);
    assert.equal(await still({ ...access, useIdentityAsUsername: false, useSubjectAsUsername: true }), false);
  });
});

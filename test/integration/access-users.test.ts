/** Who may connect: anonymous clients, passwords, names, listeners with their own settings, plugins, and the files. */
import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ProtocolVersion } from '../../src/mqtt/packets.js';
import { isRoot, onPort, reload, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { makeFolder } from '../support/cleanup.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { builtFolder, projectFolder } from '../support/project.js';

const notAuthorised = { 3: 5, 4: 5, 5: 0x87 } as const;

/** @returns the code of the CONNACK; 0 = connected */
async function connectCode(
  t: TestContext,
  broker: Broker,
  version: ProtocolVersion,
  options: ConnectOptions = {},
): Promise<number> {
  const client = await RawClient.open(t, broker, version);
  client.send(connectPacket(version, options));
  const { reasonCode } = await client.expectPacket('connack');
  if (reasonCode === 0) await client.disconnect();
  else await client.expectClosed();
  return reasonCode;
}

/** The same answer in every version of the protocol. */
async function expectConnect(
  t: TestContext,
  broker: Broker,
  admitted: boolean,
  options: ConnectOptions = {},
): Promise<void> {
  for (const version of [3, 4, 5] as const) {
    const code = await connectCode(t, broker, version, options);
    assert.equal(code, admitted ? 0 : notAuthorised[version], `version ${version}`);
  }
}

const user = (username: string, password?: string): ConnectOptions => ({
  username,
  ...(password !== undefined && { password: Buffer.from(password) }),
});

test('without anything said, a listener lets nobody in', async (t) => {
  const broker = await startBroker(t, { config: 'listener {port} 127.0.0.1' });
  await expectConnect(t, broker, false);
  await expectConnect(t, broker, false, user('somebody', 'x'));
  await broker.waitForLog(/is refused: there is no username, and anonymous clients are not allowed\./);
});

test('allow_anonymous lets everybody in, whatever they say', async (t) => {
  const broker = await startBroker(t, { config: 'listener {port} 127.0.0.1\nallow_anonymous true' });
  await expectConnect(t, broker, true);
  await expectConnect(t, broker, true, user('somebody', 'x'));
});

test('a password_file decides for who names a user, whatever the kind of its hashes', async (t) => {
  const folder = makeFolder(t);
  const kinds = [
    { algorithm: 'sha512' },
    { algorithm: 'sha512-pbkdf2', iterations: 101, saltBytes: 12 },
    { algorithm: 'sha512-pbkdf2', iterations: 1000, saltBytes: 64 },
    { algorithm: 'argon2id' },
  ] as const;
  const texts: string[] = [];
  for (const [kind, options] of kinds.entries()) {
    const users = { [`user${kind}`]: 'right', [`with space ${kind}`]: 'x' };
    texts.push(readFileSync(await writePasswords(folder, users, options), 'utf8'));
  }
  const passwordFile = writeSecret(folder, 'passwords', texts.join(''));
  for (const allowAnonymous of [true, false]) {
    const broker = await startBroker(t, {
      config: `listener {port} 127.0.0.1\nallow_anonymous ${allowAnonymous}\npassword_file ${passwordFile}`,
    });
    for (const kind of kinds.keys()) {
      await expectConnect(t, broker, true, user(`user${kind}`, 'right'));
      await expectConnect(t, broker, true, user(`with space ${kind}`, 'x'));
      assert.equal(await connectCode(t, broker, 4, user(`user${kind}`, 'wrong')), 5);
      assert.equal(await connectCode(t, broker, 5, user(`user${kind}`)), 0x87);
      assert.equal(await connectCode(t, broker, 4, user(`User${kind}`, 'right')), 5);
    }
    assert.equal(await connectCode(t, broker, 4, user('stranger', 'right')), 5);
    await expectConnect(t, broker, allowAnonymous);
  }
});

test('why somebody was refused', async (t) => {
  const passwordFile = await writePasswords(makeFolder(t), { user: 'right' });
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1\npassword_file ${passwordFile}`,
  });
  await connectCode(t, broker, 4, { ...user('user', 'wrong'), clientId: 'first' });
  await broker.waitForLog(/: Client first from \S+ is refused: the password of user "user" is wrong\.$/);
  await broker.waitForLog(/: Client \S+ \[\S+\] disconnected: not authorised\.$/);
  await connectCode(t, broker, 4, { ...user('stranger', 'x'), clientId: 'second' });
  await broker.waitForLog(/: Client second from \S+ is refused: user "stranger" is unknown\.$/);
});

test('who fails again and again has to wait, and others do not', async (t) => {
  const passwordFile = await writePasswords(makeFolder(t), { user: 'right', other: 'right' });
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1\npassword_file ${passwordFile}`,
  });
  const secondsOf = async (options: ConnectOptions): Promise<number> => {
    const began = performance.now();
    await connectCode(t, broker, 4, options);
    return (performance.now() - began) / 1000;
  };
  for (let failure = 0; failure < 6; failure += 1) await secondsOf(user('user', 'wrong'));
  assert.ok((await secondsOf(user('user', 'wrong'))) > 0.4, 'the seventh is slowed down');
  await secondsOf(user('user', 'wrong'));
  let isAnswered = false;
  const ninth = secondsOf(user('user', 'wrong')).then(() => {
    isAnswered = true;
  });
  await secondsOf(user('other', 'right'));
  assert.ok(!isAnswered, 'another user is not');
  await ninth;
});

test('use_username_as_clientid', async (t) => {
  const broker = await startBroker(t, {
    config: 'listener {port} 127.0.0.1\nallow_anonymous true\nuse_username_as_clientid true',
  });
  await expectConnect(t, broker, false);
  await expectConnect(t, broker, true, { ...user('named', 'x'), clientId: 'unused' });
  await broker.waitForLog(/ as named \(p5, c1, k0, u'named'\)\.$/);
  assert.ok(!broker.log.some((line) => line.includes(' as unused ')));
});

test('clientid_prefixes', async (t) => {
  const broker = await startBroker(t, {
    config:
      'listener {port} 127.0.0.1\nallow_anonymous true\nclientid_prefixes good-\nauto_id_prefix good-auto-',
  });
  await expectConnect(t, broker, true, { clientId: 'good-1' });
  await expectConnect(t, broker, false, { clientId: 'bad' });
  assert.equal(await connectCode(t, broker, 4, { clientId: '' }), 0);
});

test('an authentication method that nobody handles', async (t) => {
  const broker = await startBroker(t);
  const properties = { authenticationMethod: 'SCRAM-SHA-1' };
  assert.equal(await connectCode(t, broker, 5, { properties }), 0x8c);
});

test('listener_allow_anonymous', async (t) => {
  const [open, closed] = [await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `allow_anonymous false
listener ${open} 127.0.0.1
listener_allow_anonymous true
listener ${closed} 127.0.0.1`,
  });
  await expectConnect(t, onPort(broker, open), true);
  await expectConnect(t, onPort(broker, closed), false);
});

test('per_listener_settings', async (t) => {
  const folder = makeFolder(t);
  const passwordFile = await writePasswords(folder, { user: 'right' });
  const aclFile = writeSecret(folder, 'acl', 'topic write open\nuser user\ntopic write users\n');
  const [withUsers, withRules, closed] = [await freePort(), await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `per_listener_settings true
listener ${withUsers} 127.0.0.1
password_file ${passwordFile}
listener ${withRules} 127.0.0.1
allow_anonymous true
acl_file ${aclFile}
listener ${closed} 127.0.0.1`,
  });
  await expectConnect(t, onPort(broker, withUsers), true, user('user', 'right'));
  await expectConnect(t, onPort(broker, withUsers), false, user('user', 'wrong'));
  await expectConnect(t, onPort(broker, withRules), true, user('user', 'wrong'));
  await expectConnect(t, onPort(broker, closed), false);
  const anonymous = await RawClient.connect(t, onPort(broker, withRules), 5);
  assert.ok((await anonymous.publish('open', 'x')) < 0x80);
  assert.equal(await anonymous.publish('users', 'x'), 0x87);
  const elsewhere = await RawClient.connect(t, onPort(broker, withUsers), 5, user('user', 'right'));
  assert.ok((await elsewhere.publish('open', 'x')) < 0x80, 'this listener has no rules');
});

test("Mosquitto's plugins are the built-in code", async (t) => {
  const folder = makeFolder(t);
  const passwordFile = await writePasswords(folder, { user: 'right' });
  const aclFile = writeSecret(folder, 'acl', 'user user\ntopic write mine\n');
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1
plugin /usr/lib/x86_64-linux-gnu/mosquitto_password_file.so
plugin_opt_password_file ${passwordFile}
auth_plugin /usr/lib/mosquitto/mosquitto_acl_file.so
auth_opt_acl_file ${aclFile}`,
  });
  await expectConnect(t, broker, false);
  await expectConnect(t, broker, false, user('user', 'wrong'));
  const client = await RawClient.connect(t, broker, 5, { ...user('user', 'right'), clientId: 'plain' });
  assert.ok((await client.publish('mine', 'x')) < 0x80);
  assert.equal(await client.publish('other', 'x'), 0x87);
  const special = await RawClient.connect(t, broker, 5, { ...user('user', 'right'), clientId: 'a/b' });
  assert.equal(await special.publish('mine', 'x'), 0x87, 'auth_plugin_deny_special_chars');
});

/** Runs the broker until it gives up. */
async function failedStart(t: TestContext, config: string): Promise<{ code: number | null; log: string }> {
  const configFile = join(makeFolder(t), 'broker.conf');
  writeFileSync(configFile, `user root\nlistener ${await freePort()} 127.0.0.1\n${config}`);
  const main = join(builtFolder, 'src', 'midge.cjs');
  const broker = new Program(t, 'broker', [process.execPath, main, '-c', configFile]);
  const { code } = await broker.waitForEnd();
  return { code, log: broker.lines.map((line) => line.replace(/^\d+: /, '')).join('\n') };
}

test('files that cannot be opened end the start with 13', async (t) => {
  const folder = makeFolder(t);
  const missing = join(folder, 'missing');
  const directory = join(folder, 'directory');
  mkdirSync(directory);
  const link = join(folder, 'link');
  symlinkSync(writeSecret(folder, 'target', ''), link);
  for (const [option, line] of [
    ['password_file', (file: string) => `password-file: Error: Unable to open pwfile "${file}".`],
    ['acl_file', (file: string) => `Error: Unable to open acl_file "${file}".`],
    ['psk_file', (file: string) => `Error: Unable to open pwfile "${file}".`],
  ] as const) {
    for (const file of [missing, directory, link]) {
      const { code, log } = await failedStart(t, `${option} ${file}`);
      assert.equal(code, 13, log);
      assert.ok(log.includes(line(file)), log);
    }
  }
});

test('files in another encoding than UTF-8 end the start with 3, and nothing of them is in the log', async (t) => {
  const folder = makeFolder(t);
  const files = [
    ['Password file', 'password_file', 'UTF-16', Buffer.from('\ufeffsecret:$7$101$aaaa$bbbb\n', 'utf16le')],
    ['ACL file', 'acl_file', 'UTF-16', Buffer.from('user secret\ntopic secret/#\n', 'utf16le').swap16()],
    ['PSK file', 'psk_file', 'UTF-32', Buffer.from('\ufeff\0s\0e\0c\0:\0a\0b\0', 'utf16le')],
  ] as const;
  const config: string[] = [];
  const lines: string[] = [];
  for (const [noun, option, encoding, content] of files) {
    const file = join(folder, option);
    writeFileSync(file, content, { mode: 0o600 });
    config.push(`${option} ${file}`);
    lines.push(`Error: ${noun} '${file}' is in ${encoding}.`);
    lines.push(`It has to be in UTF-8: iconv -f ${encoding} -t UTF-8 '${file}' writes it so.`);
  }
  const { code, log } = await failedStart(t, config.join('\n'));
  assert.equal(code, 3, log);
  for (const line of lines) assert.ok(log.includes(line), `${line}\nis missing in\n${log}`);
  assert.doesNotMatch(log, /s\W*e\W*c\W*r|\\x|\ufffd/);
});

test('files with faults end the start with 3, with every fault', async (t) => {
  const folder = makeFolder(t);
  const passwords = writeSecret(folder, 'passwords', 'user:plain\nother\n:x\n');
  const acl = writeSecret(folder, 'acl', 'topic wrong a\nfoo\n');
  const psk = writeSecret(folder, 'psk', 'id:xyz\n');
  const { code, log } = await failedStart(t, `password_file ${passwords}\nacl_file ${acl}\npsk_file ${psk}`);
  assert.equal(code, 3, log);
  for (const line of [
    `password-file: Error: Unable to decode line in password file '${passwords}'.`,
    `Error found at ${passwords}:1.`,
    `password-file: Error: Invalid line in password file '${passwords}': :`,
    `Error: Invalid topic access type "wrong" in acl_file "${acl}".`,
    `Error: Invalid line in acl_file "${acl}": foo.`,
    `Error opening acl file "${acl}".`,
    'Error: psk for identity "id" contains non-hexadecimal characters.',
    `Error opening psk file "${psk}".`,
  ]) {
    assert.ok(log.includes(line), `${line}\nis missing in\n${log}`);
  }
});

test('another plugin ends the start with 3', async (t) => {
  const { code, log } = await failedStart(t, 'plugin /usr/lib/mosquitto_persist_sqlite.so');
  assert.equal(code, 3);
  assert.match(log, /^Error: Unable to load plugin "\/usr\/lib\/mosquitto_persist_sqlite\.so"\.$/m);
});

test('a file that lies open is warned of', async (t) => {
  const passwordFile = await writePasswords(makeFolder(t), { user: 'right' });
  chmodSync(passwordFile, 0o644);
  const broker = await startBroker(t, {
    config: `listener {port} 127.0.0.1\npassword_file ${passwordFile}`,
  });
  await broker.waitForLog(/: Warning: File \S+ has world readable permissions\. .* use `chmod 0600 /);
});

test('who is not allowed any more has to go at a reload, others stay', async (t) => {
  const folder = makeFolder(t);
  const users = { stays: 's', removed: 'r', changed: 'c' };
  const passwordFile = await writePasswords(folder, users);
  const config = `listener {port} 127.0.0.1\nallow_anonymous true\npassword_file ${passwordFile}`;
  const broker = await startBroker(t, { workers: 2, config });
  const connect = (name: keyof typeof users) =>
    RawClient.connect(t, broker, 5, { ...user(name, users[name]), clientId: name });
  const stays = await connect('stays');
  const gone = [await connect('removed'), await connect('changed'), await RawClient.connect(t, broker, 5)];
  assert.deepEqual(await reload(broker), ['Reloading config.', 'No option and no file has changed.']);
  for (const client of [stays, ...gone]) await client.expectSilence();

  await writePasswords(folder, { stays: 's', changed: 'another' });
  const configFile = join(broker.folder, 'broker.conf');
  writeFileSync(
    configFile,
    readFileSync(configFile, 'utf8').replace('allow_anonymous true', 'allow_anonymous false'),
  );
  const lines = await reload(broker);
  assert.ok(lines.includes('Changed: allow_anonymous.'), lines.join('\n'));
  for (const client of gone) {
    await client.expectPacket('disconnect', { reasonCode: 0x87 });
    await client.expectClosed();
  }
  await broker.waitForLog(/: Client removed \[\S+\] disconnected\.$/);
  await stays.expectSilence();
  // Its own password is hashed anew with another salt: it is asked again, and is right.
  assert.ok((await stays.publish('a', 'x')) < 0x80);
});

test('after root is given up', { skip: !isRoot && 'only for root' }, async (t) => {
  const folder = makeFolder(t);
  chmodSync(folder, 0o755);
  const socket = join(folder, 'socket');
  const broker = await startBroker(t, {
    config: `user nobody\nlistener {port} 127.0.0.1\nlistener 0 ${socket}\nallow_anonymous true`,
  });
  await broker.waitForLog(/: Info: running midge as user: nobody\.$/);
  assert.equal(statSync(socket).uid, 65534, "its unix socket is the user's");
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  assert.match(status, /^Uid:\s+65534\s+65534\s+65534\s+65534$/m);
  assert.doesNotMatch(status, /^Groups:.*\b0\b/m);
  await expectConnect(t, broker, true);
});

test('users that do not exist', { skip: !isRoot && 'only for root' }, async (t) => {
  const { code, log } = await failedStart(t, 'user no-such-user');
  assert.equal(code, 3);
  assert.match(
    log,
    /^Error: Unable to drop privileges to 'no-such-user' because this user does not exist\.$/m,
  );
});

test('PUID and PGID', { skip: !isRoot && 'only for root' }, async (t) => {
  const broker = await startBroker(t, {
    env: { PUID: '12345', PGID: '23456' },
    config: 'listener {port} 127.0.0.1\nallow_anonymous true',
  });
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  assert.match(status, /^Uid:\s+12345\s+12345\s+12345\s+12345$/m);
  assert.match(status, /^Gid:\s+23456\s+23456\s+23456\s+23456$/m);
  await expectConnect(t, broker, true);
});

test('a user that may not read the program', { skip: !isRoot && 'only for root' }, async (t) => {
  const folder = makeFolder(t); // which nobody else may enter
  for (const part of ['src', 'workers']) {
    cpSync(join(builtFolder, part), join(folder, 'dist', part), { recursive: true });
  }
  cpSync(join(projectFolder, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(projectFolder, 'node_modules'), join(folder, 'node_modules'));
  const program = join(folder, 'dist', 'src', 'midge.cjs');
  const start = async (config: string): Promise<Program> => {
    const file = writeSecret(folder, 'broker.conf', `${config}\nlistener ${await freePort()} 127.0.0.1\n`);
    return new Program(t, 'broker', [process.execPath, program, '-c', file]);
  };
  const asked = await start('user nobody');
  assert.equal((await asked.waitForEnd()).code, 3, asked.tail());
  assert.ok(
    asked.lines
      .join('\n')
      .includes(`Error: User 'nobody' may not read ${program}; it has to be able to read the program.`),
    asked.tail(),
  );
  const unasked = await start('');
  await unasked.waitForLine(/running$/);
  assert.match(
    unasked.lines.join('\n'),
    /Warning: User '(mosquitto|nobody)' may not read \S+midge\.cjs, so the broker goes on as root\.$/m,
  );
  assert.match(
    unasked.lines.join('\n'),
    /Install it where that user can read it; or set the option user to root, if that is meant\.$/m,
  );
});

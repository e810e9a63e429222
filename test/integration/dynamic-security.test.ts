/** Dynamic security as its clients see it, and beside Debian's plugin and Debian's mosquitto_ctrl. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ReasonCode } from '../../src/mqtt/reason-codes.js';
import { writeSecret } from '../support/brokers/access-files.js';
import { type Broker, brokerCommand, startBroker, startMosquitto } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { projectFolder } from '../support/project.js';

const topic = '$CONTROL/dynamic-security/v1';
const plugin = '/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so';
const debianCtrl = '/usr/bin/mosquitto_ctrl';
const fixtures = join(projectFolder, 'test', 'fixtures', 'dynamic-security');
const firstText = readFileSync(join(fixtures, 'first.json'), 'utf8');
const adminPassword = 'adminadminadmin';

const user = (username: string, password: string): ConnectOptions => ({
  username,
  password: Buffer.from(password),
});

/** The configuration, with a file that begins as `text`. */
function configured(t: TestContext, text: string): { config: string; file: string } {
  const file = writeSecret(makeFolder(t), 'dynsec.json', text);
  const config = `listener {port} 127.0.0.1\nallow_anonymous true\nplugin ${plugin}\nplugin_opt_config_file ${file}`;
  return { config, file };
}

/** Somebody who sends requests and reads the answers. */
class Admin {
  readonly #client: RawClient;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  static async connect(t: TestContext, broker: Broker): Promise<Admin> {
    const client = await RawClient.connect(t, broker, 4, user('admin', adminPassword));
    await client.subscribe(`${topic}/response`);
    return new Admin(client);
  }

  async ask(request: string): Promise<string> {
    this.#client.sendPublish(topic, request, { qos: 1 });
    await this.#client.expectPacket('puback');
    return Buffer.from((await this.#client.expectPacket('publish', { qos: 0 })).payload).toString();
  }

  /** @throws if one of the commands fails */
  async run(...commands: object[]): Promise<void> {
    const answer = await this.ask(JSON.stringify({ commands }));
    assert.doesNotMatch(answer, /"error"/);
  }
}

test('rights, and whom a change disconnects, across three workers', async (t) => {
  const { config, file } = configured(t, firstText);
  const broker = await startBroker(t, { config, workers: 3 });
  const admin = await Admin.connect(t, broker);
  const rolename = 'device';
  await admin.run(
    { command: 'createRole', rolename, acls: [{ acltype: 'publishClientSend', topic: 'd/%c', allow: true }] },
    { command: 'addRoleACL', rolename, acltype: 'subscribePattern', topic: 'd/+', allow: true },
    { command: 'addRoleACL', rolename, acltype: 'unsubscribeLiteral', topic: 'd/+', allow: false },
    { command: 'createClient', username: 'u', password: 'pw', roles: [{ rolename }] },
    { command: 'createClient', username: 'bound', password: 'pw', clientid: 'only-this' },
  );
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(file, 'utf8')) as object)[0], 'changeIndex');
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(readFileSync(`${file}.bak`, 'utf8'), firstText);

  // Several clients of one user: whatever their workers are, the change is in force once it is answered.
  const devices = await Promise.all(
    [1, 2, 3, 4, 5, 6].map((n) => RawClient.connect(t, broker, 5, { clientId: `c${n}`, ...user('u', 'pw') })),
  );
  const [first, ...others] = devices;
  first!.sendPublish('d/c1', 'x', { qos: 1 });
  await first!.expectPacket('puback', { reasonCode: ReasonCode.noMatchingSubscribers });
  first!.sendPublish('d/c2', 'x', { qos: 1 });
  await first!.expectPacket('puback', { reasonCode: ReasonCode.notAuthorized });
  first!.sendSubscribe('#');
  assert.deepEqual((await first!.expectPacket('suback')).reasonCodes, [ReasonCode.notAuthorized]);
  await first!.subscribe('d/+');
  assert.deepEqual(await first!.unsubscribe('d/+'), [ReasonCode.notAuthorized]);

  // Rights that nobody is disconnected for hold for those who are connected.
  const acls = [{ acltype: 'publishClientSend', allow: true }];
  await admin.run({ command: 'setDefaultACLAccess', acls });
  for (const device of others) {
    device.sendPublish('free', 'x', { qos: 1 });
    await device.expectPacket('puback', { reasonCode: ReasonCode.noMatchingSubscribers });
  }
  const listed = await admin.ask('{"commands":[{"command":"getClient","username":"u"}]}');
  assert.equal(listed.match(/"address":"127\.0\.0\.1"/g)?.length, devices.length);

  const watcher = await RawClient.connect(t, broker, 4, user('admin', adminPassword));
  await watcher.subscribe('#');
  const will = { topic: 'will', payload: Buffer.from('w'), qos: 0, retain: false, properties: {} } as const;
  const willing = await RawClient.connect(t, broker, 5, { clientId: 'w', will, ...user('u', 'pw') });
  await admin.run({ command: 'disableClient', username: 'u' });
  for (const device of [...devices, willing]) {
    await device.expectPacket('disconnect', { reasonCode: ReasonCode.administrativeAction });
    await device.expectClosed();
  }
  await watcher.expectSilence(); // no will
  await broker.waitForLog(/Client w \[127\.0\.0\.1:\d+\] disconnected: administrative action\.$/);
  await broker.waitForLog(/dynsec: \S+\/admin \| disableClient \| username=u$/);

  for (const options of [user('u', 'pw'), user('nobody', 'pw'), user('bound', 'pw')]) {
    const refused = await RawClient.open(t, broker, 5);
    refused.send(connectPacket(5, options));
    await refused.expectPacket('connack', { reasonCode: ReasonCode.notAuthorized });
  }
  await RawClient.connect(t, broker, 5, { clientId: 'only-this', ...user('bound', 'pw') });

  // An anonymous client, and anybody without the right, has nothing to ask.
  const anonymous = await RawClient.connect(t, broker, 5);
  anonymous.sendPublish(topic, '{"commands":[]}', { qos: 1 });
  await anonymous.expectPacket('puback', { reasonCode: ReasonCode.notAuthorized });
  await admin.run({ command: 'setAnonymousGroup', groupname: 'unauthenticated' });
  await anonymous.expectPacket('disconnect', { reasonCode: ReasonCode.administrativeAction });
});

test('requests of a listener that dynamic security does not decide about are not taken', async (t) => {
  const { config } = configured(t, firstText);
  const other = await freePort();
  const own = `per_listener_settings true\n${config}\nlistener ${other} 127.0.0.1\nallow_anonymous true`;
  const broker = await startBroker(t, { config: own });
  const client = await RawClient.connect(
    t,
    Object.assign(Object.create(broker) as Broker, { port: other }),
    4,
  );
  client.sendPublish(topic, '{"commands":[{"command":"listClients"}]}');
  const { payload } = await client.expectPacket('publish');
  assert.equal(Buffer.from(payload).toString(), '{"error":"endpoint not available"}');
});

/** @returns what a broker that does not start writes, and its exit code */
async function failedStart(
  t: TestContext,
  lines: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; text: string }> {
  const file = join(makeFolder(t), 'broker.conf');
  writeFileSync(file, `user root\nlistener ${await freePort()} 127.0.0.1\n${lines}\n`);
  const program = new Program(t, 'broker', [...brokerCommand(), '-c', file], { env });
  const { code } = await program.waitForEnd();
  return { code, text: program.lines.join('\n') };
}

test('a damaged file stops the start, which names its place and leaves it as it is', async (t) => {
  const damaged = `${firstText.slice(0, 300)}`;
  const { file } = configured(t, damaged);
  writeFileSync(`${file}.bak`, firstText);
  const lines = `plugin ${plugin}\nplugin_opt_config_file ${file}`;
  const { code, text } = await failedStart(t, lines);
  assert.equal(code, 3);
  assert.match(text, /Error: The dynamic security file ".*" is not valid JSON: the text ends/);
  assert.match(text, /Error found at .*dynsec\.json:\d+\./);
  assert.match(text, /The file is left as it is\. The one before it is ".*dynsec\.json\.bak"\./);
  assert.equal(readFileSync(file, 'utf8'), damaged);
});

test('the plugin is loaded once, and with its file', async (t) => {
  const line = `plugin ${plugin}\nplugin_opt_config_file /tmp/x`;
  const twice = await failedStart(t, `${line}\n${line}`);
  assert.equal(twice.code, 3);
  assert.match(twice.text, /Error: Dynamic security plugin can currently only be loaded once\./);
  const without = await failedStart(t, `plugin ${plugin}`);
  assert.match(without.text, /Error: The plugin ".*" has no 'plugin_opt_config_file'\./);
});

test('the first start makes the file, and passwords', async (t) => {
  const folder = makeFolder(t);
  const file = join(folder, 'dynsec.json');
  const lines = `plugin ${plugin}\nplugin_opt_config_file ${file}`;
  const short = await failedStart(t, lines, { MOSQUITTO_DYNSEC_PASSWORD: 'short' });
  assert.equal(short.code, 3);
  assert.match(
    short.text,
    /Not generating dynsec config, MOSQUITTO_DYNSEC_PASSWORD must be at least 12 characters\./,
  );
  assert.equal(existsSync(file), false);

  const broker = await startBroker(t, { config: `listener {port} 127.0.0.1\n${lines}` });
  await broker.waitForLog(/Generated passwords are at .*dynsec\.json\.pw$/);
  assert.equal(statSync(`${file}.pw`).mode & 0o777, 0o600);
  const passwords = readFileSync(`${file}.pw`, 'utf8').trim().split('\n');
  assert.deepEqual(
    passwords.map((line) => /^\S+ \S{20}$/.test(line) && line.split(' ')[0]),
    ['admin', 'democlient'],
  );
  for (const line of passwords) {
    const [name, password] = line.split(' ') as [string, string];
    await (await RawClient.connect(t, broker, 5, user(name, password))).disconnect();
  }
});

// ------------------------------------------------------------ beside Debian's

interface Recorded {
  request: string;
  answer: string;
  otherwiseIn20?: boolean;
  notAskedOf20?: boolean;
}

/** Without what Mosquitto 2.0 does not know. */
function as20(answer: string): string {
  return answer.replaceAll(/,"allowwildcardsubs":(true|false)|,"connections":\[[^\]]*\]/g, '');
}

const skip = skipWithout('/usr/sbin/mosquitto', plugin, debianCtrl);

test('the same requests to Debian and to Midge: the same answers, and each reads the file of the other', {
  skip,
}, async (t) => {
  const requests = JSON.parse(readFileSync(join(fixtures, 'requests.json'), 'utf8')) as Recorded[];
  const asked = requests.filter(({ notAskedOf20 }) => !notAskedOf20);
  assert.ok(asked.length >= 200);
  const debian = configured(t, firstText); // which Midge has written
  const midge = configured(t, firstText);
  const theirs = await startMosquitto(t, { config: debian.config });
  const ours = await startBroker(t, { config: midge.config });
  const [theirAdmin, ourAdmin] = [await Admin.connect(t, theirs), await Admin.connect(t, ours)];
  for (const { request, otherwiseIn20 } of asked) {
    const [their, our] = await Promise.all([theirAdmin.ask(request), ourAdmin.ask(request)]);
    if (otherwiseIn20) assert.notEqual(as20(our), as20(their), `${request} is listed as different`);
    else assert.equal(as20(our), as20(their), request);
  }
  await Promise.all([theirs.stop(), ours.stop()]);
  const swapped = await Promise.all([
    startMosquitto(t, { config: midge.config }),
    startBroker(t, { config: debian.config }),
  ]);
  for (const broker of swapped) await (await Admin.connect(t, broker)).run({ command: 'listRoles' });
});

test("Debian's mosquitto_ctrl drives Midge", { skip }, async (t) => {
  const { config } = configured(t, firstText);
  const broker = await startBroker(t, { config });
  const ctrl = async (...args: string[]): Promise<readonly string[]> => {
    const options = ['-p', String(broker.port), '-u', 'admin', '-P', adminPassword, 'dynsec'];
    const program = new Program(t, 'mosquitto_ctrl', [debianCtrl, ...options, ...args]);
    await program.waitForEnd();
    return program.stdout;
  };
  await ctrl('createRole', 'r');
  await ctrl('addRoleACL', 'r', 'publishClientSend', 'a/#', 'allow', '5');
  await ctrl('createClient', 'u', '-p', 'pw');
  await ctrl('addClientRole', 'u', 'r', '7');
  assert.deepEqual(await ctrl('getClient', 'u'), ['Username: u', 'Clientid:', 'Roles:    r (priority: 7)']);
  assert.deepEqual(await ctrl('getRole', 'r'), [
    'Rolename: r',
    'ACLs:     publishClientSend    : allow : a/# (priority: 5)',
  ]);
  assert.deepEqual(await ctrl('listClients'), ['admin', 'u']);
});

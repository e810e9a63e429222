/**
 * The files in deploy/examples do what their comments say: each is good as it stands and with its optional lines, and
 * a broker that runs with it serves those it should. Only paths, ports and the other broker's address are replaced.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { connectAsync, type IClientOptions, MqttClient } from 'mqtt';
import { writePasswords } from '../support/brokers/access-files.js';
import { type Broker, isReference, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { ask } from '../support/clients/http-client.js';
import { makeAuthority, makeCertificates, sign } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { tcpHeader } from '../support/network/proxy-headers.js';
import { builtFolder, projectFolder } from '../support/project.js';
import { runCommand } from '../support/run-command.js';
import { patienceMs, within } from '../support/within.js';

const examples = join(projectFolder, 'deploy', 'examples');
const names = readdirSync(examples).filter((name) => name.endsWith('.conf'));
const alice = { username: 'alice', password: 'a secret' };
const meter = { username: 'meter', password: 'another one' };

describe('deploy/examples', { concurrency: 2, skip: isReference && 'the examples are for Midge' }, () => {
  for (const name of names) {
    test(`${name}: --test-config takes it, with its optional lines too`, (t) => passesTestConfig(t, name));
  }
  test('users-and-acl.conf', usersAndAcl);
  test('tls.conf', { skip: skipWithout('/usr/bin/openssl') }, tls);
  test('websockets.conf', webSockets);
  test('bridge.conf', { skip: skipWithout('/usr/bin/openssl') }, bridge);
  test('proxy.conf', proxy);
  test('http.conf', http);
});

/** A line that is commented out without a space is an option to choose; prose has a space. */
const optionalLine = /^#(?=[a-z])/gm;

async function passesTestConfig(t: TestContext, name: string): Promise<void> {
  const folder = makeFolder(t);
  for (const isWhole of [false, true]) {
    const file = join(folder, name);
    const text = example(name, folder);
    writeFileSync(file, isWhole ? text.replace(optionalLine, '') : text);
    const command = [process.execPath, join(builtFolder, 'src', 'midge.cjs'), '-c', file, '--test-config'];
    const { code, stdout, stderr } = await runCommand(command);
    assert.deepEqual(
      { code, stdout: stdout.toString(), stderr: stderr.toString() },
      { code: 0, stdout: 'Configuration file is OK.\n', stderr: '' },
    );
  }
}

/** @returns the example with the folder in place of those it names, which are made */
function example(name: string, folder: string): string {
  for (const inside of ['certs', 'www', 'store']) mkdirSync(join(folder, inside), { recursive: true });
  return readFileSync(join(examples, name), 'utf8')
    .replaceAll('/etc/mosquitto/', `${folder}/`)
    .replaceAll('/usr/share/midge/www', `${folder}/www`)
    .replaceAll('/var/lib/mosquitto/', `${folder}/store/`);
}

interface Running {
  broker: Broker;
  folder: string;
  /** By the port in the example. */
  ports: ReadonlyMap<number, number>;
}

/** Runs a broker with the example. @param prepare makes what the example wants to find in the folder */
async function run(
  t: TestContext,
  name: string,
  prepare: (folder: string) => void = () => {},
  change: (text: string) => string = (text) => text,
): Promise<Running> {
  const folder = makeFolder(t);
  let config = change(example(name, folder));
  const passwords = await writePasswords(folder, {
    [alice.username]: alice.password,
    [meter.username]: meter.password,
  });
  copyFileSync(passwords, join(folder, 'passwd'));
  prepare(folder);
  const ports = new Map<number, number>();
  for (const [, port] of config.matchAll(/^listener (\d+)/gm)) ports.set(Number(port), await freePort());
  config = config.replace(/^listener (\d+)/gm, (_, port) => `listener ${ports.get(Number(port))}`);
  return { broker: await startBroker(t, { workers: 1, config }), folder, ports };
}

async function connect(t: TestContext, url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { reconnectPeriod: 0, ...options });
  afterTest(t, () => client.endAsync(true));
  return client;
}

/** Subscribes, has the message published, and waits for it. */
async function expectMessage(
  subscriber: MqttClient,
  topic: string,
  payload: string,
  publish?: () => Promise<unknown>,
): Promise<void> {
  const arrived = new Promise<void>((resolve) => {
    subscriber.on('message', (on, bytes) => {
      if (on === topic && bytes.toString() === payload) resolve();
    });
  });
  await subscriber.subscribeAsync(topic, { qos: 1 });
  await publish?.();
  await within(patienceMs, arrived, () => `there is no ${payload} on ${topic}`);
}

async function usersAndAcl(t: TestContext): Promise<void> {
  const { ports } = await run(t, 'users-and-acl.conf', (folder) =>
    copyFileSync(join(examples, 'users-and-acl.acl'), join(folder, 'acl')),
  );
  const url = `mqtt://127.0.0.1:${ports.get(1883)}`;
  await assert.rejects(connect(t, url), /Not authorized/);
  const reader = await connect(t, url, alice);
  const writer = await connect(t, url, { ...meter, protocolVersion: 5 });
  const send = (topic: string) => writer.publishAsync(topic, '21', { qos: 1 });
  await expectMessage(reader, 'house/hall/temperature', '21', () => send('house/hall/temperature'));
  await assert.rejects(send('house/hall/light/set'), { code: 0x87 });
  await send('state/meter/uptime');
}

async function tls(t: TestContext): Promise<void> {
  const { ports, folder } = await run(t, 'tls.conf', (folder) => {
    const authority = makeAuthority(join(folder, 'certs'), 'ca');
    const server = sign(join(folder, 'certs'), authority, 'localhost', 'DNS:localhost');
    copyFileSync(server.certificate, join(folder, 'certs', 'server.crt'));
    copyFileSync(server.key, join(folder, 'certs', 'server.key'));
  });
  const ca = readFileSync(join(folder, 'certs', 'ca.crt'));
  const client = await connect(t, `mqtts://localhost:${ports.get(8883)}`, { ...alice, ca });
  await expectMessage(client, 'a', 'x', () => client.publishAsync('a', 'x', { qos: 1 }));
  await connect(t, `mqtt://127.0.0.1:${ports.get(1883)}`, alice);
}

async function webSockets(t: TestContext): Promise<void> {
  const { ports } = await run(t, 'websockets.conf');
  const client = await connect(t, `ws://127.0.0.1:${ports.get(9001)}`, alice);
  await expectMessage(client, 'a', 'x', () => client.publishAsync('a', 'x', { qos: 1 }));
  await connect(t, `mqtt://127.0.0.1:${ports.get(1883)}`, alice);
}

async function bridge(t: TestContext): Promise<void> {
  const far = makeFolder(t);
  const { authority, server } = makeCertificates(far);
  const passwords = await writePasswords(far, { 'house-1': 'secret', far: 'x' });
  const encrypted = await freePort();
  const other = await startBroker(t, {
    workers: 1,
    config: `password_file ${passwords}
listener {port} 127.0.0.1
listener ${encrypted} 127.0.0.1
certfile ${server.certificate}
keyfile ${server.key}`,
  });
  const { ports } = await run(
    t,
    'bridge.conf',
    (folder) => copyFileSync(authority, join(folder, 'certs', 'ca.crt')),
    (text) => text.replace('address broker.example.org:8883', `address localhost:${encrypted}`),
  );
  const there = await connect(t, `mqtt://127.0.0.1:${other.port}`, { username: 'far', password: 'x' });
  const here = await connect(t, `mqtt://127.0.0.1:${ports.get(1883)}`);
  await expectMessage(here, '$SYS/broker/bridge/cloud/connected', '1');
  await expectMessage(there, 'house-1/sensors/hall', '21', () =>
    here.publishAsync('sensors/hall', '21', { qos: 1 }),
  );
  await expectMessage(here, 'commands/light', 'on', () =>
    there.publishAsync('house-1/commands/light', 'on', { qos: 1 }),
  );
}

async function proxy(t: TestContext): Promise<void> {
  const { broker, ports } = await run(t, 'proxy.conf');
  const port = ports.get(1884)!;
  const direct = connectTcp(port, '127.0.0.1');
  const closed = once(direct, 'close');
  direct.write(Buffer.from('100c00044d5154540402003c0000', 'hex'));
  await within(patienceMs, closed, () => 'a client that has no header is still connected');
  const throughProxy = () => {
    const socket = connectTcp(port, '127.0.0.1');
    socket.write(tcpHeader('203.0.113.9', 4711));
    return socket;
  };
  const client = new MqttClient(throughProxy, { ...alice, clientId: 'behind', reconnectPeriod: 0 });
  afterTest(t, () => client.endAsync(true));
  await broker.waitForLog(/New client connected from 203\.0\.113\.9:4711 as behind /);
  await connect(t, `mqtt://127.0.0.1:${ports.get(1883)}`, alice);
}

async function http(t: TestContext): Promise<void> {
  const { ports } = await run(t, 'http.conf', (folder) =>
    writeFileSync(join(folder, 'www', 'index.html'), 'hello'),
  );
  const as = `${alice.username}:${alice.password}`;
  const port = ports.get(8080)!;
  assert.equal((await ask(port, '/api/v1/listeners')).status, 401);
  const { status, body } = await ask(port, '/api/v1/listeners', { as });
  assert.equal(status, 200);
  assert.equal(JSON.parse(body).listeners.length, 2);
  assert.equal((await ask(port, '/api/v1/systree', { as })).status, 200);
  assert.equal((await ask(port, '/', { as })).body, 'hello');
}

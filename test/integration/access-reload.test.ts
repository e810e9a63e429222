/** SIGHUP in the middle of everything: nothing is lost, and a broken file changes nothing. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { connect } from 'node:tls';
import { onPort, reload, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { packetBytes } from '../support/packets/packet-bytes.js';
import { patienceMs, within } from '../support/within.js';

const skip = skipWithout('/usr/bin/openssl');

const CLIENTS = 500;
const RULES = 'user load\ntopic readwrite load/#\ntopic read other/#\n';
const login = { username: 'load', password: Buffer.from('l') };

interface Loaded {
  broker: Broker;
  files: { acl: string; passwords: string; certificate: string; key: string; authority: string };
  tlsPort: number;
}

async function startLoaded(t: TestContext): Promise<Loaded> {
  const folder = makeFolder(t);
  const { server, client, authority } = makeCertificates(folder);
  const passwords = await writePasswords(folder, { load: 'l' });
  const acl = writeSecret(folder, 'acl', RULES);
  const certificate = join(folder, 'in-use.crt');
  const key = join(folder, 'in-use.key');
  copyFileSync(server.certificate, certificate);
  copyFileSync(server.key, key);
  const [port, tlsPort] = [await freePort(), await freePort()];
  const broker = await startBroker(t, {
    workers: 2,
    config: `password_file ${passwords}
acl_file ${acl}
log_type error
log_type warning
log_type information
listener ${port} 127.0.0.1
listener ${tlsPort} 127.0.0.1
certfile ${certificate}
keyfile ${key}
cafile ${client.certificate}`,
  });
  return { broker: onPort(broker, port), files: { acl, passwords, certificate, key, authority }, tlsPort };
}

/** Every client publishes to itself, one message after the other, until `stop`. */
class Load {
  readonly #clients: SessionClient[] = [];
  #sent = 0;
  #received = 0;
  #stopping = false;
  #running: Promise<unknown> = Promise.resolve();

  static async start(t: TestContext, broker: Broker): Promise<Load> {
    const load = new Load();
    for (let number = 0; number < CLIENTS; number += 1) {
      const onMessage = () => {
        load.#received += 1;
      };
      const client = await SessionClient.connect(t, broker, 4, { ...login, onMessage });
      await client.subscribe(`load/${number}`, 1);
      load.#clients.push(client);
    }
    load.#running = Promise.all(load.#clients.map((client, number) => load.#publish(client, number)));
    return load;
  }

  /** Rejects as soon as a connection is lost. */
  async #publish(client: SessionClient, number: number): Promise<void> {
    while (!this.#stopping) {
      await client.publish(`load/${number}`, Buffer.from('x'), 1);
      this.#sent += 1;
    }
  }

  get sent(): number {
    return this.#sent;
  }

  /** @returns when so many more messages have been acknowledged */
  async goOn(messages: number): Promise<void> {
    const goal = this.#sent + messages;
    const reached = async () => {
      while (this.#sent < goal) await setImmediate();
    };
    await Promise.race([within(patienceMs, reached(), () => `${messages} messages`), this.#running]);
  }

  /** No message may be missing, and none may be there twice. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    const complete = async () => {
      while (this.#received < this.#sent) await setImmediate();
    };
    await within(patienceMs, complete(), () => `${this.#sent} sent, ${this.#received} received`);
    assert.equal(this.#received, this.#sent);
  }
}

test('under load no connection and no message is lost', { skip }, async (t) => {
  const { broker, files } = await startLoaded(t);
  const load = await Load.start(t, broker);
  for (let round = 0; round < 4; round += 1) {
    await load.goOn(CLIENTS);
    writeFileSync(files.acl, `${RULES}topic read round/${round}\n`);
    const lines = await reload(broker);
    assert.equal(lines.at(-1), `Read with changes: ${files.acl}.`);
  }
  await load.goOn(CLIENTS);
  await load.stop();
});

test('a broken file in the middle of it changes nothing', { skip }, async (t) => {
  const { broker, files, tlsPort } = await startLoaded(t);
  const load = await Load.start(t, broker);
  const fingerprint = await fingerprintAt(tlsPort, files.authority);
  const configFile = join(broker.folder, 'broker.conf');
  const config = readFileSync(configFile, 'utf8');

  for (const [file, content, complaint] of [
    [files.acl, 'user load\ntopic nonsense load/#\n', 'Error: Invalid topic access type "nonsense"'],
    [files.passwords, 'load:plain\n', 'password-file: Error: Unable to decode line'],
    [files.certificate, 'no certificate', 'Error: Unable to load server certificate'],
    [files.key, 'no key', 'Error: Unable to load server key file'],
    [
      configFile,
      `${config}\nno_such_option true\n`,
      "Error: Unknown configuration variable 'no_such_option'.",
    ],
    [
      configFile,
      `${config}\nlistener ${await freePort()}\n`,
      'Error: It is not currently possible to add/remove listeners',
    ],
  ] as const) {
    const before = readFileSync(file);
    // A change that would be seen, if anything were changed at all.
    if (file !== files.acl) writeFileSync(files.acl, 'user load\ntopic deny load/#\n');
    writeFileSync(file, content);
    const lines = await reload(broker);
    assert.ok(
      lines.some((line) => line.startsWith(complaint)),
      `${complaint}\nis missing in\n${lines.join('\n')}`,
    );
    assert.ok(lines.at(-1)!.includes('nothing was changed'), lines.join('\n'));
    await load.goOn(CLIENTS);
    await RawClient.connect(t, broker, 4, login);
    assert.equal(await fingerprintAt(tlsPort, files.authority), fingerprint);
    writeFileSync(file, before);
    writeFileSync(files.acl, RULES);
  }
  await load.stop();
});

test('a new certificate is used by new connections, and the old ones stay', { skip }, async (t) => {
  const { broker, files, tlsPort } = await startLoaded(t);
  const before = await fingerprintAt(tlsPort, files.authority);
  const stays = connect({
    port: tlsPort,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: readFileSync(files.authority),
  });
  t.after(() => stays.destroy());
  await new Promise((resolve, reject) => stays.once('secureConnect', resolve).once('error', reject));

  const folder = makeFolder(t);
  const renewed = makeCertificates(folder);
  copyFileSync(renewed.server.certificate, files.certificate);
  copyFileSync(renewed.server.key, files.key);
  const lines = await reload(broker);
  assert.ok(lines.includes(`Read with changes: ${files.certificate}, ${files.key}.`), lines.join('\n'));
  const after = await fingerprintAt(tlsPort, renewed.authority);
  assert.notEqual(after, before);
  const expected = execFileSync(
    'openssl',
    ['x509', '-noout', '-fingerprint', '-sha256', '-in', files.certificate],
    {
      encoding: 'utf8',
    },
  );
  assert.ok(expected.includes(after), expected);
  assert.equal(stays.destroyed, false);
});

const hasIpv6 = Object.values(networkInterfaces()).some((own) =>
  own?.some(({ address }) => address === '::1'),
);

test('two listeners of one port keep their own settings', { skip: !hasIpv6 && 'no IPv6' }, async (t) => {
  const broker = await startBroker(t, {
    config: `per_listener_settings true
listener {port}
socket_domain ipv4
allow_anonymous true
listener {port}
socket_domain ipv6`,
  });
  const configFile = join(broker.folder, 'broker.conf');
  const answers = async () => [
    await connackCode(broker.port, '127.0.0.1'),
    await connackCode(broker.port, '::1'),
  ];
  assert.deepEqual(await answers(), [0, 5]);
  const config = readFileSync(configFile, 'utf8');
  writeFileSync(configFile, `max_inflight_messages 19\n${config}`);
  await reload(broker);
  assert.deepEqual(await answers(), [0, 5]);
  writeFileSync(configFile, `${config}\nallow_anonymous true\n`);
  await reload(broker);
  assert.deepEqual(await answers(), [0, 0]);
});

/** @returns the return code that an anonymous client gets */
function connackCode(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(port, host);
    socket.once('error', reject);
    socket.once('data', (bytes) => {
      resolve(bytes[3]!);
      socket.destroy();
    });
    socket.write(packetBytes(0x10, "00 04 'MQTT' 04 02 00 3c 00 02 'ab'"));
  });
}

/** @returns the SHA-256 fingerprint of the certificate that the broker shows */
function fingerprintAt(port: number, authority: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', ca: readFileSync(authority) });
    socket.once('error', reject);
    socket.once('secureConnect', () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
  });
}

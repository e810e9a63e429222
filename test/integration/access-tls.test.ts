/**
 * TLS with certificates and with pre-shared keys, by Debian's mosquitto_pub and Python's ssl: who gets in, who does
 * not, and what the log says about it.
 */
import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect } from 'node:tls';
import { onPort, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { python, runClient, skipWithout, startClient, subscribe } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { type Certificates, makeBadClients, makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { Program } from '../support/program.js';
import { builtFolder } from '../support/project.js';

const skip = skipWithout('/usr/bin/mosquitto_pub', '/usr/bin/openssl', python);

interface Secured {
  broker: Broker;
  folder: string;
  certificates: Certificates;
}

/** @param lines of a listener, after its certificate; `{files}` is the folder of the certificates */
async function startSecured(t: TestContext, lines: string, workers = 1): Promise<Secured> {
  const folder = makeFolder(t);
  const certificates = makeCertificates(folder);
  const { certificate, key } = certificates.server;
  const broker = await startBroker(t, {
    workers,
    config: `allow_anonymous true\nlistener {port} 127.0.0.1\ncertfile ${certificate}\nkeyfile ${key}\n${lines.replaceAll('{files}', folder)}`,
  });
  return { broker, folder, certificates };
}

const MESSAGE = ['-t', 'a/b', '-m', 'x', '-q', '1'];

/** mosquitto_pub with these arguments, to the broker's port on localhost. @returns what the log says of it */
async function attempt(t: TestContext, broker: Broker, args: readonly string[]): Promise<string> {
  const from = broker.log.length;
  const client = startClient(t, broker, 'mosquitto_pub', ['-h', 'localhost', ...MESSAGE, ...args]);
  const { code } = await client.waitForEnd();
  const line = await broker.waitForLog(/^\d+: Client .* disconnected/, { from });
  assert.equal(code === 0, line.endsWith('disconnected.'), `${args.join(' ')}: ${line}\n${client.tail()}`);
  return line.replace(/^\d+: Client \S+ \[[^\]]*\] disconnected(: )?/, '');
}

test('a listener with a certificate', { skip }, async (t) => {
  const { broker, certificates } = await startSecured(t, '');
  const { authority, otherAuthority } = certificates;
  assert.equal(await attempt(t, broker, ['--cafile', authority]), '.');
  await broker.waitForLog(/: Client \S+ negotiated TLSv1\.3 cipher TLS_AES_256_GCM_SHA384$/);
  assert.equal(await attempt(t, broker, ['--capath', certificates.authorityFolder]), '.');
  assert.match(
    await attempt(t, broker, ['--cafile', otherAuthority]),
    /^TLS: it does not trust our certificate/,
  );
  assert.match(await attempt(t, broker, []), /^TLS: it does not speak TLS \(wrong version number\)\.$/);
});

test('a listener without TLS is not for clients with it', { skip }, async (t) => {
  const { certificates } = await startSecured(t, '');
  const plain = await startBroker(t);
  const client = startClient(t, plain, 'mosquitto_pub', [...MESSAGE, '--cafile', certificates.authority]);
  assert.notEqual((await client.waitForEnd()).code, 0);
});

test('require_certificate', { skip }, async (t) => {
  const { broker, folder, certificates } = await startSecured(
    t,
    'cafile {files}/authority.crt\nrequire_certificate true',
  );
  const bad = makeBadClients(folder);
  const trusting = ['--cafile', certificates.authority];
  const showing = ({ certificate, key }: { certificate: string; key: string }) => [
    ...trusting,
    ...['--cert', certificate, '--key', key],
  ];
  assert.equal(await attempt(t, broker, showing(certificates.client)), '.');
  assert.match(await attempt(t, broker, trusting), /^TLS: it has shown no certificate/);
  assert.match(
    await attempt(t, broker, showing(bad.foreign)),
    /^TLS: its certificate "CN=foreign" is not signed by/,
  );
  assert.match(
    await attempt(t, broker, showing(bad.expired)),
    /^TLS: its certificate "CN=expired" has expired\.$/,
  );
  assert.equal(await attempt(t, broker, showing(bad.revoked)), '.', 'there is no crlfile');
});

test('authorities from a folder', { skip }, async (t) => {
  const { broker, folder, certificates } = await startSecured(
    t,
    'capath {files}/authorities\nrequire_certificate true',
  );
  const { foreign } = makeBadClients(folder);
  const { authority, client } = certificates;
  const trusting = ['--cafile', authority];
  assert.equal(
    await attempt(t, broker, [...trusting, '--cert', client.certificate, '--key', client.key]),
    '.',
  );
  assert.match(
    await attempt(t, broker, [...trusting, '--cert', foreign.certificate, '--key', foreign.key]),
    /is not signed by an authority/,
  );
});

test('crlfile, and disable_client_cert_date_checks', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority, client } = makeCertificates(folder);
  const { expired, foreignExpired, revoked, revocations } = makeBadClients(folder);
  const ports = [await freePort(), await freePort()];
  const secured = `certfile ${server.certificate}\nkeyfile ${server.key}\ncafile ${authority}\nrequire_certificate true\n`;
  const broker = await startBroker(t, {
    config: `allow_anonymous true
listener ${ports[0]} 127.0.0.1
${secured}crlfile ${revocations}
disable_client_cert_date_checks true
listener ${ports[1]} 127.0.0.1
${secured}disable_client_cert_date_checks true`,
  });
  const [withList, anyDate] = ports.map((port) => onPort(broker, port)) as [Broker, Broker];
  const showing = ({ certificate, key }: { certificate: string; key: string }) => [
    ...['--cafile', authority],
    ...['--cert', certificate, '--key', key],
  ];
  assert.equal(await attempt(t, withList, showing(client)), '.');
  assert.match(
    await attempt(t, withList, showing(revoked)),
    /^TLS: its certificate "CN=revoked" has been revoked/,
  );
  assert.equal(
    await attempt(t, withList, showing(expired)),
    '.',
    'its date does not matter, and it is not in the list',
  );
  assert.equal(await attempt(t, anyDate, showing(client)), '.');
  assert.equal(await attempt(t, anyDate, showing(expired)), '.');
  assert.match(
    await attempt(t, anyDate, showing(foreignExpired)),
    /^TLS: its certificate "CN=foreign-expired" /,
  );
});

test('names from certificates', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority, client } = makeCertificates(folder);
  const ports = [await freePort(), await freePort(), await freePort()];
  const secured = `certfile ${server.certificate}\nkeyfile ${server.key}\ncafile ${authority}\n`;
  const broker = await startBroker(t, {
    config: `allow_anonymous true
listener ${ports[0]} 127.0.0.1
${secured}require_certificate true
use_identity_as_username true
listener ${ports[1]} 127.0.0.1
${secured}require_certificate true
use_subject_as_username true
listener ${ports[2]} 127.0.0.1
${secured}use_identity_as_username true`,
  });
  const own = ['--cafile', authority, '--cert', client.certificate, '--key', client.key];
  await attempt(t, onPort(broker, ports[0]!), [...own, '-i', 'by-name']);
  await broker.waitForLog(/ as by-name \(p4, c1, k60, u'client'\)\.$/);
  await attempt(t, onPort(broker, ports[1]!), [...own, '-i', 'by-subject']);
  await broker.waitForLog(/ as by-subject \(p4, c1, k60, u'CN=client'\)\.$/);
  assert.equal(await attempt(t, onPort(broker, ports[2]!), own), 'bad username or password.');
});

test('versions and ciphers', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority } = makeCertificates(folder);
  const ports = [await freePort(), await freePort(), await freePort(), await freePort()];
  const secured = `certfile ${server.certificate}\nkeyfile ${server.key}\n`;
  const broker = await startBroker(t, {
    config: `listener ${ports[0]} 127.0.0.1
${secured}listener ${ports[1]} 127.0.0.1
${secured}tls_version tlsv1.3
ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256
listener ${ports[2]} 127.0.0.1
${secured}ciphers ECDHE-ECDSA-AES128-GCM-SHA256
listener ${ports[3]} 127.0.0.1
${secured}tls_version tlsv1.1`,
  });
  const handshake = (port: number, version: string, ciphers?: string) =>
    pythonHandshake(t, port, authority, version, ciphers);
  const [usual, newest, oneCipher, old] = ports as [number, number, number, number];
  assert.equal(await handshake(usual, 'TLSv1_2'), 'TLSv1.2');
  assert.equal(await handshake(usual, 'TLSv1_1'), 'refused');
  assert.equal(await handshake(newest, 'TLSv1_2'), 'refused');
  assert.equal(await handshake(newest, 'TLSv1_3'), 'TLSv1.3 TLS_CHACHA20_POLY1305_SHA256');
  assert.equal(await handshake(oneCipher, 'TLSv1_2', 'ECDHE-ECDSA-AES128-GCM-SHA256'), 'TLSv1.2');
  assert.equal(await handshake(oneCipher, 'TLSv1_2', 'ECDHE-ECDSA-AES256-GCM-SHA384'), 'refused');
  assert.equal(await handshake(old, 'TLSv1_1'), 'TLSv1.1');
  await broker.waitForLog(/TLS: it has no version of TLS in common with us/);
  await broker.waitForLog(/TLS: it has no cipher in common with us/);
});

/** @returns the version (and the suite of TLS 1.3) agreed on, or `refused` */
async function pythonHandshake(
  t: TestContext,
  port: number,
  authority: string,
  version: string,
  ciphers = 'ALL:@SECLEVEL=0',
): Promise<string> {
  const script = `
import socket, ssl, sys, warnings
warnings.simplefilter('ignore')
context = ssl.create_default_context(cafile=sys.argv[2])
context.minimum_version = context.maximum_version = ssl.TLSVersion[sys.argv[3]]
context.set_ciphers(sys.argv[4])
try:
    with context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='localhost') as s:
        print(s.version(), s.cipher()[0] if s.version() == 'TLSv1.3' else '')
except ssl.SSLError:
    print('refused')
`;
  const args = [String(port), authority, version, ciphers];
  const handshake = new Program(t, 'python3', [python, '-c', script, ...args]);
  assert.equal((await handshake.waitForEnd()).code, 0, handshake.tail());
  return handshake.output.trim();
}

test('pre-shared keys', { skip }, async (t) => {
  const folder = makeFolder(t);
  const pskFile = writeSecret(folder, 'psk', 'sensor:abcdef0123\nother:00ff\n');
  const ports = [await freePort(), await freePort()];
  const broker = await startBroker(t, {
    config: `allow_anonymous true
psk_file ${pskFile}
listener ${ports[0]} 127.0.0.1
psk_hint hint
use_identity_as_username true
listener ${ports[1]} 127.0.0.1
psk_hint hint
ciphers PSK-AES128-GCM-SHA256`,
  });
  const [named, oneCipher] = ports.map((port) => onPort(broker, port)) as [Broker, Broker];
  const key = (identity: string, psk: string) => ['--psk-identity', identity, '--psk', psk];
  assert.equal(await attempt(t, named, [...key('sensor', 'abcdef0123'), '-i', 'by-key']), '.');
  await broker.waitForLog(/ as by-key \(p4, c1, k60, u'sensor'\)\.$/);
  await broker.waitForLog(/: Client by-key negotiated TLSv1\.2 cipher \S*PSK\S*$/);
  assert.equal(
    await attempt(t, named, key('sensor', 'abcdef0124')),
    'TLS: the key of the identity "sensor" is wrong.',
  );
  assert.equal(
    await attempt(t, named, key('nobody', 'abcdef')),
    'TLS: the identity "nobody" is not in psk_file.',
  );
  assert.match(await attempt(t, named, []), /^TLS: it does not speak TLS/);
  assert.equal(await attempt(t, oneCipher, [...key('other', '00ff'), '-i', 'one-cipher']), '.');
  await broker.waitForLog(/: Client one-cipher negotiated TLSv1\.2 cipher PSK-AES128-GCM-SHA256$/);
});

test('a session moves with its connection to the worker that has it', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority } = makeCertificates(folder);
  const [tlsPort, plainPort] = [await freePort(), await freePort()];
  const broker = await startBroker(t, {
    workers: 3,
    config: `allow_anonymous true
listener ${tlsPort} 127.0.0.1
certfile ${server.certificate}
keyfile ${server.key}
listener ${plainPort} 127.0.0.1`,
  });
  const publisher = await RawClient.connect(t, onPort(broker, plainPort), 4);
  const args = ['-h', 'localhost', '--cafile', authority, '-i', 'mover', '-c', '-q', '1', '-t', 'to/mover'];
  const payload = 'x'.repeat(300_000);
  for (let move = 0; move < 7; move += 1) {
    const mover = await subscribe(t, onPort(broker, tlsPort), ...args);
    await publisher.publish('to/mover', `${move} ${payload}`);
    await mover.waitForMessage(`${move} ${payload}`);
    await mover.kill();
  }
});

test('where descriptors cannot change threads', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority } = makeCertificates(folder);
  const broker = await startBroker(t, {
    env: { MIDGE_NO_DESCRIPTORS: '1' },
    config: `allow_anonymous true
listener {port} 127.0.0.1
certfile ${server.certificate}
keyfile ${server.key}`,
  });
  assert.equal(await attempt(t, broker, ['--cafile', authority]), '.');
  assert.match(await attempt(t, broker, []), /^TLS: it does not speak TLS/);
});

test('a resumed session is not let in without its certificate being looked at', { skip }, async (t) => {
  const { broker, certificates } = await startSecured(
    t,
    'cafile {files}/authority.crt\nrequire_certificate true',
  );
  const { authority, client } = certificates;
  const options = {
    port: broker.port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: readFileSync(authority),
    cert: readFileSync(client.certificate),
    key: readFileSync(client.key),
  };
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const session = await new Promise<Buffer | undefined>((resolve, reject) => {
      const socket = connect({ ...options, maxVersion }, () => socket.end());
      let found: Buffer | undefined;
      socket.on('session', (ticket) => {
        found = ticket;
      });
      socket.on('error', reject);
      socket.on('close', () => resolve(found));
      socket.resume();
    });
    if (session === undefined) continue;
    const reused = await new Promise<boolean>((resolve, reject) => {
      const socket = connect({ ...options, maxVersion, session }, () => {
        resolve(socket.isSessionReused());
        socket.destroy();
      });
      socket.on('error', reject);
    });
    assert.equal(reused, false, maxVersion);
  }
});

/** @param places as in `broker.conf:4 and broker.conf:5` @returns the options that are given there */
function optionsAt(places: string): string[] {
  return [...places.matchAll(/(\S+):(\d+)/g)].map(([, file, line]) => {
    const text = readFileSync(file!, 'utf8').split('\n')[Number(line) - 1]!;
    return text.slice(0, text.indexOf(' '));
  });
}

for (const [name, lines, complaint, options, advice] of [
  [
    'a missing certificate',
    'certfile {files}/none\nkeyfile {files}/localhost.key',
    'Unable to load server certificate',
    ['certfile'],
    "'certfile' names",
  ],
  [
    'a missing key',
    'certfile {files}/localhost.crt\nkeyfile {files}/none',
    'Unable to load server key file',
    ['keyfile'],
    "'keyfile' names",
  ],
  [
    'a certificate in UTF-16',
    'certfile {files}/utf16\nkeyfile {files}/localhost.key',
    'Unable to load server certificate "{files}/utf16". Check certfile. (it is in UTF-16;',
    ['certfile'],
    "'certfile' names",
  ],
  [
    "another's key",
    'certfile {files}/localhost.crt\nkeyfile {files}/client.key',
    'Server certificate/key are inconsistent',
    ['certfile', 'keyfile'],
    "The key in 'keyfile' belongs to another certificate",
  ],
  [
    'no certificate',
    'certfile {files}/localhost.key\nkeyfile {files}/localhost.key',
    'Unable to load server certificate',
    ['certfile'],
    "'certfile' names",
  ],
  [
    'no authority',
    'certfile {files}/localhost.crt\nkeyfile {files}/localhost.key\ncafile {files}/client.key',
    'Unable to load CA certificates',
    ['cafile'],
    "'cafile' names",
  ],
  [
    'no list',
    'certfile {files}/localhost.crt\nkeyfile {files}/localhost.key\ncrlfile {files}/localhost.crt',
    'Unable to load certificate revocation file',
    ['crlfile'],
    "'crlfile' names",
  ],
  [
    'no cipher',
    'certfile {files}/localhost.crt\nkeyfile {files}/localhost.key\nciphers NONE',
    'Unable to set TLS ciphers',
    ['ciphers'],
    "'ciphers' takes",
  ],
  [
    'no suite',
    'certfile {files}/localhost.crt\nkeyfile {files}/localhost.key\nciphers_tls1.3 NONE',
    'Unable to set TLS 1.3 ciphersuites',
    ['ciphers_tls1.3'],
    "'ciphers_tls1.3' takes",
  ],
] as const) {
  test(`no start with ${name}`, { skip }, async (t) => {
    const folder = makeFolder(t);
    makeCertificates(folder);
    writeFileSync(join(folder, 'utf16'), readFileSync(join(folder, 'localhost.crt'), 'utf8'), 'utf16le');
    const config = `listener {port} 127.0.0.1\n${lines.replaceAll('{files}', folder)}`;
    await assert.rejects(startBroker(t, { config }), ({ message }: Error) => {
      assert.ok(message.includes(`Error: ${complaint.replaceAll('{files}', folder)}`), message);
      assert.deepEqual(optionsAt(/Error found at (.*)\.$/m.exec(message)?.[1] ?? ''), options, message);
      assert.ok(message.includes(advice), message);
      return true;
    });
  });
}

test('certificates that end soon are warned of', { skip }, async (t) => {
  const { broker, folder } = await startSecured(t, '');
  const line = await broker.waitForLog(/: Warning: The certificate /);
  assert.ok(line.includes(`"CN=localhost" in ${join(folder, 'localhost.crt')} expires in 1 day (`), line);
});

test('mosquitto_sub and mosquitto_pub over TLS', { skip }, async (t) => {
  const { broker, certificates } = await startSecured(t, '', 2);
  const secured = ['-h', 'localhost', '--cafile', certificates.authority];
  const payload = 'y'.repeat(1_000_000);
  const subscriber = await subscribe(t, broker, ...secured, '-t', 'big', '-q', '1');
  await runClient(t, broker, 'mosquitto_pub', [...secured, '-t', 'big', '-q', '1', '-s'], { input: payload });
  await subscriber.waitForMessage(payload);
});

test('--tls-keylog appends the secrets of every TLS listener to a file of its owner', { skip }, async (t) => {
  const folder = makeFolder(t);
  const { authority, server } = makeCertificates(folder);
  const keylog = join(folder, 'keylog');
  const pskPort = await freePort();
  const broker = await startBroker(t, {
    workers: 3,
    args: ['--tls-keylog', keylog],
    config: `allow_anonymous true
listener {port} 127.0.0.1
certfile ${server.certificate}
keyfile ${server.key}
listener ${pskPort} 127.0.0.1
psk_hint x
psk_file ${writeSecret(folder, 'psk', 'one:aabbcc\n')}`,
  });
  await broker.waitForLog(/Warning: The secrets of all TLS listeners are written to .*keylog/);
  assert.equal(statSync(keylog).mode & 0o777, 0o600);
  const secrets = () => readFileSync(keylog, 'utf8').split('\n').slice(0, -1);
  assert.deepEqual(secrets(), []);
  assert.equal(await attempt(t, broker, ['--cafile', authority]), '.');
  for (const name of ['CLIENT_TRAFFIC_SECRET_0', 'SERVER_TRAFFIC_SECRET_0']) {
    assert.ok(
      secrets().some((line) => new RegExp(`^${name} [0-9a-f]{64} [0-9a-f]{64,}$`).test(line)),
      name,
    );
  }
  const before = secrets();
  const psk = ['--psk', 'aabbcc', '--psk-identity', 'one'];
  assert.equal(await attempt(t, onPort(broker, pskPort), psk), '.');
  assert.deepEqual(secrets().slice(0, before.length), before);
  assert.ok(secrets().length > before.length);
});

test('--tls-keylog with a file that cannot be opened does not start', async (t) => {
  const midge = join(builtFolder, 'src', 'midge.cjs');
  const port = String(await freePort());
  const keylog = '/missing/keylog';
  const broker = new Program(t, 'broker', [process.execPath, midge, '-p', port, '--tls-keylog', keylog]);
  const { code } = await broker.waitForEnd();
  assert.equal(code, 1);
  assert.match(
    broker.tail(),
    /Error: Unable to open the TLS key log \/missing\/keylog: No such file or directory/i,
  );
});

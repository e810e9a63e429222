/**
 * Listeners behind a proxy [mosq: enable_proxy_protocol]: whose address counts, what is refused, what the proxy says of
 * TLS, and that whatever is spoken behind the header works as without. What is a header is in the unit tests.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { encodePacket } from '../../src/mqtt/encode.js';
import { onPort, reload, writePasswords } from '../support/brokers/access-files.js';
import { type Broker, isReference, startBroker, withBrokers } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder, shareInSuite } from '../support/cleanup.js';
import { FrameSocket, frame, Opcode, upgradeRequest } from '../support/clients/frame-socket.js';
import { moveAround, moves } from '../support/clients/move-around.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import {
  binaryHeader,
  SIGNATURE,
  sslTlv,
  tcpHeader,
  textHeader,
  tlv,
  unixHeader,
} from '../support/network/proxy-headers.js';
import { behindProxy } from '../support/network/proxy-way.js';
import { overWebSockets } from '../support/network/web-socket-way.js';
import { Random } from '../support/random.js';
import { patienceMs, within } from '../support/within.js';

const listener = (version: 1 | 2, ...further: string[]) =>
  ['listener {port} 127.0.0.1', `enable_proxy_protocol ${version}`, 'allow_anonymous true', ...further].join(
    '\n',
  );

const skip = isReference ? 'Mosquitto 2.0.11 knows no PROXY protocol' : false;
const withOpenssl = skipWithout('/usr/bin/openssl');
const noMatchingSubscribers = 0x10;
const notAuthorized = 0x87;
const badUserNameOrPassword = 0x86;

const header1 = textHeader('192.0.2.1', 40_001);
const header2 = tcpHeader('2001:db8::2', 40_002);

/** Listeners of the broker for tests that ask no other options of it; each test has clients of its own. */
const SHARED_LISTENERS = {
  1: listener(1),
  2: listener(2),
  'WebSockets 1': listener(1, 'protocol websockets'),
  'WebSockets 2': listener(2, 'protocol websockets'),
} as const;

const sharedBroker = shareInSuite('proxy-protocol', async (suite) => {
  const ports = new Map<string, number>();
  const sections: string[] = [];
  for (const [name, section] of Object.entries(SHARED_LISTENERS)) {
    ports.set(name, await freePort());
    sections.push(section.replace('{port}', String(ports.get(name))));
  }
  const config = ['max_inflight_messages 0', ...sections].join('\n');
  return { broker: await startBroker(suite, { config, workers: 3 }), ports };
});

function onSharedBroker(
  name: string,
  listenerName: keyof typeof SHARED_LISTENERS,
  run: (t: TestContext, broker: Broker) => Promise<void>,
): void {
  test(name, { skip }, async (t) => {
    const { broker, ports } = await sharedBroker();
    await run(t, onPort(broker, ports.get(String(listenerName))!));
  });
}

function connectBytes(options: ConnectOptions = {}): Buffer {
  return encodePacket(connectPacket(4, options), 4);
}

/** Connected through a proxy, together with the header. */
async function connected(
  t: TestContext,
  broker: Broker,
  header: Uint8Array,
  options: ConnectOptions = {},
): Promise<RawClient> {
  const client = await RawClient.open(t, broker, 4);
  client.send(Buffer.concat([header, connectBytes(options)]));
  await client.expectPacket('connack', { reasonCode: 0 });
  return client;
}

/** The broker has a turn to read each byte alone. */
async function sendInPieces(client: RawClient, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) {
    client.send(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The log must go on with exactly these lines; the peer of the socket, which is the proxy, is called so. */
async function expectLines(broker: Broker, from: number, expected: readonly string[]): Promise<void> {
  const lines = () =>
    broker.log
      .slice(from)
      .map((line) => line.replace(/^\d+: /, '').replaceAll(/127\.0\.0\.1:\d+/g, 'PROXY:PORT'));
  await broker.program.waitUntil(
    () => (lines().length >= expected.length ? true : undefined),
    `the lines ${expected.join('\n')}`,
  );
  assert.deepEqual(lines(), expected);
}

/** These bytes must get no answer but the end of the connection. */
async function expectRefused(t: TestContext, broker: Broker, bytes: Uint8Array | string): Promise<void> {
  const client = await RawClient.open(t, broker, 4);
  client.send(Buffer.from(bytes as string));
  await client.expectClosed();
}

function rewrite(broker: Broker, change: (text: string) => string): void {
  const file = join(broker.folder, 'broker.conf');
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

// ------------------------------------------------------------------------------------------------ whose address

for (const [version, header, address, port] of [
  [1, header1, '192.0.2.1', 40_001],
  [2, header2, '2001:db8::2', 40_002],
] as const) {
  withBrokers(
    `version ${version}: the address of the header is that of the client`,
    async (t, broker) => {
      const from = broker.log.length;
      const client = await RawClient.open(t, broker, 4);
      const ping = Buffer.from('c000', 'hex');
      client.send(Buffer.concat([header, connectBytes({ clientId: 'one' }), ping]));
      await client.expectPacket('connack', { reasonCode: 0 });
      await client.expectPacket('pingresp');
      client.end();
      const lines = [
        `New client connected from ${address}:${port} as one (p4, c1, k0).`,
        `Client one [${address}:${port}] disconnected: connection closed by client.`,
      ];
      await expectLines(broker, from, lines);
      await expectRefused(t, broker, Buffer.concat([header, Buffer.from('hello')]));
      lines.push(
        `Protocol error from ${address}:${port}: First packet not CONNECT (68).`,
        `Client ${address} [${address}:${port}] disconnected: protocol error.`,
      );
      await expectLines(broker, from, lines);
      const slow = await RawClient.open(t, broker, 4);
      await sendInPieces(slow, header);
      slow.send(connectPacket(4, { clientId: 'two' }));
      await slow.expectPacket('connack', { reasonCode: 0 });
      lines.push(`New client connected from ${address}:${port} as two (p4, c1, k0).`);
      await expectLines(broker, from, lines);
    },
    { config: listener(version), skip },
  );

  onSharedBroker(
    `version ${version}: much may follow the header at once, and a peer may not read`,
    version,
    async (t, broker) => {
      const slow = await connected(t, broker, header, { clientId: 'slow' });
      await slow.subscribe('flood', 1);
      slow.pause();
      const payload = 'x'.repeat(200_000);
      const count = 60;
      const publishes = Array.from({ length: count }, (_, n) =>
        encodePacket(
          {
            type: 'publish',
            topic: 'flood',
            payload: Buffer.from(`${n} ${payload}`),
            qos: 1,
            retain: false,
            dup: false,
            packetId: n + 1,
            properties: {},
          },
          4,
        ),
      );
      const publisher = await RawClient.open(t, broker, 4);
      publisher.send(Buffer.concat([header, connectBytes(), ...publishes]));
      await publisher.expectPacket('connack', { reasonCode: 0 });
      for (let n = 0; n < count; n += 1) await publisher.expectPacket('puback', { packetId: n + 1 });
      slow.resume();
      for (let n = 0; n < count; n += 1) {
        const { packetId } = await slow.expectPublish('flood', `${n} ${payload}`);
        slow.sendAck('puback', packetId);
      }
      await slow.expectSilence();
    },
  );
}

onSharedBroker('where the proxy does not know the client, its own address counts', 1, async (t, broker) => {
  await connected(t, broker, Buffer.from('PROXY UNKNOWN\r\n'), { clientId: 'unknown' });
  await broker.waitForLog(/: New client connected from 127\.0\.0\.1:\d+ as unknown /);
});

withBrokers(
  'on a unix socket, and of one',
  async (t, broker) => {
    const to = { path: join(broker.folder, 'proxy.sock') };
    const headers = [header2, unixHeader('/run/client'), unixHeader('')];
    const way = await behindProxy(t, broker, (n) => headers[n]!, to);
    const from = broker.log.length;
    for (const clientId of ['tcp', 'unix', 'nameless']) {
      const client = await RawClient.connect(t, way, 4, { clientId });
      await client.publish('a', 'x');
    }
    await expectLines(broker, from, [
      'New client connected from 2001:db8::2:40002 as tcp (p4, c1, k0).',
      'New client connected from /run/client:0 as unix (p4, c1, k0).',
      'New client connected from :0 as nameless (p4, c1, k0).',
    ]);
  },
  { config: 'listener 0 {folder}/proxy.sock\nenable_proxy_protocol 2\nallow_anonymous true', skip },
);

test('who fails to log in is slowed down by the address in the header', { skip }, async (t) => {
  const passwords = await writePasswords(makeFolder(t), { ann: 'secret' });
  const broker = await startBroker(t, {
    workers: 1,
    config: `password_file ${passwords}\nallow_anonymous false\nlistener {port} 127.0.0.1\nenable_proxy_protocol 1`,
  });
  const logIn = async (address: string, password: string, clientId: string): Promise<RawClient> => {
    const client = await RawClient.open(t, broker, 5);
    const packet = connectPacket(5, { clientId, username: 'ann', password: Buffer.from(password) });
    client.send(Buffer.concat([textHeader(address, 7), encodePacket(packet, 5)]));
    return client;
  };
  const tooMany = 'too many logins of user "ann" from this address wait for their turn';
  const bystander = await logIn('192.0.2.7', 'secret', 'bystander');
  await bystander.expectPacket('connack', { reasonCode: 0 });
  for (let n = 0; n < 500 && !broker.log.some((line) => line.includes(tooMany)); n += 1) {
    await logIn('192.0.2.8', 'wrong', `guess-${n}`);
    await bystander.expectSilence();
  }
  await broker.waitForLog(
    new RegExp(`: Client guess-\\d+ from 192\\.0\\.2\\.8:7 is refused: ${tooMany}\\.$`),
  );
  for (const [address, clientId] of [
    ['192.0.2.9', 'other'],
    ['192.0.2.8', 'right'], // its password was right before
  ] as const) {
    const client = await logIn(address, 'secret', clientId);
    await client.expectPacket('connack', { reasonCode: 0 });
  }
});

// ---------------------------------------------------------------------------------------------- what is refused

withBrokers(
  'headers that are none',
  async (t, broker) => {
    const from = broker.log.length;
    const lines: string[] = [];
    // biome-ignore format: a table
    const faults: [bytes: Uint8Array | string, why: string][] = [
      [connectBytes(), 'there is none'],
      [SIGNATURE, 'it is one of version 2, and the listener expects version 1'],
      ['PROXY TCP4 192.0.2.1 192.0.2.2 0 1883\r\n', 'its line "PROXY TCP4 192.0.2.1 192.0.2.2 0 1883" is not understood'],
      [`PROXY UNKNOWN ${'x'.repeat(1000)}`, 'its line is too long'],
    ];
    for (const [bytes, why] of faults) {
      await expectRefused(t, broker, bytes);
      lines.push(
        'Connection rejected, corrupt PROXY header.',
        `Client 127.0.0.1 [PROXY:PORT] disconnected: PROXY header: ${why}.`,
      );
      await expectLines(broker, from, lines);
    }
    const leaving = await RawClient.open(t, broker, 4);
    leaving.send(header1.subarray(0, 10));
    leaving.end();
    await leaving.expectClosed();
    lines.push('Client 127.0.0.1 [PROXY:PORT] disconnected: connection closed by client.');
    await expectLines(broker, from, lines);
  },
  { config: listener(1), skip },
);

withBrokers(
  'TLVs that are none, and a proxy that only looks',
  async (t, broker) => {
    const from = broker.log.length;
    await expectRefused(t, broker, binaryHeader(0x20, 0, Buffer.alloc(0)));
    await expectRefused(t, broker, Buffer.concat([binaryHeader(0x20, 0, tlv(4, 'x')), connectBytes()]));
    await expectRefused(t, broker, textHeader('192.0.2.1', 7));
    await expectLines(broker, from, [
      'Connection rejected, corrupt PROXY header.',
      'Client 127.0.0.1 [PROXY:PORT] disconnected: PROXY header: it is one of version 1, and the listener expects version 2.',
    ]);
    const next = broker.log.length;
    await expectRefused(t, broker, tcpHeader('192.0.2.1', 7, Buffer.from([4, 0, 9])));
    await expectRefused(t, broker, tcpHeader('192.0.2.1', 7, tlv(3, Buffer.alloc(4))));
    await broker.program.waitUntil(() => (broker.log.length >= next + 4 ? true : undefined), 'four lines');
    // Two workers may write at once.
    const lines = broker.log.slice(next).map((line) => line.replace(/^\d+: /, ''));
    assert.deepEqual(lines.sort(), [
      'Client 192.0.2.1 [192.0.2.1:7] disconnected: PROXY header: a TLV goes beyond its end.',
      'Client 192.0.2.1 [192.0.2.1:7] disconnected: PROXY header: its CRC32C is wrong.',
      'Connection from 192.0.2.1:7 rejected, corrupt PROXY header.',
      'Connection from 192.0.2.1:7 rejected, corrupt PROXY header.',
    ]);
  },
  { config: listener(2), skip },
);

withBrokers(
  'without the option a header is a bad packet, and its address is not believed',
  async (t, broker) => {
    const from = broker.log.length;
    const lines: string[] = [];
    for (const [header, first] of [
      [header1, '50'],
      [header2, '0D'],
    ] as const) {
      await expectRefused(t, broker, Buffer.concat([header, connectBytes()]));
      lines.push(
        `New connection from PROXY:PORT on port ${broker.port}.`,
        `Protocol error from PROXY:PORT: First packet not CONNECT (${first}).`,
        'Client 127.0.0.1 [PROXY:PORT] disconnected: protocol error.',
      );
      await expectLines(broker, from, lines);
    }
  },
  { skip },
);

withBrokers(
  'max_connections counts those without a header, and gives their places back',
  async (t, broker) => {
    const first = await connected(t, broker, header1);
    const second = await RawClient.open(t, broker, 4);
    second.send(header1.subarray(0, 10));
    await (await RawClient.open(t, broker, 4)).expectClosed();
    await broker.waitForLog(/: Client connection from 127\.0\.0\.1 denied: max_connections exceeded\.$/);
    second.send(Buffer.concat([header1.subarray(10), connectBytes()]));
    await second.expectPacket('connack', { reasonCode: 0 });
    await first.disconnect();
    second.destroy();
    // The places are free as soon as main knows.
    const open: RawClient[] = [];
    while (open.length < 2) {
      const client = await connected(t, broker, header1).catch(() => null);
      if (client !== null) open.push(client);
    }
  },
  { config: listener(1, 'max_connections 2'), skip },
);

const seed = randomInt(2 ** 32);

/** What a proxy sends that knows nothing, or only the beginning. */
function nonsense(random: Random): Buffer {
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random.below(256)));
  switch (random.below(5)) {
    case 0:
      return noise(1 + random.below(700));
    case 1:
      return header2.subarray(0, 1 + random.below(header2.length));
    case 2:
      return Buffer.concat([SIGNATURE, Buffer.from([0x21, 0x11]), noise(random.below(600))]);
    case 3:
      return tcpHeader('192.0.2.1', 7, noise(random.below(480)));
    default:
      return Buffer.concat([header2, connectBytes().subarray(0, random.below(14)), noise(random.below(100))]);
  }
}

withBrokers(
  `nonsense harms nobody, and takes no place for ever (seed ${seed})`,
  async (t, broker) => {
    const random = new Random(seed);
    const bystander = await connected(t, broker, header2);
    for (let n = 0; n < 200; n += 1) {
      const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
      await socket.sendAlone(nonsense(random));
      socket.destroy();
    }
    await bystander.expectSilence();
    // All places but one are free as soon as main knows.
    const open: RawClient[] = [];
    while (open.length < 19) {
      const client = await connected(t, broker, header2).catch(() => null);
      if (client !== null) open.push(client);
    }
  },
  { config: listener(2, 'max_connections 20'), skip },
);

withBrokers(
  'an orderly stop while a header is awaited',
  async (t, broker) => {
    const client = await RawClient.open(t, broker, 4);
    client.send(header1.subarray(0, 10));
    const bystander = await connected(t, broker, header1);
    await bystander.expectSilence();
    assert.equal(await broker.stop(), 0);
    await client.expectClosed();
  },
  { config: listener(1), skip },
);

// ------------------------------------------------------------------------------------ what the proxy says of TLS

const certified = { client: 5, version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384' };

withBrokers(
  'TLS and a certificate are asked for, and give the user name',
  async (t, broker) => {
    const from = broker.log.length;
    const lines: string[] = [];
    const at = 'Connection from 192.0.2.1:7';
    // biome-ignore format: a table
    const clients: [tlvs: Uint8Array[], lines: string[]][] = [
      [[], [`${at} rejected, client did not connect using TLS.`]],
      [[sslTlv({ client: 0 })], [`${at} rejected, client did not connect using TLS.`]],
      [[sslTlv({ client: 1, version: 'TLSv1.3' })], [`${at} rejected, client did not provide a certificate.`]],
      [[sslTlv({ ...certified, verify: 18, commonName: 'ann' })], [`${at} rejected, client did not provide a certificate.`]],
    ];
    for (const [tlvs, expected] of clients) {
      await expectRefused(t, broker, Buffer.concat([tcpHeader('192.0.2.1', 7, ...tlvs), connectBytes()]));
      lines.push(...expected);
      await expectLines(broker, from, lines);
    }
    const negotiated = `${at} negotiated TLSv1.3 cipher TLS_AES_256_GCM_SHA384`;
    const ann = tcpHeader('192.0.2.1', 7, sslTlv({ ...certified, commonName: 'ann' }));
    const client = await connected(t, broker, ann, {
      clientId: 'id',
      username: 'eve',
      password: Buffer.from('x'),
    });
    lines.push(negotiated, "New client connected from 192.0.2.1:7 as id (p4, c1, k0, u'ann').");
    await expectLines(broker, from, lines);
    await client.publish('a', 'x');

    const nameless = await RawClient.open(t, broker, 5);
    nameless.send(
      Buffer.concat([
        tcpHeader('192.0.2.1', 7, sslTlv({ client: 5 })),
        encodePacket(connectPacket(5, { clientId: 'nameless', username: 'ann' }), 5),
      ]),
    );
    await nameless.expectPacket('connack', { reasonCode: badUserNameOrPassword });
    await nameless.expectClosed();
    lines.push(
      'Client nameless from 192.0.2.1:7 is refused: there is no common name of a verified certificate in the PROXY header to take as username.',
      'Client nameless [192.0.2.1:7] disconnected: bad username or password.',
    );
    await expectLines(broker, from, lines);
  },
  {
    config: listener(
      2,
      'proxy_protocol_v2_require_tls true',
      'require_certificate true',
      'use_identity_as_username true',
    ),
    skip,
  },
);

test('the name is what access rules know', { skip }, async (t) => {
  const folder = makeFolder(t);
  const rules = join(folder, 'rules');
  writeFileSync(rules, 'user ann\ntopic readwrite ann/#\n', { mode: 0o600 });
  const broker = await startBroker(t, {
    workers: 3,
    config: `acl_file ${rules}\n${listener(2, 'use_identity_as_username true')}`,
  });
  const header = tcpHeader('192.0.2.1', 7, sslTlv({ ...certified, commonName: 'ann' }));
  const way = await behindProxy(t, broker, () => header);
  const options = { clientId: 'mover', cleanStart: false, properties: { sessionExpiryInterval: 300 } };
  // More connections than workers, so that it moves between them, and its name with it.
  for (let n = 0; n < moves; n += 1) {
    const client = await RawClient.connect(t, way, 5, options);
    assert.equal(await client.publish('ann/a', 'x'), noMatchingSubscribers);
    assert.equal(await client.publish('bob/a', 'x'), notAuthorized);
  }
});

// ---------------------------------------------------------------------------------------------- sessions, workers

/** @param way each connection through it comes from the next port of this address */
function moveBehindProxy(t: TestContext, broker: Broker, way: Broker, address: string): Promise<void> {
  return moveAround(t, way, way, async (move) => {
    await broker.waitForLog(new RegExp(`: New client connected from ${address}:${move + 3} as mover `));
    await broker.waitForLog(new RegExp(`: Client mover \\[${address}:${move + 2}\\] disconnected: `));
  });
}

onSharedBroker('a session that lives on another worker', 1, async (t, broker) => {
  const way = await behindProxy(t, broker, (n) => textHeader('192.0.2.1', n + 1));
  await moveBehindProxy(t, broker, way, '192.0.2.1');
});

test('where descriptors cannot change threads', { skip }, async (t) => {
  const env = { MIDGE_NO_DESCRIPTORS: '1' };
  const other = await freePort();
  const webSockets = `listener ${other} 127.0.0.1\nprotocol websockets\nenable_proxy_protocol 1`;
  const broker = await startBroker(t, { config: `${listener(2)}\n${webSockets}`, workers: 3, env });
  const way = await behindProxy(t, broker, (n) => tcpHeader('2001:db8::1', n + 1));
  await moveBehindProxy(t, broker, way, '2001:db8::1');
  const proxied = await behindProxy(t, onPort(broker, other), (n) => textHeader('192.0.2.1', n + 1));
  await moveBehindProxy(t, broker, await overWebSockets(t, proxied), '192.0.2.1');
  const from = broker.log.length;
  await expectRefused(t, broker, header1);
  await broker.waitForLog(/: Connection rejected, corrupt PROXY header\.$/, { from });
  await expectRefused(t, broker, binaryHeader(0x20, 0, Buffer.alloc(0)));
  const client = await RawClient.open(t, broker, 4);
  await sendInPieces(client, header2);
  client.send(connectPacket(4));
  await client.expectPacket('connack', { reasonCode: 0 });
});

// ------------------------------------------------------------------------------------------------------- reload

test('the option after a reload, for new connections', { skip }, async (t) => {
  const broker = await startBroker(t, { config: listener(1) });
  const first = await connected(t, broker, header1);
  rewrite(broker, (text) => text.replace('enable_proxy_protocol 1', 'enable_proxy_protocol 2'));
  await reload(broker);
  const second = await connected(t, broker, header2, { clientId: 'second' });
  await expectRefused(t, broker, header1);
  rewrite(broker, (text) =>
    text.replace('enable_proxy_protocol 2', 'enable_proxy_protocol 2\nproxy_protocol_v2_require_tls true'),
  );
  await reload(broker);
  await expectRefused(t, broker, header2);
  await broker.waitForLog(
    /: Connection from 2001:db8::2:40002 rejected, client did not connect using TLS\.$/,
  );
  rewrite(broker, (text) =>
    text.replace(/enable_proxy_protocol 2\nproxy_protocol_v2_require_tls true\n/, ''),
  );
  await reload(broker);
  await RawClient.connect(t, broker, 4, { clientId: 'direct' });
  await broker.waitForLog(/: New client connected from 127\.0\.0\.1:\d+ as direct /);
  await expectRefused(t, broker, header2);
  rewrite(broker, (text) => text.replace('allow_anonymous', 'enable_proxy_protocol 1\nallow_anonymous'));
  await reload(broker);
  await connected(t, broker, header1, { clientId: 'last' });
  await broker.waitForLog(/: New client connected from 192\.0\.2\.1:40001 as last /);
  for (const client of [first, second]) await client.expectSilence();
});

// --------------------------------------------------------------------------------------------- WebSockets and TLS

for (const [version, header, address] of [
  [1, header1, '192.0.2.1:40001'],
  [2, header2, '2001:db8::2:40002'],
] as const) {
  onSharedBroker(`version ${version}: WebSockets behind it`, `WebSockets ${version}`, async (t, broker) => {
    const to = { port: broker.port, host: '127.0.0.1' };
    const connect = frame(Opcode.binary, connectBytes({ clientId: 'frames' }));
    const all = Buffer.concat([header, Buffer.from(upgradeRequest()), connect]);
    for (const at of [all.length, header.length - 1, header.length, header.length + 1, all.length - 5]) {
      const from = broker.log.length;
      const socket = FrameSocket.connect(t, to);
      await socket.sendAlone(all.subarray(0, at));
      socket.send(all.subarray(at));
      await socket.expectEndOfResponse();
      await socket.expectFrame(Opcode.binary, '20020000');
      await broker.waitForLog(new RegExp(`: New client connected from ${address} as frames `), { from });
    }
    const from = broker.log.length;
    const page = FrameSocket.connect(t, to);
    page.send(Buffer.concat([header, Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')]));
    await page.expectEndOfResponse();
    assert.match(page.response, /^HTTP\/1\.1 426 /);
    const end = `\\[${address}\\] disconnected: WebSockets: it sent an ordinary HTTP request`;
    await broker.waitForLog(new RegExp(end), { from });
    await broker.waitForLog(/: Connection rejected/, { from: await noHeader(t, broker) });
  });
}

/** A handshake that lacks the header. @returns where the log was before */
async function noHeader(t: TestContext, broker: Broker): Promise<number> {
  const from = broker.log.length;
  assert.equal(await FrameSocket.ask(t, broker, upgradeRequest()), '');
  return from;
}

withBrokers(
  'WebSockets: a session on another worker, and the name that the proxy gives',
  async (t, broker) => {
    const tls = sslTlv({ ...certified, commonName: 'ann' });
    const proxied = await behindProxy(t, broker, (n) => tcpHeader('192.0.2.1', n + 1, tls));
    const way = await overWebSockets(t, proxied, { frameSize: 50_000 });
    await moveBehindProxy(t, broker, way, '192.0.2.1');
    await broker.waitForLog(/: New client connected from 192\.0\.2\.1:2 as mover \(p5, c0, k0, u'ann'\)\.$/);
    assert.ok(!broker.log.some((line) => line.includes('Client mover negotiated')));
  },
  { config: listener(2, 'protocol websockets', 'use_identity_as_username true'), skip },
);

test('version 1: TLS behind it', { skip: skip || withOpenssl }, async (t) => {
  const folder = makeFolder(t);
  const { server, authority, client } = makeCertificates(folder);
  const tls = [
    `certfile ${server.certificate}`,
    `keyfile ${server.key}`,
    `cafile ${authority}`,
    'require_certificate true',
    'use_identity_as_username true',
  ];
  for (const env of [{}, { MIDGE_NO_DESCRIPTORS: '1' }]) {
    const broker = await startBroker(t, { workers: 3, config: listener(1, ...tls), env });
    const credentials = {
      servername: 'localhost',
      ca: readFileSync(authority),
      cert: readFileSync(client.certificate),
      key: readFileSync(client.key),
    };
    const way = await behindProxy(t, broker, (n) => textHeader('192.0.2.1', n + 1));
    // The header comes with the first bytes of the handshake, and before them.
    const alone = connectTcp(broker.port, '127.0.0.1');
    await new Promise<void>((resolve) => alone.write(textHeader('192.0.2.1', 99), () => resolve()));
    for (const [clientId, port, socket] of [
      ['together', 1, connectTcp(way.port, '127.0.0.1')],
      ['alone', 99, alone],
    ] as const) {
      const stream = connectTls({ ...credentials, socket });
      afterTest(t, () => stream.destroy());
      stream.write(connectBytes({ clientId }));
      const answering = once(stream, 'data') as Promise<[Buffer]>;
      const [answer] = await within(patienceMs, answering, () => 'there is no CONNACK');
      assert.equal(answer.toString('hex'), '20020000');
      await broker.waitForLog(
        new RegExp(
          `: New client connected from 192\\.0\\.2\\.1:${port} as ${clientId} \\(p4, c1, k0, u'client'\\)\\.$`,
        ),
      );
      await broker.waitForLog(new RegExp(`: Client ${clientId} negotiated TLSv1\\.3 cipher `));
    }
    const from = broker.log.length;
    await expectRefused(t, broker, Buffer.concat([header1, connectBytes()]));
    await broker.waitForLog(
      /: Client 192\.0\.2\.1 \[192\.0\.2\.1:40001\] disconnected: TLS: it does not speak TLS/,
      { from },
    );
  }
});

test('version 1: WebSockets within TLS behind it, on another worker', {
  skip: skip || withOpenssl,
}, async (t) => {
  const { server, authority } = makeCertificates(makeFolder(t));
  const tls = [`certfile ${server.certificate}`, `keyfile ${server.key}`, 'protocol websockets'];
  const broker = await startBroker(t, { workers: 3, config: listener(1, ...tls) });
  const proxied = await behindProxy(t, broker, (n) => textHeader('2001:db8::1', n + 1));
  const way = await overWebSockets(t, proxied, {
    url: `wss://localhost:${proxied.port}/mqtt`,
    ca: readFileSync(authority),
  });
  await moveBehindProxy(t, broker, way, '2001:db8::1');
});

/**
 * Hostile bytes, over every way into the broker: a worker that dies, main that fails, or an exception that the guard
 * around an input catches (src/ARCHITECTURE.md) is a fault of ours. An input is one packet, request or file.
 *
 * Each round has a seed of its own, which a failure names: TEST_SEED=<seed> begins with that round.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer, connect as openSocket, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { connect as openTls } from 'node:tls';
import WebSocket, { createWebSocketStream } from 'ws';
import { compileAcl } from '../../src/auth/acl-check.js';
import { parseAclFile } from '../../src/auth/acl-file.js';
import { parsePasswordFile } from '../../src/auth/password-file.js';
import { parsePskFile } from '../../src/auth/psk-file.js';
import { loadConfig } from '../../src/config/load-config.js';
import { DatabaseFormatError } from '../../src/mosquitto-db/chunk-reader.js';
import { readDatabase } from '../../src/mosquitto-db/to-model.js';
import { encodePacket } from '../../src/mqtt/encode.js';
import type { ProtocolVersion } from '../../src/mqtt/packets.js';
import { certificatesIn, tlsOptions } from '../../src/net/tls-context.js';
import { type Broker, startBroker } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { afterTest, makeFolder } from '../support/cleanup.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { binaryHeader, textHeader } from '../support/network/proxy-headers.js';
import { HostilePackets } from '../support/packets/hostile-packets.js';
import { projectFolder } from '../support/project.js';
import { Random, seedOfRun } from '../support/random.js';
import { inShortOrLong } from '../support/run-length.js';
import { readSample, SAMPLE_NAMES } from '../support/store/mosquitto-db-samples.js';
import { within } from '../support/within.js';

const skip = skipWithout('/usr/bin/openssl');
const firstSeed = seedOfRun();

/** Packets of a connection, connections that are open at once, and how many follow one another in a round. */
const PACKETS_MAX = 60;
const AT_ONCE = 12;
const CONNECTIONS_A_LANE = 4;

/** Milliseconds until a connection that the broker leaves open is closed by us: nothing waits for its answers. */
const LINGER_MS = 150;

const packetsWanted = inShortOrLong(21_000, 800_000);
const bridgePacketsWanted = inShortOrLong(3_000, 100_000);
const filesWanted = inShortOrLong(1_500, 24_000);
/** These take longest to read. */
const slowFilesWanted = inShortOrLong(250, 3_000);

const WAYS = ['TCP', 'mount_point', 'TLS', 'WebSockets', 'PROXY 1', 'PROXY 2', 'HTTP'] as const;
type Way = (typeof WAYS)[number];

/** TLS and WebSockets cost a handshake: they have a smaller share. */
const SHARES: readonly Way[] = [
  ...Array<Way>(8).fill('TCP'),
  ...Array<Way>(4).fill('mount_point'),
  ...WAYS.slice(2),
];

function expectWhole({ log }: Broker, seed: number): void {
  const faults = log.filter((line) =>
    /died and is being replaced|The broker failed|Midge failed over|does not read/.test(line),
  );
  assert.deepEqual(faults, [], `TEST_SEED=${seed}`);
}

const versions: readonly ProtocolVersion[] = [3, 4, 5];

/** Opens and writes, in pieces that end anywhere; what comes back is thrown away. @returns when it is closed */
function attack(stream: Duplex, pieces: readonly Uint8Array[], random: Random): Promise<void> {
  return new Promise((resolve) => {
    let next = 0;
    const timer = setTimeout(() => stream.destroy(), 10_000);
    const write = (): void => {
      if (stream.destroyed) return;
      const bytes = Buffer.concat(pieces.slice(next, next + 1 + random.below(20)));
      next += 20;
      if (next >= pieces.length) {
        stream.write(bytes, () => setTimeout(() => stream.destroy(), random.below(2) * LINGER_MS));
        return;
      }
      const at = random.below(bytes.length + 1);
      stream.write(bytes.subarray(0, at));
      stream.write(bytes.subarray(at), () => setImmediate(write));
    };
    stream.on('error', () => {});
    stream.on('data', () => {});
    stream.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    write();
  });
}

interface Target {
  broker: Broker;
  ports: Record<Way, number>;
}

const mount = `m/${'x'.repeat(60)}/`;

async function startTarget(t: TestContext): Promise<Target> {
  const { server } = makeCertificates(makeFolder(t));
  const ports = {} as Record<Way, number>;
  for (const way of WAYS) ports[way] = await freePort();
  const at = (way: Way, ...lines: string[]) => [`listener ${ports[way]} 127.0.0.1`, ...lines];
  const broker = await startBroker(t, {
    workers: 2,
    config: [
      'allow_anonymous true\nenable_control_api true\nmax_queued_messages 50\nmax_keepalive 0',
      'persistence true\npersistence_location {folder}\nlog_type error\nlog_type warning\nlog_type information',
      'connection_messages false',
      'listener {port} 127.0.0.1',
      ...at('TCP'),
      ...at('mount_point', `mount_point ${mount}`),
      ...at('TLS', `certfile ${server.certificate}`, `keyfile ${server.key}`),
      ...at('WebSockets', 'protocol websockets'),
      ...at('PROXY 1', 'enable_proxy_protocol 1'),
      ...at('PROXY 2', 'enable_proxy_protocol 2'),
      ...at('HTTP', 'protocol http_api'),
    ].join('\n'),
  });
  return { broker, ports };
}

/** One connection. @returns how many inputs it had */
async function connectionOf(
  way: Way,
  { ports }: Target,
  packets: HostilePackets,
  random: Random,
): Promise<number> {
  const port = ports[way];
  const socket = (): Socket => openSocket(port, '127.0.0.1');
  if (way === 'HTTP') {
    const requests = Array.from({ length: 1 + random.below(6) }, () => request(packets, random));
    await attack(socket(), requests, random);
    return requests.length;
  }
  const version = random.pick(versions);
  const pieces = [packets.connect(version)];
  for (let left = random.below(PACKETS_MAX); left > 0; left -= 1) pieces.push(packets.next(version));
  const isNoise = random.below(10) === 0;
  switch (way) {
    case 'TLS':
      if (isNoise) {
        pieces.unshift(packets.changed(Buffer.from('16030100c8010000c40303', 'hex')));
        await attack(socket(), pieces, random);
      } else {
        await attack(openTls({ host: '127.0.0.1', port, rejectUnauthorized: false }), pieces, random);
      }
      break;
    case 'WebSockets':
      if (isNoise) {
        pieces.unshift(packets.changed(Buffer.from(UPGRADE)));
        await attack(socket(), pieces, random);
      } else if (random.below(2) === 0) {
        // Frames of our own, right and wrong.
        pieces.splice(
          0,
          pieces.length,
          Buffer.from(UPGRADE),
          ...pieces.map((piece) => frame(piece, random, packets)),
        );
        await attack(socket(), pieces, random);
      } else {
        const webSocket = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, 'mqtt');
        await attack(createWebSocketStream(webSocket), pieces, random);
      }
      break;
    case 'PROXY 1':
    case 'PROXY 2': {
      const header =
        way === 'PROXY 1'
          ? textHeader('192.0.2.1', 1 + random.below(60_000))
          : binaryHeader(0x21, 0x11, Buffer.from('c0000201c000020200010002', 'hex'));
      pieces.unshift(isNoise ? packets.changed(header) : header);
      await attack(socket(), pieces, random);
      break;
    }
    default:
      await attack(socket(), pieces, random);
  }
  return pieces.length;
}

const UPGRADE =
  'GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n';

/** A frame of a client, masked with zeros; a few of them are not allowed. */
function frame(payload: Uint8Array, random: Random, packets: HostilePackets): Uint8Array {
  const opcode = random.below(20) === 0 ? random.below(16) : 2;
  const length =
    payload.length < 126
      ? Buffer.of(0x80 | payload.length)
      : payload.length < 0x10000
        ? Buffer.of(0xfe, payload.length >> 8, payload.length & 0xff)
        : Buffer.of(
            0xff,
            0,
            0,
            0,
            0,
            0,
            payload.length >> 16,
            (payload.length >> 8) & 0xff,
            payload.length & 0xff,
          );
  const bytes = Buffer.concat([Buffer.of(0x80 | opcode), length, Buffer.alloc(4), payload]);
  return random.below(40) === 0 ? packets.changed(bytes) : bytes;
}

const PATHS = [
  '/api/v1/version',
  '/api/v1/systree',
  '/api/v1/listeners',
  '/',
  '/%',
  '/../../etc/passwd',
  '/%00',
  '//x',
  '*',
];
const METHODS = ['GET', 'GET', 'GET', 'HEAD', 'POST', 'OPTIONS', 'CONNECT', 'G'];

function request(packets: HostilePackets, random: Random): Uint8Array {
  const fields = random.pick([
    '',
    'Authorization: Basic Og==\r\n',
    'Authorization: Basic %%\r\n',
    'Expect: 100-continue\r\n',
    'Range: bytes=9-1,-\r\n',
    'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  ]);
  const text = `${random.pick(METHODS)} ${random.pick(PATHS)} HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;
  return random.below(3) === 0 ? packets.changed(Buffer.from(text)) : Buffer.from(text);
}

test(`hostile clients over ${WAYS.join(', ')}`, { skip, timeout: 3_600_000 }, async (t) => {
  const target = await startTarget(t);
  const { broker } = target;
  const bystander = await RawClient.connect(t, broker, 5, { clientId: 'bystander' });
  const counts = new Map<Way, number>();
  let total = 0;
  const startedAt = performance.now();
  for (let seed = firstSeed; total < packetsWanted; seed += 1) {
    const lane = async (number: number): Promise<void> => {
      // Each lane has its own choices: what a seed gives must not depend on which connection ends first.
      const random = new Random(seed * 31 + number);
      const packets = new HostilePackets(random);
      for (let left = CONNECTIONS_A_LANE; left > 0; left -= 1) {
        const way = random.pick(SHARES);
        const inputs = await connectionOf(way, target, packets, random);
        counts.set(way, (counts.get(way) ?? 0) + inputs);
        total += inputs;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => lane(number)));
    await within(30_000, bystander.expectSilence(), () => `a bystander was not answered: TEST_SEED=${seed}`);
    expectWhole(broker, seed);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  t.diagnostic(`${total} inputs in ${seconds.toFixed(0)} s, seeds from ${firstSeed}: ${show(counts)}`);
  assert.equal(await broker.stop(), 0, broker.log.slice(-30).join('\n'));
  expectWhole(broker, firstSeed);
  const again = await broker.startAgain(t); // with whatever they have left in the store
  await (await RawClient.connect(t, again, 5)).disconnect();
  expectWhole(again, firstSeed);
});

function show(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ');
}

test('a hostile broker at the other end of bridges', { timeout: 3_600_000 }, async (t) => {
  const random = new Random(firstSeed);
  const packets = new HostilePackets(random);
  let total = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', () => {});
    afterTest(t, () => socket.destroy());
    const version = random.pick([4, 5] as const);
    const connack = encodePacket(
      { type: 'connack', sessionPresent: random.below(2) === 0, reasonCode: 0, properties: {} },
      version,
    );
    const pieces = [random.below(8) === 0 ? packets.changed(connack) : connack];
    for (let left = PACKETS_MAX * 4; left > 0; left -= 1) pieces.push(packets.next(version));
    total += pieces.length;
    socket.once('data', () => void attack(socket, pieces, random));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  afterTest(t, () => server.close());
  const { port } = server.address() as { port: number };
  const bridges = Array.from({ length: 12 }, (_, i) => [
    `connection hostile-${i}`,
    `address 127.0.0.1:${port}`,
    `topic # both ${i % 3} local/${'l'.repeat(i * 10)}/ remote/`,
    'restart_timeout 1',
    `bridge_protocol_version ${i % 2 === 0 ? 'mqttv311' : 'mqttv50'}`,
    'notifications false',
  ]);
  const broker = await startBroker(t, {
    workers: 2,
    config: `allow_anonymous true\nlog_type error\nlog_type warning\nlog_type information\nlistener {port} 127.0.0.1\n${bridges.flat().join('\n')}`,
  });
  const publisher = await RawClient.connect(t, broker, 5);
  while (total < bridgePacketsWanted) {
    await publisher.publish('local//a', 'x');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expectWhole(broker, firstSeed);
  }
  t.diagnostic(`${total} inputs, seed ${firstSeed}`);
});

/** Texts and bytes of files, changed a little. @param read must neither throw nor take long */
function readChanged(wanted: number, samples: readonly Uint8Array[], read: (bytes: Buffer) => void): number {
  const random = new Random(firstSeed);
  const packets = new HostilePackets(random);
  for (let i = 0; i < wanted; i += 1) {
    let bytes = Buffer.from(random.pick(samples));
    for (let changes = random.below(4); changes >= 0; changes -= 1)
      bytes = Buffer.from(packets.changed(bytes));
    try {
      read(bytes);
    } catch (error) {
      throw new Error(`TEST_SEED=${firstSeed}, file ${i}: ${bytes.toString('latin1').slice(0, 300)}`, {
        cause: error,
      });
    }
  }
  return wanted;
}

describe('changed files', { skip }, () => {
  const text = (lines: string) => Buffer.from(lines);

  test('configuration', (t) => {
    const folder = join(projectFolder, 'test', 'fixtures', 'conf');
    const names = readdirSync(folder).filter((name) => name.endsWith('.conf'));
    const samples = names.map((name) => readFileSync(join(folder, name)));
    const count = readChanged(slowFilesWanted, samples, (bytes) => {
      const source = {
        readFile: (path: string) =>
          path === 'main'
            ? ({ kind: 'read', bytes } as const)
            : ({ kind: 'unreadable', reason: 'no such file' } as const),
        listDirectory: () => undefined,
      };
      loadConfig({ source, configFile: 'main' });
    });
    t.diagnostic(`${count} inputs`);
  });

  test('password_file', (t) => {
    const samples = [
      text('ann:$6$c2FsdHNhbHRzYWx0$aGFzaGhhc2g=\nbob:$7$101$c2FsdHNhbHRzYWx0$aGFzaGhhc2g=\n# x\n'),
      text('eve:$argon2id$v=19$m=47104,t=1,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA\n'),
    ];
    const count = readChanged(filesWanted, samples, (bytes) => parsePasswordFile('file', bytes.toString()));
    t.diagnostic(`${count} inputs`);
  });

  test('acl_file', (t) => {
    const samples = [
      text('topic read $SYS/#\nuser ann\ntopic readwrite a/+/b\ntopic deny a/x/#\npattern write u/%u/%c\n'),
    ];
    const count = readChanged(filesWanted, samples, (bytes) => {
      const parsed = parseAclFile('file', bytes.toString());
      if (!parsed.ok) return;
      const acl = compileAcl(parsed.rules).forClient('ann', 'id');
      for (const topic of ['a/x/b', 'u/ann/id', '$SYS/x']) acl.explain(topic, 'write');
    });
    t.diagnostic(`${count} inputs`);
  });

  test('psk_file', (t) => {
    const samples = [text('client:0123456789abcdef\nother:00\n')];
    const count = readChanged(filesWanted, samples, (bytes) => parsePskFile('file', bytes.toString()));
    t.diagnostic(`${count} inputs`);
  });

  test('certificates and keys', (t) => {
    const { server, authority } = makeCertificates(makeFolder(t));
    const pair = { certfile: 'certificate', keyfile: 'key', cafile: 'authority' };
    const sound = new Map([
      ['certificate', readFileSync(server.certificate, 'utf8')],
      ['key', readFileSync(server.key, 'utf8')],
      ['authority', readFileSync(authority, 'utf8')],
    ]);
    const names = [...sound.keys()];
    let turn = 0;
    const samples = names.map((name) => Buffer.from(sound.get(name)!));
    const count = readChanged(slowFilesWanted, samples, (bytes) => {
      turn += 1;
      const files = new Map(sound).set(names[turn % names.length]!, bytes.toString('latin1'));
      tlsOptions({ ...pair } as Parameters<typeof tlsOptions>[0], files);
      certificatesIn(bytes.toString('latin1'));
    });
    t.diagnostic(`${count} inputs`);
  });

  test('mosquitto.db', (t) => {
    const samples = SAMPLE_NAMES.map((name) => readSample(name));
    const count = readChanged(filesWanted, samples, (bytes) => {
      try {
        readDatabase(bytes, Date.now());
      } catch (error) {
        if (!(error instanceof DatabaseFormatError)) throw error;
      }
    });
    t.diagnostic(`${count} inputs`);
  });
});

/**
 * WebSocket listeners: the handshake and who is refused at it, faults in frames, the options of a listener, sessions
 * that live on other workers, and peers that do not read. What frames hold is in the conformance tests.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { encodePacket } from '../../src/mqtt/encode.js';
import type { ProtocolVersion } from '../../src/mqtt/packets.js';
import { onPort, reload, writePasswords, writeSecret } from '../support/brokers/access-files.js';
import { type Broker, isReference, startBroker, withBrokers } from '../support/brokers/broker.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder, shareInSuite } from '../support/cleanup.js';
import { COMMAND_ENVIRONMENT, ourCommand } from '../support/clients/client-commands.js';
import { FrameSocket, frame, Opcode, upgradeRequest } from '../support/clients/frame-socket.js';
import { moveAround, moves } from '../support/clients/move-around.js';
import { type ConnectOptions, connectPacket } from '../support/clients/packet-socket.js';
import { RawClient } from '../support/clients/raw-client.js';
import { makeCertificates } from '../support/network/certificates.js';
import { freePort } from '../support/network/free-port.js';
import { overWebSockets } from '../support/network/web-socket-way.js';
import { Program } from '../support/program.js';
import { Random } from '../support/random.js';
import { runCommand } from '../support/run-command.js';
import { until } from '../support/within.js';

const LISTENER = 'listener {port} 127.0.0.1\nprotocol websockets\nallow_anonymous true';
const PINGREQ = Buffer.from('c000', 'hex');
const PINGRESP = 'd000';
/** Its WebSockets are a library's, with answers of its own; and it does not start with such a listener alone. */
const skip = isReference ? 'Mosquitto 2.0.11 has other WebSockets' : false;
const withOpenssl = skipWithout('/usr/bin/openssl');

/** The bytes of a CONNECT. */
function connectBytes(options: ConnectOptions = {}, version: ProtocolVersion = 4): Buffer {
  return encodePacket(connectPacket(version, options), version);
}

/** For tests that ask no other options of it, and keep to client ids and topics of their own. */
const sharedBroker = shareInSuite('websockets', (suite) =>
  startBroker(suite, { config: `max_inflight_messages 0\n${LISTENER}`, workers: 3 }),
);

function onSharedBroker(name: string, run: (t: TestContext, broker: Broker) => Promise<void>): void {
  test(name, { skip }, async (t) => run(t, await sharedBroker()));
}

/** A WebSocket on which a client is connected. */
async function connected(t: TestContext, broker: Broker, options: ConnectOptions = {}): Promise<FrameSocket> {
  const socket = await FrameSocket.open(t, broker);
  await logIn(socket, options);
  return socket;
}

async function logIn(socket: FrameSocket, options: ConnectOptions = {}): Promise<void> {
  socket.sendFrame(Opcode.binary, connectBytes(options));
  await socket.expectFrame(Opcode.binary, '20020000');
}

/** The next line about the end of a connection, from behind "disconnected". */
async function nextEnd(broker: Broker, from: number): Promise<string> {
  const line = await broker.waitForLog(/^\d+: Client .* disconnected/, { from });
  return line.replace(/^.* disconnected(: )?/, '');
}

// ------------------------------------------------------------------------------------------------ the handshake

test('what is no handshake gets an HTTP answer, and one line', async (t) => {
  const broker = await startBroker(t, { config: LISTENER });
  await broker.waitForLog(/: Opening websockets listen socket on port \d+\.$/);
  const get = 'GET /index.html HTTP/1.1\r\nHost: x\r\n';
  const long = 'x'.repeat(5000);
  // biome-ignore format: a table
  const requests: [what: string, request: string, answer: RegExp, why: string][] = [
    ['a page', `${get}\r\n`, /^HTTP\/1\.1 426 Upgrade Required\r\nUpgrade: websocket\r\n.*MQTT over WebSockets/s, 'WebSockets: it sent an ordinary HTTP request ("GET /index.html").'],
    ['a form', 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab', /^HTTP\/1\.1 426 /, 'WebSockets: it sent an ordinary HTTP request ("POST /").'],
    ['a form that waits', 'POST / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nContent-Length: 2\r\n\r\n', /^HTTP\/1\.1 426 /, 'WebSockets: it sent an ordinary HTTP request ("POST /").'],
    ['a proxy', 'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1\.1 426 /, 'WebSockets: it sent an ordinary HTTP request ("CONNECT x:80").'],
    ['another upgrade', upgradeRequest({ Upgrade: 'h2c' }), /^HTTP\/1\.1 426 /, 'WebSockets: it sent an ordinary HTTP request ("GET /mqtt").'],
    ['an old version', upgradeRequest({ 'Sec-WebSocket-Version': '8' }), /^HTTP\/1\.1 426 .*\r\nSec-WebSocket-Version: 13\r\n/s, 'WebSockets: it does not speak version 13.'],
    ['no version', upgradeRequest({ 'Sec-WebSocket-Version': null }), /^HTTP\/1\.1 426 .*\r\nSec-WebSocket-Version: 13\r\n/s, 'WebSockets: it does not speak version 13.'],
    ['no sub-protocol', upgradeRequest({ 'Sec-WebSocket-Protocol': null }), /^HTTP\/1\.1 400 /, 'WebSockets: it does not offer the sub-protocol "mqtt".'],
    ['no key', upgradeRequest({ 'Sec-WebSocket-Key': null }), /^HTTP\/1\.1 400 /, 'WebSockets: Missing or invalid Sec-WebSocket-Key header.'],
    ['a long header', upgradeRequest({ Cookie: long }), /^HTTP\/1\.1 431 /, 'WebSockets: its HTTP header is larger than packet_buffer_size.'],
    ['MQTT', connectBytes().toString('latin1'), /^$/, 'WebSockets: it speaks MQTT without WebSockets.'],
    ['TLS', '\x16\x03\x01\x02\x00\x01', /^$/, 'WebSockets: it speaks TLS, and the listener does not.'],
    ['nonsense', 'hello\r\n\r\n', /^$/, 'WebSockets: it does not speak HTTP (Invalid method encountered).'],
  ];
  for (const [what, request, answer, why] of requests) {
    const from = broker.log.length;
    assert.match(await FrameSocket.ask(t, broker, request), answer, what);
    assert.equal(await nextEnd(broker, from), why, what);
  }
  const from = broker.log.length;
  const silent = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  silent.send(upgradeRequest().slice(0, 40));
  await broker.waitForLog(/: New connection from /, { from });
  silent.destroy();
  assert.equal(await nextEnd(broker, from), 'connection closed by client.');
  // One line each, beside that of the arrival.
  await logIn(await FrameSocket.open(t, broker));
  const ends = broker.log.filter((line) => line.includes(' disconnected'));
  assert.equal(ends.length, requests.length + 1);
});

onSharedBroker('the first bytes may come with the request', async (t, broker) => {
  const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  const packets = Buffer.concat([connectBytes(), PINGREQ]);
  socket.send(Buffer.concat([Buffer.from(upgradeRequest()), frame(Opcode.binary, packets)]));
  await socket.expectEndOfResponse();
  await socket.expectFrames(Opcode.binary, `20020000${PINGRESP}`);
});

onSharedBroker('the request may come in pieces, and to any path', async (t, broker) => {
  const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
  for (const piece of upgradeRequest({ 'Sec-WebSocket-Extensions': 'permessage-deflate' }, '/a/b?c').match(
    /.{1,20}/gs,
  )!) {
    await socket.sendAlone(piece);
  }
  await socket.expectEndOfResponse();
  assert.doesNotMatch(socket.response, /extensions/i);
  await logIn(socket);
});

test('packet_buffer_size bounds the header', async (t) => {
  const broker = await startBroker(t, { config: `websockets_headers_size 20000\n${LISTENER}` });
  await FrameSocket.open(t, broker, { Cookie: 'x'.repeat(18_000) });
  const answer = await FrameSocket.ask(t, broker, upgradeRequest({ Cookie: 'x'.repeat(21_000) }));
  assert.match(answer, /^HTTP\/1\.1 431 /);
});

// ------------------------------------------------------------------------------------------------------- frames

onSharedBroker(
  'frames that are none end the connection, with a close frame that says why',
  async (t, broker) => {
    const rest = Buffer.alloc(200_000);
    // biome-ignore format: a table
    const faults: [what: string, bytes: Buffer, code: number, why: string][] = [
      ['not masked', frame(Opcode.binary, PINGREQ, { masked: false }), 1002, 'WebSockets: invalid frame: MASK must be set.'],
      ['an extension that was not agreed on', frame(Opcode.binary | 0x40, PINGREQ), 1002, 'WebSockets: invalid frame: RSV1 must be clear.'],
      ['a continuation of nothing', frame(Opcode.continuation, PINGREQ), 1002, 'WebSockets: invalid frame: invalid opcode 0.'],
      ['a long ping', frame(Opcode.ping, rest.subarray(0, 126)), 1002, 'WebSockets: invalid frame: invalid payload length 126.'],
      ['too large', frame(Opcode.binary, PINGREQ, { claimed: 8_000_001 }), 1009, 'oversize packet.'],
      ['far too large', frame(Opcode.binary, PINGREQ, { claimed: 2 ** 52 }), 1009, 'oversize packet.'],
      ['text', frame(Opcode.text, Buffer.from('hello')), 1003, 'WebSockets: it sent text, and MQTT takes binary frames only.'],
    ];
    for (const [what, bytes, code, why] of faults) {
      const clientId = what.replaceAll(' ', '-');
      const socket = await connected(t, broker, { clientId });
      socket.send(bytes);
      await socket.expectClose(code);
      const line = await broker.waitForLog(new RegExp(`: Client ${clientId} .* disconnected: `));
      assert.ok(line.endsWith(` disconnected: ${why}`), line);
    }
    // Before CONNECT nobody may fill the memory; afterwards several packets may share a frame.
    const stranger = await FrameSocket.open(t, broker);
    stranger.send(frame(Opcode.binary, PINGREQ, { claimed: 100_001 }));
    await stranger.expectClose(1009);
    const publish = encodePacket(
      {
        type: 'publish',
        topic: 'a',
        payload: rest,
        qos: 0,
        retain: false,
        dup: false,
        packetId: 0,
        properties: {},
      },
      4,
    );
    // Some clients do not wait for the CONNACK.
    const known = await FrameSocket.open(t, broker);
    known.send(Buffer.concat([connectBytes(), publish].map((packet) => frame(Opcode.binary, packet))));
    await known.expectFrame(Opcode.binary, '20020000');
    known.sendFrame(Opcode.binary, Buffer.concat([...Array(12).fill(publish), PINGREQ]));
    await known.expectFrame(Opcode.binary, PINGRESP);
  },
);

/** What a client sends that knows nothing, or only the beginning. @param n 0 to 4 */
function nonsense(random: Random, n: number): Buffer {
  const noise = (length: number) => Buffer.from(Array.from({ length }, () => random.below(256)));
  const upgrade = Buffer.from(upgradeRequest());
  const packet = frame(Opcode.binary, connectBytes());
  if (n === 0) return noise(1 + random.below(300));
  if (n === 1) return upgrade.subarray(0, 1 + random.below(upgrade.length));
  if (n === 2) return Buffer.concat([upgrade, noise(random.below(2000))]);
  if (n === 3) return Buffer.concat([upgrade, packet.subarray(0, random.below(packet.length))]);
  const options = { fin: random.below(2) === 0, masked: random.below(4) > 0 };
  return Buffer.concat([upgrade, packet, frame(random.below(16), noise(random.below(200)), options)]);
}

const seed = randomInt(2 ** 32);

withBrokers(
  `nonsense harms nobody, and takes no place for ever (seed ${seed})`,
  async (t, broker) => {
    const random = new Random(seed);
    const bystander = await connected(t, broker);
    for (let n = 0; n < 200; n += 1) {
      const socket = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
      await socket.sendAlone(nonsense(random, n % 5));
      socket.destroy();
    }
    bystander.sendFrame(Opcode.binary, PINGREQ);
    await bystander.expectFrame(Opcode.binary, PINGRESP);
    // All places but one are free as soon as main knows.
    const open: FrameSocket[] = [];
    while (open.length < 19) {
      const socket = await FrameSocket.open(t, broker).catch(() => null);
      if (socket !== null) open.push(socket);
    }
  },
  { config: `${LISTENER}\nmax_connections 20`, skip },
);

onSharedBroker('what is wrong with packets is told as ever', async (t, broker) => {
  const socket = await FrameSocket.open(t, broker);
  socket.sendFrame(Opcode.binary, Buffer.from('hello'));
  await socket.expectClose(1000);
  await broker.waitForLog(/: Protocol error from 127\.0\.0\.1:\d+: First packet not CONNECT \(68\)\.$/);
  const five = await RawClient.connect(t, await overWebSockets(t, broker), 5);
  five.send('c100');
  await five.expectPacket('disconnect', { reasonCode: 0x81 });
  await five.expectClosed();
});

onSharedBroker('the end: DISCONNECT, a close frame, the bare end of the stream', async (t, broker) => {
  const observer = await RawClient.connect(t, await overWebSockets(t, broker), 4);
  await observer.subscribe('will/#');
  const will = (topic: string) => ({ topic, payload: Buffer.from('gone'), qos: 0 as const, retain: false });

  const leaving = await connected(t, broker, { will: { ...will('will/leaving'), properties: {} } });
  leaving.sendFrame(Opcode.binary, Buffer.from('e000', 'hex'));
  await leaving.expectClose(1000);

  for (const code of ['03e8', '03e9', '']) {
    const closing = await connected(t, broker, { will: { ...will('will/closing'), properties: {} } });
    closing.sendFrame(Opcode.close, Buffer.from(code, 'hex'));
    await closing.expectFrame(Opcode.close, code);
    // The other side of the stream stays open, and the broker does not wait for it.
    await observer.expectPublish('will/closing', 'gone');
    await closing.expectEnd();
  }

  const vanishing = await connected(t, broker, { will: { ...will('will/vanishing'), properties: {} } });
  vanishing.destroy();
  await observer.expectPublish('will/vanishing', 'gone');
  await observer.expectSilence();
});

withBrokers(
  'addresses in the log, and an orderly stop',
  async (t, broker) => {
    const socket = await connected(t, broker, { clientId: 'known' });
    const line = await broker.waitForLog(/: New client connected from /);
    assert.match(line, /: New client connected from 127\.0\.0\.1:\d+ as known \(p4, c1, k0\)\.$/);
    const arrival = await broker.waitForLog(/: New connection from /);
    const address = /127\.0\.0\.1:\d+/.exec(line)![0];
    assert.ok(arrival.endsWith(`from ${address} on port ${broker.port}.`), arrival);
    const stopped = broker.stop();
    await socket.expectFrame(Opcode.close, '03e8'); // and it is not answered
    assert.equal(await stopped, 0);
    await socket.expectEnd();
  },
  { config: LISTENER, skip },
);

// ---------------------------------------------------------------------------------------------- sessions, workers

onSharedBroker('a session that lives on another worker', async (t, broker) => {
  await moveAround(
    t,
    await overWebSockets(t, broker, { frameSize: 10_000 }),
    await overWebSockets(t, broker),
  );
});

onSharedBroker('text, faults and the end on a connection that is relayed', async (t, broker) => {
  for (let move = 0; move < moves; move += 1) {
    const clientId = `relayed-${move}`;
    // Its session is on one worker, and the next connection comes to another.
    const options = { clientId, cleanStart: false };
    const older = await connected(t, broker, options);
    const socket = await FrameSocket.open(t, broker);
    socket.sendFrame(Opcode.binary, Buffer.concat([connectBytes(options), PINGREQ]));
    await older.expectClose(1000);
    await socket.expectFrames(Opcode.binary, `20020100${PINGRESP}`);
    const why = move % 2 === 0 ? 'WebSockets: it sent text' : 'connection closed by client';
    if (move % 2 === 0) {
      socket.sendFrame(Opcode.text, PINGREQ);
      await socket.expectClose(1003);
    } else {
      socket.sendFrame(Opcode.close, Buffer.alloc(0));
      await socket.expectFrame(Opcode.close, '');
    }
    await broker.waitForLog(new RegExp(`: Client ${clientId} .* disconnected: ${why}`));
  }
});

onSharedBroker(
  'a subscriber that does not read holds nobody up, and gets everything later',
  async (t, broker) => {
    const way = await overWebSockets(t, broker);
    const slow = await RawClient.connect(t, way, 5, { clientId: 'slow' });
    await slow.subscribe('flood', 1);
    slow.pause();
    const publisher = await RawClient.connect(t, way, 5);
    const payload = 'x'.repeat(200_000);
    const count = 60;
    for (let n = 0; n < count; n += 1) await publisher.publish('flood', `${n} ${payload}`);
    slow.resume();
    for (let n = 0; n < count; n += 1) {
      const { packetId } = await slow.expectPublish('flood', `${n} ${payload}`);
      slow.sendAck('puback', packetId);
    }
    await slow.expectSilence();
  },
);

// ------------------------------------------------------------------------------------------------------ options

test('websockets_origin, and after a reload', async (t) => {
  const config = `listener {port} 127.0.0.1
protocol websockets
allow_anonymous true
websockets_origin https://one.example
websockets_origin https://two.example:8080`;
  const broker = await startBroker(t, { config });
  const accepted = async (origin: string | null) => {
    const answer = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
    answer.send(upgradeRequest({ Origin: origin }));
    await answer.expectEndOfResponse();
    return answer.response.startsWith('HTTP/1.1 101 ');
  };
  assert.ok(await accepted('https://one.example'));
  assert.ok(await accepted('https://two.example:8080'));
  assert.ok(await accepted(null), 'no browser');
  const denied = upgradeRequest({ Origin: 'https://three.example' });
  assert.match(
    await FrameSocket.ask(t, broker, denied),
    /^HTTP\/1\.1 403 Forbidden\r\n.*Pages of this origin are not/s,
  );
  const from = broker.log.length;
  for (const origin of ['https://two.example', 'https://one.example/', 'null', '']) {
    assert.equal(await accepted(origin), false, origin);
  }
  assert.equal(await nextEnd(broker, from), 'non-matching http origin.');
  rewrite(broker, (text) => text.replace('websockets_origin https://one.example\n', ''));
  await reload(broker);
  assert.equal(await accepted('https://one.example'), false);
  assert.ok(await accepted('https://two.example:8080'));
});

function rewrite(broker: Broker, change: (text: string) => string): void {
  const file = join(broker.folder, 'broker.conf');
  writeFileSync(file, change(readFileSync(file, 'utf8')));
}

test('protocol after a reload, for new connections', async (t) => {
  const other = await freePort();
  const broker = await startBroker(t, {
    config: `allow_anonymous true\nlistener {port} 127.0.0.1\nprotocol mqtt\nlistener ${other} 127.0.0.1`,
  });
  const observer = await RawClient.connect(t, onPort(broker, other), 4);
  const before = await RawClient.connect(t, broker, 4);
  rewrite(broker, (text) => text.replace('protocol mqtt', 'protocol websockets'));
  await reload(broker);
  await connected(t, broker);
  await before.expectSilence();
  rewrite(broker, (text) => text.replace('protocol websockets', 'protocol mqtt'));
  await reload(broker);
  await RawClient.connect(t, broker, 4);
  await observer.expectSilence();
});

withBrokers(
  'max_connections counts handshakes, and gives their places back',
  async (t, broker) => {
    const first = await connected(t, broker);
    const second = FrameSocket.connect(t, { port: broker.port, host: '127.0.0.1' });
    second.send('GET');
    const arrivals = () => broker.log.filter((line) => line.includes(': New connection from ')).length;
    await until(() => arrivals() === 2, 'two connections');
    await FrameSocket.ask(t, broker, '').catch(() => {});
    await broker.waitForLog(/ denied: max_connections exceeded\.$/);
    second.send(' / HTTP/1.1\r\nHost: x\r\n\r\n');
    await second.expectEnd();
    first.sendFrame(Opcode.close, Buffer.alloc(0));
    await first.expectFrame(Opcode.close, '');
    // The places are free as soon as main knows.
    const open: FrameSocket[] = [];
    while (open.length < 2) {
      const socket = await FrameSocket.open(t, broker).catch(() => null);
      if (socket !== null) open.push(socket);
    }
  },
  { config: `${LISTENER}\nmax_connections 2`, skip },
);

test('users, access rules and mount_point', async (t) => {
  const folder = makeFolder(t);
  const passwords = await writePasswords(folder, { ann: 'secret' });
  const rules = writeSecret(folder, 'rules', 'user ann\ntopic readwrite site/open/#\n');
  const plain = await freePort();
  const broker = await startBroker(t, {
    config: `password_file ${passwords}
acl_file ${rules}
allow_anonymous false
listener {port} 127.0.0.1
protocol websockets
mount_point site/
listener ${plain} 127.0.0.1`,
  });
  const way = await overWebSockets(t, broker);
  const ann = { username: 'ann', password: Buffer.from('secret') };
  const refused = await RawClient.open(t, way, 5);
  refused.send(connectPacket(5, { ...ann, password: Buffer.from('wrong') }));
  await refused.expectPacket('connack', { reasonCode: 0x87 });
  await refused.expectClosed();

  const outside = await RawClient.connect(t, onPort(broker, plain), 5, ann);
  await outside.subscribe('site/open/a', 1);
  const inside = await RawClient.connect(t, way, 5, ann);
  assert.equal(await inside.publish('closed/a', 'x'), 0x87);
  assert.equal(await inside.publish('open/a', 'y'), 0);
  await outside.expectPublish('site/open/a', 'y');
  await inside.subscribe('open/+', 0);
  outside.sendPublish('site/open/b', 'z');
  await inside.expectPublish('open/b', 'z');
});

withBrokers(
  'on a unix socket',
  async (t, broker) => {
    const socket = FrameSocket.connect(t, { path: join(broker.folder, 'ws.sock') });
    await socket.upgrade();
    await logIn(socket, { clientId: 'by-path' });
    await broker.waitForLog(/: New client connected from :0 as by-path /);
  },
  { config: 'listener 0 {folder}/ws.sock\nprotocol websockets\nallow_anonymous true', skip },
);

test('one line for all addresses of a listener', async (t) => {
  const broker = await startBroker(t, {
    config: 'listener {port}\nprotocol websockets\nallow_anonymous true',
  });
  await connected(t, broker);
  assert.equal(broker.log.filter((line) => line.includes('listen socket')).length, 1);
});

test('where descriptors cannot change threads', async (t) => {
  const broker = await startBroker(t, { config: LISTENER, workers: 3, env: { MIDGE_NO_DESCRIPTORS: '1' } });
  const way = await overWebSockets(t, broker);
  await moveAround(t, way, way);
  assert.match(await FrameSocket.ask(t, broker, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 426 /);
  const socket = await connected(t, broker);
  socket.sendFrame(Opcode.text, PINGREQ);
  await socket.expectClose(1003);
});

// ---------------------------------------------------------------------------------------------------------- TLS

test('within TLS: names from certificates, and a session on another worker', {
  skip: withOpenssl,
}, async (t) => {
  const folder = makeFolder(t);
  const { server, authority, client } = makeCertificates(folder);
  const plain = await freePort();
  const broker = await startBroker(t, {
    workers: 3,
    config: `allow_anonymous true
listener {port} 127.0.0.1
protocol websockets
certfile ${server.certificate}
keyfile ${server.key}
cafile ${authority}
require_certificate true
use_identity_as_username true
listener ${plain} 127.0.0.1
protocol websockets`,
  });
  const way = await overWebSockets(t, broker, {
    url: `wss://localhost:${broker.port}/mqtt`,
    ca: readFileSync(authority),
    cert: readFileSync(client.certificate),
    key: readFileSync(client.key),
    frameSize: 50_000,
  });
  await moveAround(t, way, await overWebSockets(t, onPort(broker, plain)));
  await broker.waitForLog(/: New client connected from .* as mover \(p5, c0, k0, u'client'\)\.$/);
  await broker.waitForLog(/: Client mover negotiated TLSv1\.3 cipher /);

  // By hand: HTTP within TLS, and without.
  const trusted = {
    port: broker.port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca: readFileSync(authority),
    cert: readFileSync(client.certificate),
    key: readFileSync(client.key),
  };
  const socket = new FrameSocket(t, connectTls(trusted));
  await socket.upgrade();
  await logIn(socket);
  socket.sendFrame(Opcode.text, PINGREQ);
  await socket.expectClose(1003);
  await broker.waitForLog(/ disconnected: WebSockets: it sent text, /);
  await FrameSocket.ask(t, broker, upgradeRequest());
  await broker.waitForLog(/ disconnected: TLS: it does not speak TLS/);
});

// ------------------------------------------------------------------------------------------------ our own commands

onSharedBroker('mosquitto_pub and mosquitto_sub of ours', async (t, broker) => {
  const way = ['-h', '127.0.0.1', '-p', String(broker.port), '--ws'];
  const env = COMMAND_ENVIRONMENT;
  const sub = new Program(
    t,
    'mosquitto_sub',
    [...ourCommand('mosquitto_sub'), ...way, '-d', '-t', 'a/#', '-q', '2', '-C', '2', '-F', '%t %q %p'],
    { env },
  );
  await sub.waitForLine(/^Subscribed/);
  for (const qos of ['1', '2']) {
    const args = [...way, '-t', `a/${qos}`, '-m', 'over ws', '-q', qos];
    assert.equal((await runCommand([...ourCommand('mosquitto_pub'), ...args], { env })).code, 0);
  }
  assert.equal((await sub.waitForEnd()).code, 0);
  const messages = sub.stdout.filter((line) => line.startsWith('a/'));
  assert.deepEqual(messages, ['a/1 1 over ws', 'a/2 2 over ws']);
});

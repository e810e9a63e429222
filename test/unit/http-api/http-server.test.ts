/** The limits of an HTTP connection, in a clock of the test's own. The rest is shown by whole brokers. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { type HttpConnection, HttpServer } from '../../../src/http-api/http-server.js';

const origin = { listener: 3, remoteAddress: '192.0.2.1', remotePort: 40_000 };
const REQUEST_MS = 10_000;
const ANSWER_MS = 10_000;

interface Scene {
  client: Socket;
  /** The server's end of the same connection. */
  stream: Socket;
  server: HttpServer;
  /** What the test has to answer. */
  asked: { response: ServerResponse; connection: HttpConnection }[];
  /** Listeners of connections that have ended. */
  closed: number[];
  received: () => string;
}

const REQUEST = 'GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n';

async function open(t: TestContext): Promise<Scene> {
  const listening = createServer();
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const client = connect((listening.address() as AddressInfo).port, '127.0.0.1');
  const [stream] = (await once(listening, 'connection')) as [Socket];
  t.after(() => {
    client.destroy();
    stream.destroy();
    listening.close();
  });
  let text = '';
  client.on('data', (bytes) => {
    text += bytes;
  });
  client.on('error', () => {});
  const asked: Scene['asked'] = [];
  const closed: number[] = [];
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new HttpServer({
    faulted: (_, error) => {
      throw error;
    },
    answer: async (_, response, connection) => void asked.push({ response, connection }),
    closed: ({ listener }) => closed.push(listener),
  });
  server.accept(stream, origin, null);
  return { client, stream, server, asked, closed, received: () => text };
}

/** Timers stand still meanwhile. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** The connection has to stand until so much time has passed, and not longer. */
async function expectEndAfter(
  t: TestContext,
  { stream, closed }: Scene,
  milliseconds: number,
): Promise<void> {
  t.mock.timers.tick(milliseconds - 1);
  assert.equal(stream.destroyed, false);
  t.mock.timers.tick(1);
  assert.equal(stream.destroyed, true);
  await until(() => closed.length > 0);
  assert.deepEqual(closed, [origin.listener]);
}

test('who sends nothing is cut off', async (t) => {
  await expectEndAfter(t, await open(t), REQUEST_MS);
});

test('who sends a header bit by bit gains no time by it', async (t) => {
  const scene = await open(t);
  const bits = ['GET / HT', 'TP/1.1\r\nHo', 'st: x\r\n', 'X-A: y\r\n'];
  for (const bit of bits) {
    const before = scene.stream.bytesRead;
    scene.client.write(bit);
    await until(() => scene.stream.bytesRead > before);
    t.mock.timers.tick(REQUEST_MS / 5);
  }
  await expectEndAfter(t, scene, REQUEST_MS / 5);
  assert.equal(scene.asked.length, 0);
});

test('the time for a request begins anew with each answer, also where a body never ends', async (t) => {
  const scene = await open(t);
  t.mock.timers.tick(REQUEST_MS - 1);
  scene.client.write(REQUEST);
  await until(() => scene.asked.length === 1);
  t.mock.timers.tick(ANSWER_MS - 1);
  scene.asked[0]!.response.end('one');
  await until(() => scene.received().endsWith('one'));
  t.mock.timers.tick(REQUEST_MS - 1);
  scene.client.write(
    'POST / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 1000\r\n\r\nab',
  );
  await until(() => scene.asked.length === 2);
  scene.asked[1]!.response.end('two');
  await until(() => scene.received().endsWith('two'));
  scene.client.write('c');
  await expectEndAfter(t, scene, REQUEST_MS);
});

test('a client that does not ask to go on gets one answer', async (t) => {
  const scene = await open(t);
  scene.client.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => scene.asked.length === 1);
  scene.asked[0]!.response.end('one');
  await until(() => scene.closed.length > 0);
  assert.match(scene.received(), /\r\nConnection: close\r\n.*one$/s);
});

test('an answer that does not move on ends, and one that does goes on', async (t) => {
  const scene = await open(t);
  scene.client.write(REQUEST);
  await until(() => scene.asked.length === 1);
  for (let i = 0; i < 5; i += 1) {
    t.mock.timers.tick(ANSWER_MS - 1);
    scene.asked[0]!.connection.progress();
  }
  await expectEndAfter(t, scene, ANSWER_MS);
  scene.asked[0]!.connection.progress(); // a last piece of a file, read too late
  t.mock.timers.tick(ANSWER_MS);
  assert.equal(scene.asked[0]!.connection.isGone, true);
});

test('a request waits until the one before it is answered', async (t) => {
  const scene = await open(t);
  scene.client.write(REQUEST + REQUEST);
  await until(() => scene.asked.length === 1);
  t.mock.timers.tick(ANSWER_MS - 1);
  assert.equal(scene.asked.length, 1);
  scene.asked[0]!.response.end('one');
  await until(() => scene.asked.length === 2);
  scene.asked[1]!.response.end('two');
  await until(() => scene.received().endsWith('two'));
  await expectEndAfter(t, scene, REQUEST_MS);
});

test('a third request before the first one is answered ends the connection', async (t) => {
  const scene = await open(t);
  scene.client.write(REQUEST + REQUEST + REQUEST);
  await until(() => scene.closed.length > 0);
  assert.equal(scene.asked.length, 1);
});

for (const [what, bytes, answer] of [
  [
    'a path without a slash',
    'GET a HTTP/1.1\r\nHost: x\r\n\r\n',
    /^HTTP\/1\.1 404 .*\r\n\r\nNot found\.\n$/s,
  ],
  ['too large a header', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(9000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['too long a path', `GET /${'x'.repeat(9000)} HTTP/1.1\r\n\r\n`, /^HTTP\/1\.1 431 /],
  ['what is no HTTP', '\x10\x0e\0\x04MQTT\x04\x02\0\x3c\0\x02ab', /^HTTP\/1\.1 400 /],
] as const) {
  test(`${what} is refused, and its time runs out`, async (t) => {
    const scene = await open(t);
    scene.client.write(bytes);
    await until(() => answer.test(scene.received()));
    assert.equal(scene.asked.length, 0);
    t.mock.timers.tick(REQUEST_MS);
    await until(() => scene.closed.length > 0);
  });
}

test('the end of a client is heard of once', async (t) => {
  const { client, closed, server } = await open(t);
  client.destroy();
  await until(() => closed.length > 0);
  server.close();
  t.mock.timers.tick(ANSWER_MS);
  assert.deepEqual(closed, [origin.listener]);
});

test('close ends all connections', async (t) => {
  const { server, closed, client } = await open(t);
  server.close();
  await until(() => closed.length > 0 && client.destroyed);
});

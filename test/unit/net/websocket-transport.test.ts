/** One WebSocket by itself: what is held back in either direction, and how it ends. Whole brokers show the rest. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TransportUser } from '../../../src/broker/ports.js';
import { WebSocketAcceptor } from '../../../src/net/websocket-acceptor.js';
import type { WebSocketTransport } from '../../../src/net/websocket-transport.js';
import { FrameSocket, frame, Opcode } from '../../support/clients/frame-socket.js';
import { until } from '../../support/within.js';

const PACKET_SIZE_MAX = 1_000_000;
const CLOSE_MS = 5000;

/** Takes note of what it is told. */
class TestUser implements TransportUser {
  /** How many bytes came. */
  length = 0;
  drains = 0;
  readonly ends: string[] = [];
  readonly #chunks: Buffer[] = [];

  get received(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  receive(buffer: Uint8Array, length: number): void {
    this.#chunks.push(Buffer.from(buffer.subarray(0, length)));
    this.length += length;
  }

  drained(): void {
    this.drains += 1;
  }

  transportEnded(reason: string): void {
    this.ends.push(reason);
  }
}

interface Scene {
  transport: WebSocketTransport;
  user: TestUser;
  /** The client's end. */
  socket: Socket;
  client: FrameSocket;
}

async function open(t: TestContext): Promise<Scene> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const client = new FrameSocket(t, socket);
  const [stream] = (await once(server, 'connection')) as [Socket];
  t.after(() => {
    stream.destroy();
    server.close();
  });
  const user = new TestUser();
  const opened = new Promise<WebSocketTransport>((resolve) => {
    const acceptor = new WebSocketAcceptor({
      headerSizeMax: 4096,
      packetSizeMax: () => PACKET_SIZE_MAX,
      originsOf: () => [],
      accepted: (transport) => {
        transport.serve(user);
        resolve(transport);
      },
      faulted: (_, error) => {
        throw error;
      },
      failed: (_, reason) => assert.fail(reason),
    });
    acceptor.accept(stream, { listener: 0, remoteAddress: '192.0.2.1', remotePort: 40_000 }, null);
  });
  await client.upgrade();
  return { transport: await opened, user, socket, client };
}

test('what comes while reading is paused waits, in its order', async (t) => {
  const { transport, user, socket } = await open(t);
  transport.pause();
  const size = 50_000;
  const count = 400;
  const frames = Array.from({ length: count }, (_, n) => frame(Opcode.binary, Buffer.alloc(size, n)));
  for (const one of frames) socket.write(one);
  // The kernel takes some of it; the rest stays with the client.
  await until(
    () => socket.writableLength > 0 && socket.writableLength < count * size,
    'a backlog at the client',
  );
  assert.equal(user.length, 0);
  transport.resume();
  await until(() => user.length === count * size, 'all of it');
  const { received } = user;
  for (let n = 0; n < count; n += 1) assert.equal(received[n * size], n % 256);
});

test('several frames that were read at once: a pause at the first holds the others', async (t) => {
  const { transport, user, client } = await open(t);
  const pieces = ['a', 'b', 'c'].map((letter) => frame(Opcode.binary, Buffer.from(letter)));
  const receive = user.receive.bind(user);
  user.receive = (buffer, length) => {
    receive(buffer, length);
    transport.pause();
  };
  client.send(Buffer.concat(pieces));
  for (const text of ['a', 'ab', 'abc']) {
    await until(() => user.length === text.length, text);
    assert.equal(user.received.toString(), text);
    transport.resume();
  }
});

const CHUNK = Buffer.alloc(500_000, 7);

/** Writes until the stream takes no more. @returns how many chunks were written */
function fill(transport: WebSocketTransport): number {
  let written = 1;
  while (transport.write(CHUNK, CHUNK.length)) written += 1;
  return written;
}

test('a client that does not read: the chunk is kept until it does, and pings do not hide that', async (t) => {
  const { transport, user, socket, client } = await open(t);
  socket.pause();
  const written = fill(transport);
  client.sendFrame(Opcode.ping, Buffer.from('behind it'));
  assert.equal(user.drains, 0);
  socket.resume();
  for (let n = 0; n < written; n += 1) assert.equal((await client.next()).payload.length, CHUNK.length);
  await client.expectFrame(Opcode.pong, Buffer.from('behind it').toString('hex'));
  await until(() => user.drains > 0, 'drained');
  assert.equal(user.drains, 1);
  assert.equal(transport.write(CHUNK, 3), true);
  await client.expectFrame(Opcode.binary, '070707');
});

test('what was written comes before the close frame', async (t) => {
  const { transport, user, socket, client } = await open(t);
  socket.pause();
  const written = fill(transport);
  transport.end();
  socket.resume();
  for (let n = 0; n < written; n += 1) assert.equal((await client.next()).payload.length, CHUNK.length);
  await client.expectClose(1000);
  assert.deepEqual(user.ends, [], 'who ends it is not told of the end');
});

test('a peer that does not answer the close frame is cut off', async (t) => {
  const { transport, user, client } = await open(t);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  client.sendFrame(Opcode.text, Buffer.from('x'));
  await once(client.stream, 'data');
  assert.deepEqual(user.ends, ['WebSockets: it sent text, and MQTT takes binary frames only']);
  transport.end();
  t.mock.timers.tick(CLOSE_MS);
  t.mock.timers.reset();
  await client.expectFrame(Opcode.close, '03eb');
  await client.expectEnd();
});

test('the end of the stream is told of once, with its reason', async (t) => {
  const cases: [end: (scene: Scene) => void, reason: string][] = [
    [({ socket }) => socket.end(), ''],
    [({ client }) => client.sendFrame(Opcode.close, Buffer.alloc(0)), ''],
    [({ socket }) => socket.resetAndDestroy(), 'bad socket read/write: Connection reset by peer'],
    [({ client }) => client.sendFrame(15, Buffer.alloc(0)), 'WebSockets: invalid frame: invalid opcode 15'],
  ];
  for (const [end, reason] of cases) {
    const scene = await open(t);
    end(scene);
    await until(() => scene.user.ends.length > 0, reason);
    scene.client.destroy();
    await scene.client.expectEnd();
    assert.deepEqual(scene.user.ends, [reason]);
  }
});

test('a frame may be as large as several packets, once a CONNECT has come', async (t) => {
  const { transport, user, client } = await open(t);
  transport.pause();
  transport.resume();
  client.sendFrame(Opcode.binary, Buffer.alloc(4 * PACKET_SIZE_MAX));
  await until(() => user.length === 4 * PACKET_SIZE_MAX, 'all of it');
  client.send(frame(Opcode.binary, Buffer.alloc(0), { claimed: 4 * PACKET_SIZE_MAX + 1 }));
  await client.expectClose(1009);
  assert.deepEqual(user.ends, ['oversize packet']);
});

/** A SOCKS5 proxy for tests, which records what it was asked for. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { afterTest } from '../cleanup.js';

export interface SocksOptions {
  /** Asked for when given; else clients need not say who they are. */
  user?: { name: string; password: string };
  /** The answer to CONNECT, 0 = succeeded. */
  reply?: number;
}

const ADDRESS_LENGTHS: Readonly<Record<number, number>> = { 1: 4, 4: 16 };

export class SocksProxy {
  /** All that clients said before they were connected, in hexadecimal; one text a connection. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #options: SocksOptions;

  private constructor(server: Server, options: SocksOptions) {
    this.#server = server;
    this.#options = options;
  }

  static async start(t: TestContext, options: SocksOptions = {}): Promise<SocksProxy> {
    const server = createServer();
    const proxy = new SocksProxy(server, options);
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      proxy.#serve(socket).catch(() => socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    afterTest(t, () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async #serve(socket: Socket): Promise<void> {
    const index = this.asked.push('') - 1;
    const read = async (length: number) => {
      const bytes = await readBytes(socket, length);
      this.asked[index] += bytes.toString('hex');
      return bytes;
    };
    const { user, reply = 0 } = this.#options;
    await read((await read(2))[1]!);
    socket.write(Buffer.of(5, user === undefined ? 0 : 2));
    if (user !== undefined) {
      const name = (await read((await read(2))[1]!)).toString();
      const password = (await read((await read(1))[0]!)).toString();
      const isRight = name === user.name && password === user.password;
      socket.write(Buffer.of(1, isRight ? 0 : 1));
      if (!isRight) return void socket.end();
    }
    const type = (await read(4))[3]!;
    const host = await read(ADDRESS_LENGTHS[type] ?? (await read(1))[0]!);
    const port = (await read(2)).readUInt16BE();
    socket.write(Buffer.of(5, reply, 0, 1, 127, 0, 0, 1, 0, 1));
    if (reply !== 0) return void socket.end();
    // Only names of this machine are asked for here.
    const target = connect(port, type === 3 ? host.toString() : '127.0.0.1');
    target.on('error', () => socket.destroy());
    socket.pipe(target).pipe(socket);
  }
}

async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  for (;;) {
    const bytes: Buffer | null = length === 0 ? Buffer.alloc(0) : socket.read(length);
    if (bytes !== null) return bytes;
    await new Promise<void>((resolve, reject) => {
      socket.once('readable', resolve);
      socket.once('close', () => reject(new Error('closed')));
    });
  }
}

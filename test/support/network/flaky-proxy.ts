/**
 * A TCP proxy on the loopback interface that stands for a bad link: it cuts, refuses, delays, throttles, and goes
 * deaf while its connections stay open.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { afterTest } from '../cleanup.js';
import { freePort } from './free-port.js';
import { resetSocket } from './reset-socket.js';

export class FlakyProxy {
  readonly port: number;
  /** Connections accepted so far. */
  accepted = 0;
  readonly #target: number;
  #server: Server | undefined;
  readonly #sockets = new Set<Socket>();
  /** Nothing goes through, nothing is closed: as when a router forgets the connection. */
  #isDeaf = false;
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;

  private constructor(port: number, target: number) {
    this.port = port;
    this.#target = target;
  }

  /** @param target the port that it leads to. */
  static async open(t: TestContext, target: number): Promise<FlakyProxy> {
    const proxy = new FlakyProxy(await freePort(), target);
    afterTest(t, () => proxy.close());
    await proxy.restore();
    return proxy;
  }

  /** Connections can be made again, and everything passes. */
  async restore(): Promise<void> {
    this.#isDeaf = false;
    if (this.#server !== undefined) return;
    const server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.port, '127.0.0.1', resolve));
  }

  /** Breaks every connection; new ones may be made. */
  cut(): void {
    for (const socket of this.#sockets) resetSocket(socket);
  }

  /** Breaks every connection, and refuses new ones until `restore`. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.cut();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  /** From here on nothing passes, on old connections and new ones; what comes meanwhile is lost with them. */
  goDeaf(): void {
    this.#isDeaf = true;
  }

  /** Each piece of data is held for so long, in both directions. */
  delay(milliseconds: number): void {
    this.#delayMs = milliseconds;
  }

  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  #serve(socket: Socket): void {
    this.accepted += 1;
    const onward = connect({ port: this.#target, host: '127.0.0.1', noDelay: true });
    for (const end of [socket, onward]) {
      this.#sockets.add(end);
      end.on('error', () => {});
      end.on('close', () => this.#sockets.delete(end));
    }
    void this.#pass(socket, onward);
    void this.#pass(onward, socket);
  }

  async #pass(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        const pauseMs = this.#delayMs + (chunk.length / this.#bytesPerSecond) * 1000;
        if (pauseMs > 0) await wait(pauseMs);
        if (!this.#isDeaf) to.write(chunk);
      }
    } catch {
      // Broken on the way; the other end learns of it below.
    }
    if (!this.#isDeaf) to.destroy();
  }
}

/** Clients that try to fill the memory of a broker. Each attack goes on until its time is over; what answers is not read, or thrown away. */
import { connect, type Socket } from 'node:net';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { connectPacket } from './packet-socket.js';

/** What one attack may do: each connection is made when it is asked for. */
export class Attackers {
  readonly #port: number;
  readonly #endsAt: number;
  readonly #sockets = new Set<Socket>();

  constructor(port: number, milliseconds: number) {
    this.#port = port;
    this.#endsAt = Date.now() + milliseconds;
  }

  get isOver(): boolean {
    return Date.now() >= this.#endsAt;
  }

  /** A connection whose CONNECT was answered, or that has ended. */
  open(clientId: string, options: { reads?: boolean; lasts?: boolean; will?: number } = {}): Promise<Socket> {
    const { reads = true, lasts = false, will = 0 } = options;
    const socket = connect(this.#port, '127.0.0.1');
    this.#sockets.add(socket);
    const connectBytes = encodePacket(
      connectPacket(4, {
        clientId,
        cleanStart: !lasts,
        keepAlive: 0,
        ...(will > 0 && {
          will: {
            topic: `will/${clientId}`,
            payload: Buffer.alloc(will),
            qos: 0,
            retain: false,
            properties: {},
          },
        }),
      }),
      4,
    );
    socket.on('error', () => {});
    return new Promise((resolve) => {
      socket.on('connect', () => socket.write(connectBytes));
      socket.once('data', () => {
        if (reads) socket.on('data', () => {});
        else socket.pause();
        resolve(socket);
      });
      socket.on('close', () => {
        this.#sockets.delete(socket);
        resolve(socket);
      });
    });
  }

  /** Sends as fast as the broker reads, on a new connection whenever one is closed. */
  async flood(clientId: string, nextBytes: (n: number) => Buffer): Promise<void> {
    let socket = await this.open(clientId);
    for (let n = 1; !this.isOver; n += 1) {
      if (socket.destroyed) {
        await pause(5);
        socket = await this.open(clientId);
        continue;
      }
      if (!socket.write(nextBytes(n))) await this.#room(socket);
    }
  }

  end(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #room(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, Math.max(0, this.#endsAt - Date.now()));
      function done(): void {
        clearTimeout(timer);
        socket.off('drain', done).off('close', done);
        resolve();
      }
      socket.on('drain', done).on('close', done);
    });
  }
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function publish(topic: string, payload: Buffer, qos: 0 | 1 | 2, packetId: number, retain = false): Buffer {
  const fields = { qos, retain, dup: false, packetId: qos === 0 ? 0 : 1 + (packetId % 60_000) };
  return Buffer.from(encodePacket({ type: 'publish', topic, payload, properties: {}, ...fields }, 4));
}

function subscribe(filters: readonly string[], qos: 0 | 1, packetId: number): Buffer {
  const subscriptions = filters.map((filter) => ({
    filter,
    qos,
    noLocal: false,
    retainAsPublished: false,
    retainHandling: 0 as const,
  }));
  return Buffer.from(
    encodePacket({ type: 'subscribe', packetId: 1 + (packetId % 60_000), subscriptions, properties: {} }, 4),
  );
}

const LARGE = Buffer.alloc(200_000, 'x');
const MIDDLE = Buffer.alloc(65_536, 'x');

/** The kinds of attack by their names. */
export const MEMORY_ATTACKS: Record<string, (attackers: Attackers) => Promise<unknown>> = {
  'QoS 2 without PUBREL': (attackers) =>
    Promise.all([1, 2].map((i) => attackers.flood(`holder-${i}`, (n) => publish('a/b', LARGE, 2, n)))),

  'packets that are not complete': async (attackers) => {
    // The head of a PUBLISH of 1,000,000 bytes.
    const head = Buffer.from('30c0843d0003612f62', 'hex');
    for (let i = 0; !attackers.isOver; i += 1) {
      const socket = await attackers.open(`holder-${i}`);
      socket.write(Buffer.concat([head, Buffer.alloc(900_000)]));
    }
  },

  'clients that do not read': async (attackers) => {
    for (let i = 0; i < 6; i += 1) {
      const socket = await attackers.open(`holder-${i}`, { reads: false });
      socket.write(subscribe(['#'], 0, 1));
    }
    await attackers.flood('publisher', (n) => publish('a/b', MIDDLE, 0, n));
  },

  'queues of absent clients': async (attackers) => {
    for (let i = 0; i < 400; i += 1) {
      const socket = await attackers.open(`holder-${i}`, { lasts: true });
      await new Promise<void>((resolve) => {
        socket.once('data', () => resolve()).once('close', () => resolve());
        socket.write(subscribe([`s/${i}`], 1, 1));
      });
      socket.destroy();
    }
    await attackers.flood('publisher', (n) => publish(`s/${n % 400}`, MIDDLE, 1, n));
  },

  'retained messages of ever new topics': (attackers) =>
    attackers.flood('holder', (n) => publish(`r/${n}`, Buffer.alloc(10_000), 0, n, true)),

  subscriptions: (attackers) =>
    Promise.all(
      [1, 2, 3].map((i) =>
        attackers.flood(`holder-${i}`, (n) =>
          subscribe(
            Array.from({ length: 200 }, (_, j) => `f/${i}/${n}/${j}`),
            0,
            n,
          ),
        ),
      ),
    ),

  sessions: (attackers) =>
    Promise.all(
      Array.from({ length: 20 }, async (_, lane) => {
        for (let n = 0; !attackers.isOver; n += 1) {
          (await attackers.open(`holder-${lane}-${n}`, { lasts: true })).destroy();
        }
      }),
    ),

  wills: async (attackers) => {
    for (let n = 0; !attackers.isOver; n += 1) await attackers.open(`holder-${n}`, { will: 60_000 });
  },
};

/**
 * A process with two clients: one pings the broker that is attacked, the other one an idle broker, which shows what the
 * machine alone delays. A ping is sent each ten milliseconds, whatever has become of the last one: who stands still for a
 * second has a hundred late pings. Any message of the parent is answered with what was measured since the last one.
 */
import { connect } from 'node:net';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { connectPacket } from '../clients/packet-socket.js';

const INTERVAL_MS = 10;
const PINGREQ = Buffer.of(0xc0, 0);
const PINGRESP = Buffer.of(0xd0, 0);

/** Milliseconds. */
export interface Delays {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export interface BystanderReport {
  attacked: Delays;
  idle: Delays;
  /** The attacked broker has closed the connection, or has not answered all pings yet. */
  isCut: boolean;
}

class Pinger {
  isCut = false;
  #delays: number[] = [];
  readonly #sent: number[] = [];
  #next = 0;

  constructor(port: number) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.write(encodePacket(connectPacket(4, { clientId: `bystander-${process.pid}` }), 4));
    let isIn = false;
    socket.on('data', (bytes) => {
      const now = performance.now();
      let at = 0;
      if (!isIn) {
        isIn = true;
        at = 4; // CONNACK
        this.#next = now;
        this.#ping(socket);
      }
      for (; at < bytes.length; at += PINGRESP.length) this.#delays.push(now - this.#sent.shift()!);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.isCut = true;
    });
  }

  /** A ping that could not be sent in time, because this process got no processor, counts from when it was sent. */
  #ping(socket: ReturnType<typeof connect>): void {
    const now = performance.now();
    this.#sent.push(now);
    socket.write(PINGREQ);
    this.#next = Math.max(this.#next + INTERVAL_MS, now);
    setTimeout(() => this.#ping(socket), this.#next - now);
  }

  report(): Delays {
    const now = performance.now();
    const delays = [...this.#delays, ...this.#sent.map((sent) => now - sent)].sort((a, b) => a - b);
    this.#delays = [];
    const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? 0;
    return { count: delays.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}

if (process.send !== undefined) {
  const [attacked, idle] = process.argv.slice(2).map((port) => new Pinger(Number(port)));
  process.on('message', () => {
    const report: BystanderReport = {
      attacked: attacked!.report(),
      idle: idle!.report(),
      isCut: attacked!.isCut,
    };
    process.send!(report);
  });
}

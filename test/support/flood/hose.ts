/** A connection on which much is sent: what comes back is counted by its type, or not read at all. */
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import type { Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { afterTest } from '../cleanup.js';
import { type ConnectOptions, connectPacket } from '../clients/packet-socket.js';
import { patienceMs, within } from '../within.js';

const TYPES = {
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  suback: 9,
  pingresp: 13,
};
type Counted = keyof typeof TYPES;

/** So much is gathered before it is written. */
const GATHER_BYTES = 64 * 1024;

export class Hose {
  readonly version: ProtocolVersion;
  readonly socket: Socket;
  readonly #counts = new Uint32Array(16);
  #gathered: Uint8Array[] = [];
  #gatheredBytes = 0;
  #isClosed = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket, version: ProtocolVersion) {
    this.socket = socket;
    this.version = version;
    const framer = new Framer((buffer, start) => {
      this.#counts[buffer[start]! >> 4]! += 1;
      return true;
    });
    socket.on('data', (bytes) => {
      framer.push(bytes, bytes.length);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
    socket.on('drain', () => this.#wake());
  }

  static async open(
    t: TestContext,
    port: number,
    version: ProtocolVersion,
    options: ConnectOptions = {},
  ): Promise<Hose> {
    const hose = new Hose(connect({ port, host: '127.0.0.1', noDelay: true }), version);
    afterTest(t, () => hose.socket.destroy());
    hose.socket.write(encodePacket(connectPacket(version, options), version));
    await hose.until(() => hose.count('connack') === 1, 'CONNACK');
    return hose;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  count(type: Counted): number {
    return this.#counts[TYPES[type]]!;
  }

  /** Sends it when enough has come together, or at `flush`. */
  async send(packet: Packet | Uint8Array): Promise<void> {
    const bytes = packet instanceof Uint8Array ? packet : encodePacket(packet, this.version);
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= GATHER_BYTES) await this.flush();
  }

  /** @returns when there is room for more, or none any more */
  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (bytes.length === 0 || this.#isClosed || this.socket.write(bytes)) return;
    await this.until(() => !this.socket.writableNeedDrain, 'room to write', Number.POSITIVE_INFINITY);
  }

  /** Nothing is read from here on. */
  stopReading(): void {
    this.socket.pause();
  }

  /** Also fulfilled when the connection is closed. */
  until(isReached: () => boolean, what: string, timeoutMs = patienceMs): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (isReached() || this.#isClosed) resolve();
      };
      this.#wake();
    });
    return timeoutMs === Number.POSITIVE_INFINITY
      ? reached
      : within(timeoutMs, reached, () => `waiting for ${what}`);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

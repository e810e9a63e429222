/**
 * A TCP connection that speaks packets: what the two test clients have in common. It knows bytes and packets, and
 * nothing of sessions or acknowledgements.
 */
import { connect, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { ConnectPacket, Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { afterTest } from '../cleanup.js';
import { resetSocket } from '../network/reset-socket.js';
import { patienceMs, within } from '../within.js';

/** The shape of a packet of this type. (Some shapes stand for several types.) */
export type PacketOf<Type extends Packet['type']> = Packet extends infer Shape
  ? Shape extends { type: infer Types }
    ? Type extends Types
      ? Shape
      : never
    : never
  : never;

export interface PacketSocketEvents {
  onPacket: (packet: Packet) => void;
  /** Called once; no packet comes afterwards. `error` is set when the broker sent what is no packet. */
  onClose: (error: Error | undefined) => void;
}

export class PacketSocket {
  readonly version: ProtocolVersion;
  readonly #socket: Socket;

  private constructor(socket: Socket, version: ProtocolVersion) {
    this.#socket = socket;
    this.version = version;
  }

  /** @returns once the TCP connection stands; nothing has been sent yet. */
  static async open(
    t: TestContext,
    port: number,
    version: ProtocolVersion,
    events: PacketSocketEvents,
  ): Promise<PacketSocket> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    afterTest(t, () => socket.destroy());
    const self = new PacketSocket(socket, version);
    self.#listen(events);
    const connected = new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    await within(patienceMs, connected, () => `connecting to port ${port}`);
    return self;
  }

  #listen({ onPacket, onClose }: PacketSocketEvents): void {
    let nonsense: Error | undefined;
    const framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, this.version, 'server');
      if (isPacketError(packet)) {
        nonsense = new Error(`The broker sent a malformed packet: ${packet.message}`);
        this.#socket.destroy();
        return false;
      }
      onPacket(packet);
      return true;
    });
    this.#socket.on('data', (bytes) => {
      const fault = framer.push(bytes, bytes.length);
      if (fault !== undefined) nonsense = new Error(`The broker sent no packet: ${fault.message}`);
    });
    this.#socket.on('error', () => {}); // 'close' follows.
    this.#socket.on('close', () => onClose(nonsense));
  }

  send(packet: Packet): void {
    this.#socket.write(encodePacket(packet, this.version));
  }

  /** @param bytes as they are, or as hexadecimal digits with spaces between where one likes. */
  sendBytes(bytes: Uint8Array | string): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes.replaceAll(' ', ''), 'hex') : bytes);
  }

  /** Gathers what is sent until {@link uncork} into as few TCP segments as possible. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  /** Stops reading, so that the broker's writes back up. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends our side in good order, without a DISCONNECT. */
  end(): void {
    this.#socket.end();
  }

  /** As when the power fails, as far as the other side can tell. */
  destroy(): void {
    resetSocket(this.#socket);
  }
}

export type ConnectOptions = Partial<Omit<ConnectPacket, 'type' | 'version'>>;

let lastClientNumber = 0;

/** A CONNECT with the usual values: a client id of its own, clean, no keepalive. */
export function connectPacket(version: ProtocolVersion, options: ConnectOptions = {}): ConnectPacket {
  return {
    type: 'connect',
    version,
    bridge: false,
    cleanStart: true,
    keepAlive: 0,
    clientId: `test-${process.pid}-${++lastClientNumber}`,
    properties: {},
    ...options,
  };
}

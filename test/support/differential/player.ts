/**
 * Plays a sequence to one broker and writes down what each client gets after each step. No time is measured: a step is
 * over if the connection is closed or a PINGREQ behind the step is answered, then a retained PUBLISH of a client of the
 * player's own (Midge's main thread has all retained messages, and does in order what workers ask for), and then
 * PINGREQs of all clients.
 */
import { connect, type Socket } from 'node:net';
import type { Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { decodeWhole, packetBytes } from '../packets/packet-bytes.js';
import { endOfPacket, PLACE, type Step } from './sequences.js';

/** What came of one step. */
export interface Answers {
  /** What the step sent, in hexadecimal digits; empty if it sent nothing. */
  sent: string;
  /** The version of the connection that sent it. */
  version: ProtocolVersion;
  /** For each client: packets, described, in their order, and `closed`. */
  described: string[][];
  /** The same as bytes. */
  hex: string[][];
}

const PINGREQ = Buffer.from('c000', 'hex');
const BARRIER = packetBytes(0x33, '"barrier" 0001 \'x\'');
const CLOSED = 'closed';
const SILENT = 'no answer';
/** Until the broker is taken to wait for more bytes: a difference, if the other one answers. */
const SILENT_MS = 10_000;
const CLIENTS = 3;

let plays = 0;

/** A part of the names that no other play of this process has. */
export function nameOfPlay(): string {
  plays += 1;
  return plays.toString(36).padStart(PLACE.length, '0');
}

export async function play(port: number, steps: readonly Step[], name: string): Promise<Answers[]> {
  const clients: (Connection | undefined)[] = Array(CLIENTS).fill(undefined);
  const answers: Answers[] = [];
  const barrier = new Connection(port, 4);
  try {
    await barrier.introduce(packetBytes(0x10, `"MQTT" 04 02 0000 "${name}barrier"`));
    for (const step of steps) {
      const sent = await take(port, clients, step, name);
      // Twice: at the end of a connection the broker may send a will in its next turn.
      for (let round = step.does === 'send' ? 1 : 0; round < 2; round += 1) {
        await barrier.pass();
        for (const client of clients) await client?.ping();
      }
      const got = clients.map((client) => client?.takeReceived() ?? { described: [], hex: [] });
      answers.push({
        sent: sent.toString('hex'),
        version: clients[step.client]?.version ?? 4,
        described: got.map(({ described }) => described.map((line) => line.replaceAll(name, PLACE))),
        hex: got.map(({ hex }) => hex),
      });
    }
  } finally {
    barrier.destroy();
    for (const client of clients) client?.destroy();
  }
  return answers;
}

/** @returns what was sent */
async function take(
  port: number,
  clients: (Connection | undefined)[],
  step: Step,
  name: string,
): Promise<Buffer> {
  const client = clients[step.client];
  const isOpen = client !== undefined && !client.isClosed;
  const nothing = Buffer.alloc(0);
  if (step.does === 'connect') {
    if (isOpen) return nothing;
    const bytes = withName(step.bytes, name);
    const opened = new Connection(port, versionOf(bytes) ?? step.version);
    clients[step.client] = opened;
    await opened.introduce(bytes);
    return bytes;
  }
  if (!isOpen) return nothing;
  if (step.does === 'break') {
    await client.end();
    return nothing;
  }
  const bytes = step.does === 'send' ? withName(step.bytes, name) : client.acknowledgement();
  if (bytes.length > 0) await client.send(bytes);
  return bytes;
}

function withName(bytes: Buffer, name: string): Buffer {
  const text = bytes.toString('latin1');
  return Buffer.from(text.replaceAll(PLACE, name), 'latin1');
}

class Connection {
  readonly version: ProtocolVersion;
  isClosed = false;
  readonly #socket: Socket;
  #unread: Buffer = Buffer.alloc(0);
  #described: string[] = [];
  #hex: string[] = [];
  #pingsSent = 0;
  #pingsAnswered = 0;
  #isIntroduced = false;
  #isRefused = false;
  /** Answers to what the broker has sent, oldest first. */
  #due: Buffer[] = [];
  #wake: () => void = () => {};

  constructor(port: number, version: ProtocolVersion) {
    this.version = version;
    this.#socket = connect(port, '127.0.0.1');
    this.#socket.setNoDelay(true);
    this.#socket.on('data', (bytes) => this.#read(bytes));
    // The broker may reset a connection that it closes; `close` follows.
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      if (this.isClosed) return;
      this.isClosed = true;
      this.#described.push(CLOSED);
      this.#hex.push(CLOSED);
      this.#wake();
    });
  }

  /** Sends the CONNECT, or what stands in its place. @returns when it is accepted or the connection is closed */
  async introduce(bytes: Buffer): Promise<void> {
    this.#socket.write(bytes);
    await this.#until(() => this.#isIntroduced);
    if (this.#isRefused) await this.#until(() => false);
  }

  send(bytes: Buffer): Promise<void> {
    return this.#ping(Buffer.concat([bytes, PINGREQ]));
  }

  ping(): Promise<void> {
    return this.isClosed ? Promise.resolve() : this.#ping(PINGREQ);
  }

  /** @returns when the broker has done all that was asked for before */
  async pass(): Promise<void> {
    this.#described = [];
    this.#socket.write(BARRIER);
    await this.#until(() => this.#described.length > 0);
  }

  /** Ends our side without a DISCONNECT. @returns when the broker has closed its side */
  async end(): Promise<void> {
    this.#socket.end();
    await this.#until(() => false);
  }

  acknowledgement(): Buffer {
    return this.#due.shift() ?? Buffer.alloc(0);
  }

  takeReceived(): { described: string[]; hex: string[] } {
    const received = { described: this.#described, hex: this.#hex };
    this.#described = [];
    this.#hex = [];
    return received;
  }

  destroy(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }

  async #ping(bytes: Buffer): Promise<void> {
    this.#socket.write(bytes);
    this.#pingsSent += pingsIn(bytes);
    await this.#until(() => this.#pingsAnswered >= this.#pingsSent);
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.isClosed = true;
        this.#described.push(SILENT);
        this.#hex.push(SILENT);
        this.#socket.destroy();
        this.#wake();
      }, SILENT_MS);
      this.#wake = () => {
        if (!this.isClosed && !done()) return;
        clearTimeout(timer);
        resolve();
      };
      this.#wake();
    });
  }

  #read(bytes: Buffer): void {
    this.#unread = Buffer.concat([this.#unread, bytes]);
    for (;;) {
      const end = endOfPacket(this.#unread, 0);
      if (typeof end !== 'number' || end > this.#unread.length) break;
      this.#take(this.#unread.subarray(0, end));
      this.#unread = this.#unread.subarray(end);
    }
    this.#wake();
  }

  #take(bytes: Buffer): void {
    const packet = decodeWhole(bytes, this.version, 'server') as Packet;
    if (packet.type === 'pingresp') {
      this.#pingsAnswered += 1;
      return;
    }
    this.#described.push(describe(packet, bytes));
    this.#hex.push(bytes.toString('hex'));
    if (!this.#isIntroduced) {
      this.#isIntroduced = true;
      this.#isRefused = packet.type !== 'connack' || packet.reasonCode !== 0;
    }
    if (packet.type === 'publish' && packet.qos > 0)
      this.#owe(packet.qos === 1 ? 0x40 : 0x50, packet.packetId);
    if (packet.type === 'pubrel') this.#owe(0x70, packet.packetId);
    if (packet.type === 'pubrec') this.#owe(0x62, packet.packetId);
  }

  #owe(firstByte: number, packetId: number): void {
    this.#due.push(Buffer.from([firstByte, 2, packetId >> 8, packetId & 0xff]));
  }
}

/** The version that a CONNECT asks for; `undefined` if it is none that both brokers know. */
function versionOf(bytes: Buffer): ProtocolVersion | undefined {
  const level = [2, 3]
    .map((at) => at + 2 + 'MQTT'.length)
    .find((at) => bytes.toString('latin1', at - 4, at) === 'MQTT');
  const version = level === undefined ? undefined : bytes[level]! & 0x7f;
  return version === 4 || version === 5 ? version : undefined;
}

function pingsIn(bytes: Buffer): number {
  let pings = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = endOfPacket(bytes, start);
    if (typeof end !== 'number') break;
    if (bytes[start] === PINGREQ[0] && end === start + PINGREQ.length) pings += 1;
    start = end;
  }
  return pings;
}

/** A packet in one line. The order of properties of different names means nothing in MQTT. */
function describe(packet: Packet, bytes: Buffer): string {
  if (typeof packet.type !== 'string') return `not a packet: ${bytes.toString('hex')}`;
  return JSON.stringify(packet, (key, value) => {
    if (value?.type === 'Buffer') return Buffer.from(value.data).toString('latin1');
    if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
    if (key === 'properties') return Object.fromEntries(Object.entries(value).sort());
    // Made up by the broker, and counted down by the second.
    if (key === 'assignedClientIdentifier' || key === 'messageExpiryInterval') return 'any';
    return value;
  });
}

/** What clients sent over their connections, packet by packet; and servers that record it. */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { decodePacket } from '../../../src/mqtt/decode.js';
import { encodePacket } from '../../../src/mqtt/encode.js';
import { Framer } from '../../../src/mqtt/framer.js';
import { isPacketError } from '../../../src/mqtt/packet-error.js';
import type { Packet, ProtocolVersion } from '../../../src/mqtt/packets.js';
import { afterTest } from '../cleanup.js';

/** The packets of one connection in one direction. */
class PacketRecord {
  readonly packets: Packet[] = [];
  #version: ProtocolVersion = 4;
  readonly #framer: Framer;
  readonly #onPacket: (packet: Packet) => void;

  constructor(onPacket: (packet: Packet) => void = () => {}) {
    this.#onPacket = onPacket;
    this.#framer = new Framer((buffer, start, bodyStart, end) => {
      const packet = decodePacket(buffer, start, bodyStart, end, this.#version, 'client');
      if (isPacketError(packet)) throw new Error(`The client sent what is no packet: ${packet.message}`);
      if (packet.type === 'connect') this.#version = packet.version;
      this.packets.push(packet);
      this.#onPacket(packet);
      return true;
    });
  }

  add(chunk: Buffer): void {
    const error = this.#framer.push(chunk, chunk.length);
    if (error !== undefined) throw new Error(error.message);
  }
}

const SUBACK = 9;

class RecordingServer {
  readonly #server: Server;
  readonly #records: PacketRecord[] = [];
  readonly #open = new Set<Socket>();

  constructor(server: Server) {
    this.#server = server;
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** What was said, one list a connection. */
  get sent(): Packet[][] {
    return this.#records.map(({ packets }) => packets);
  }

  /** Waits until the clients, which have ended, have been heard to the end. */
  async heardAll(): Promise<void> {
    while (this.#open.size > 0) await new Promise((resolve) => setImmediate(resolve));
  }

  protected record(client: Socket, record: PacketRecord): void {
    this.#records.push(record);
    this.#open.add(client);
    client.on('end', () => this.#open.delete(client));
    client.on('close', () => this.#open.delete(client));
  }
}

/** Passes connections on to a broker, and records what the clients send. */
export class RecordingProxy extends RecordingServer {
  /** Called when a SUBACK has been passed to the client. */
  onSuback: () => void = () => {};

  /** @param listen a port (0 = any free one) or a path */
  static async start(
    t: TestContext,
    brokerPort: number,
    listen: number | string = 0,
  ): Promise<RecordingProxy> {
    const server = createServer();
    const proxy = new RecordingProxy(server);
    server.on('connection', (socket) => proxy.#pass(socket, connect(brokerPort, '127.0.0.1')));
    await startListening(t, server, listen);
    return proxy;
  }

  #pass(client: Socket, broker: Socket): void {
    const record = new PacketRecord();
    this.record(client, record);
    client.on('data', (chunk) => {
      record.add(chunk);
      broker.write(chunk);
    });
    broker.on('data', (chunk) => {
      client.write(chunk);
      if (startsPacket(chunk, SUBACK)) this.onSuback();
    });
    join(client, broker);
    join(broker, client);
  }
}

function join(from: Socket, to: Socket): void {
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
}

/** Looks through the packets that begin in this chunk; the broker sends short ones whole. */
function startsPacket(chunk: Buffer, type: number): boolean {
  let found = false;
  const framer = new Framer((buffer, start) => {
    found ||= buffer[start]! >> 4 === type;
    return true;
  });
  framer.push(chunk, chunk.length);
  return found;
}

/** By packet type: the bytes to answer with, in hexadecimal, or to close the connection. */
export type Script = Partial<Record<Packet['type'], string>>;

/** A server that answers by a script. The first connection gets the first script, the last script serves the rest. */
export class ScriptedServer extends RecordingServer {
  static async start(t: TestContext, ...scripts: Script[]): Promise<ScriptedServer> {
    const server = createServer();
    const scripted = new ScriptedServer(server);
    server.on('connection', (socket) => {
      const script = scripts[Math.min(scripted.sent.length, scripts.length - 1)]!;
      scripted.#serve(socket, script);
    });
    await startListening(t, server, 0);
    return scripted;
  }

  #serve(socket: Socket, script: Script): void {
    const record = new PacketRecord(({ type }) => {
      const answer = script[type];
      if (answer === 'close') socket.destroy();
      else if (answer !== undefined) socket.write(Buffer.from(answer, 'hex'));
    });
    this.record(socket, record);
    socket.on('data', (chunk) => record.add(chunk));
    socket.on('error', () => {});
  }
}

export interface LineSinkOptions {
  receiveMaximum?: number;
  /** The first connection is cut after this many messages, the last of which are not acknowledged. */
  dropAfter?: number;
  /** Each acknowledgement is sent so much later. */
  delayMs?: number;
}

/** A server that accepts messages of QoS 1 and 2 and records them. */
export class LineSink {
  /** Payloads in the order of arrival. */
  readonly lines: string[] = [];
  /** The most messages that were not acknowledged at one time. */
  underWayMax = 0;
  readonly #server: Server;
  readonly #options: LineSinkOptions;
  readonly #sockets = new Set<Socket>();
  #connections = 0;

  private constructor(server: Server, options: LineSinkOptions) {
    this.#server = server;
    this.#options = options;
  }

  static async start(t: TestContext, options: LineSinkOptions = {}): Promise<LineSink> {
    const sink = await LineSink.open(options);
    afterTest(t, () => sink.close());
    return sink;
  }

  /** For programs that are no tests. */
  static async open(options: LineSinkOptions = {}): Promise<LineSink> {
    const server = createServer();
    const sink = new LineSink(server, options);
    server.on('connection', (socket) => sink.#serve(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return sink;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  get port(): number {
    return portOf(this.#server);
  }

  /** Acknowledges what one read brought at once, and that a turn later: so the client's window is seen full. */
  #serve(socket: Socket): void {
    const { receiveMaximum, dropAfter, delayMs = 0 } = this.#options;
    const isCut = dropAfter !== undefined && this.#connections === 0;
    this.#connections += 1;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    let version: ProtocolVersion = 4;
    let underWay = 0;
    let answers: Buffer[] = [];
    const answer = (packet: Packet) => answers.push(encodePacket(packet, version));
    const acknowledge = (type: 'puback' | 'pubrec' | 'pubcomp', packetId: number) => {
      answer({ type, packetId, reasonCode: 0, properties: {} });
    };
    const record = new PacketRecord((packet) => {
      record.packets.length = 0;
      if (packet.type === 'connect') {
        version = packet.version;
        const properties = receiveMaximum === undefined ? {} : { receiveMaximum };
        answer({ type: 'connack', sessionPresent: false, reasonCode: 0, properties });
      } else if (packet.type === 'subscribe') {
        const { packetId, subscriptions } = packet;
        const reasonCodes = subscriptions.map(({ qos }) => qos);
        answer({ type: 'suback', packetId, reasonCodes, properties: {} });
      } else if (packet.type === 'publish') {
        this.lines.push(Buffer.from(packet.payload).toString());
        underWay += 1;
        this.underWayMax = Math.max(this.underWayMax, underWay);
        acknowledge(packet.qos === 1 ? 'puback' : 'pubrec', packet.packetId);
      } else if (packet.type === 'pubrel') {
        acknowledge('pubcomp', packet.packetId);
      }
    });
    const send = () => {
      if (socket.destroyed) return;
      for (const bytes of answers) {
        // PUBACK and PUBCOMP end a message.
        const type = bytes[0]! >> 4;
        if (type === 4 || type === 7) underWay -= 1;
      }
      socket.write(Buffer.concat(answers));
      answers = [];
    };
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      record.add(chunk);
      if (isCut && this.lines.length >= dropAfter) socket.destroy();
      else if (delayMs > 0) setTimeout(send, delayMs);
      else setImmediate(send);
    });
  }
}

async function startListening(t: TestContext, server: Server, listen: number | string): Promise<void> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => {
    if (typeof listen === 'string') server.listen(listen, resolve);
    else server.listen(listen, '127.0.0.1', resolve);
  });
  afterTest(t, () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

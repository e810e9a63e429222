/**
 * A WebSocket written by hand: the test sends each request and each frame, well formed or not, and says what has to
 * come next.
 */
import assert from 'node:assert/strict';
import { connect, type NetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import type { Broker } from '../brokers/broker.js';
import { afterTest } from '../cleanup.js';
import { patienceMs, within } from '../within.js';

export const Opcode = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Frame {
  opcode: number;
  payload: Buffer;
}

const MASK = Buffer.from('5a3c0ff1', 'hex');
const SHORT_MAX = 125;
const MEDIUM = 126;
const LONG = 127;

/** The bytes of a frame. @param claimed length that it says it has, where that is not the truth */
export function frame(
  opcode: number,
  payload: Uint8Array,
  { fin = true, masked = true, claimed = payload.length } = {},
): Buffer {
  const maskBit = masked ? 0x80 : 0;
  const head = [opcode | (fin ? 0x80 : 0)];
  if (claimed <= SHORT_MAX) head.push(claimed | maskBit);
  else if (claimed < 65_536) head.push(MEDIUM | maskBit, claimed >> 8, claimed & 0xff);
  else {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(claimed));
    head.push(LONG | maskBit, ...length);
  }
  if (!masked) return Buffer.concat([Buffer.from(head), payload]);
  return Buffer.concat([Buffer.from(head), MASK, payload.map((byte, i) => byte ^ MASK[i % 4]!)]);
}

/** A request to upgrade, as MQTT clients send it. @param changes header fields that are different; `null` = not there */
export function upgradeRequest(changes: Record<string, string | null> = {}, path = '/mqtt'): string {
  const fields: Record<string, string | null> = {
    Host: 'localhost',
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Protocol': 'mqtt',
    ...changes,
  };
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`],
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`;
}

const HEADER_END = '\r\n\r\n';

export class FrameSocket {
  /** The answer to the request, without the empty line. */
  response = '';
  readonly #stream: Duplex;
  #unread = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  /** @param stream connected already */
  constructor(t: TestContext, stream: Duplex) {
    this.#stream = stream;
    afterTest(t, () => stream.destroy());
    stream.on('data', (bytes: Buffer) => {
      this.#unread = Buffer.concat([this.#unread, bytes]);
      this.#wake();
    });
    stream.on('error', () => {}); // 'close' follows
    for (const event of ['end', 'close']) {
      stream.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** What it runs over. */
  get stream(): Duplex {
    return this.#stream;
  }

  /** Connected, with nothing sent. */
  static connect(t: TestContext, to: NetConnectOpts): FrameSocket {
    return new FrameSocket(t, connect(to));
  }

  /** @param changes to the request @returns once the broker has accepted it */
  static async open(
    t: TestContext,
    { port }: Pick<Broker, 'port'>,
    changes: Record<string, string | null> = {},
  ): Promise<FrameSocket> {
    const socket = FrameSocket.connect(t, { port, host: '127.0.0.1' });
    await socket.upgrade(changes);
    return socket;
  }

  async upgrade(changes: Record<string, string | null> = {}): Promise<void> {
    this.send(upgradeRequest(changes));
    await this.expectEndOfResponse();
    assert.match(this.response, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
  }

  /** @returns the whole answer to a request, up to the end of the connection */
  static async ask(t: TestContext, { port }: Pick<Broker, 'port'>, request: string): Promise<string> {
    const socket = FrameSocket.connect(t, { port, host: '127.0.0.1' });
    socket.send(request);
    await socket.expectEnd();
    return socket.#unread.toString();
  }

  send(bytes: Uint8Array | string): void {
    this.#stream.write(bytes);
  }

  /** Together with nothing else: it has left when this is fulfilled, and the broker had a turn to read it. */
  async sendAlone(bytes: Uint8Array | string): Promise<void> {
    await new Promise<void>((resolve) => this.#stream.write(bytes, () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }

  sendFrame(opcode: number, payload: Uint8Array, options?: Parameters<typeof frame>[2]): void {
    this.send(frame(opcode, payload, options));
  }

  /** An answer must come, up to its empty line: `response`. */
  async expectEndOfResponse(): Promise<void> {
    await this.#until(() => this.#unread.includes(HEADER_END) || this.#ended, 'an answer');
    const end = this.#unread.indexOf(HEADER_END);
    assert.notEqual(end, -1, `not an answer: ${this.#unread}`);
    this.response = this.#unread.subarray(0, end).toString();
    this.#unread = this.#unread.subarray(end + HEADER_END.length);
  }

  /** The next frame. What a server sends is not masked. */
  async next(): Promise<Frame> {
    const header = await this.#read(2);
    const [first, second] = header as unknown as [number, number];
    assert.equal(second & 0x80, 0, 'a masked frame of the broker');
    assert.equal(first & 0xf0, 0x80, 'a frame of the broker that is not whole, or uses an extension');
    let length = second;
    if (second === MEDIUM) length = (await this.#read(2)).readUInt16BE();
    else if (second === LONG) length = Number((await this.#read(8)).readBigUInt64BE());
    return { opcode: first & 0x0f, payload: await this.#read(length) };
  }

  /** The next frame must be this. @param payload in hexadecimal digits */
  async expectFrame(opcode: number, payload: string): Promise<void> {
    const next = await this.next();
    assert.deepEqual({ opcode: next.opcode, payload: next.payload.toString('hex') }, { opcode, payload });
  }

  /** The next frames must be this, one or several. @param payload of all of them, in hexadecimal digits */
  async expectFrames(opcode: number, payload: string): Promise<void> {
    let got = '';
    while (got.length < payload.length) {
      const next = await this.next();
      assert.equal(next.opcode, opcode, next.payload.toString('hex'));
      got += next.payload.toString('hex');
    }
    assert.equal(got, payload);
  }

  /** The broker must close with this code; it is answered, and the connection must end. */
  async expectClose(code: number): Promise<void> {
    const { opcode, payload } = await this.next();
    assert.equal(opcode, Opcode.close, payload.toString('hex'));
    assert.equal(payload.readUInt16BE(), code);
    this.sendFrame(Opcode.close, payload.subarray(0, 2));
    await this.expectEnd();
  }

  /** The connection must end. */
  async expectEnd(): Promise<void> {
    await this.#until(() => this.#ended, 'the end of the connection');
  }

  destroy(): void {
    this.#stream.destroy();
  }

  async #read(bytes: number): Promise<Buffer> {
    await this.#until(() => this.#unread.length >= bytes || this.#ended, 'a frame');
    assert.ok(this.#unread.length >= bytes, 'the connection ended instead of a frame');
    const read = this.#unread.subarray(0, bytes);
    this.#unread = this.#unread.subarray(bytes);
    return read;
  }

  #until(done: () => boolean, what: string): Promise<void> {
    const reached = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (done()) resolve();
      };
      this.#wake();
    });
    return within(patienceMs, reached, () => `waiting for ${what}; there is ${this.#unread.toString('hex')}`);
  }
}

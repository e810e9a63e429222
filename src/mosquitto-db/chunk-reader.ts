/**
 * Bytes of a `mosquitto.db` → chunks. Reads format versions 2 to 6, that is the files of all Mosquittos up to 2.1,
 * from 64-bit and 32-bit machines of either byte order. A chunk whose parts do not add up to its length is skipped and
 * counted; a file that does not begin like a `mosquitto.db` is refused.
 */
import {
  type Chunk,
  ChunkType,
  type ClientChunk,
  type ClientMessageChunk,
  type ConfigChunk,
  FILE_HEADER_LENGTH,
  MAGIC,
  type MessageChunk,
  type RetainChunk,
  type SubscriptionChunk,
} from './chunks.js';

/** The file is not a `mosquitto.db`, or its version is unknown. */
export class DatabaseFormatError extends Error {
  override readonly name = 'DatabaseFormatError';
}

export interface ChunkFile {
  version: number;
  chunks: Chunk[];
  /** Chunks skipped because their parts did not fit, in words, with the offset of each. */
  problems: string[];
}

const OLDEST_VERSION = 2;
const NEWEST_VERSION = 6;
const EMPTY = new Uint8Array(0);

/** Whether the bytes begin as a `mosquitto.db` does. */
export function hasMosquittoMagic(bytes: Uint8Array): boolean {
  return bytes.length >= MAGIC.length && MAGIC.equals(bytes.subarray(0, MAGIC.length));
}

/**
 * @param bytes the whole file; an empty one has no chunks [mosq: "Persistence file is empty."]
 * @param found called with each chunk and the length of its body
 * @throws {DatabaseFormatError}
 */
export function readChunks(bytes: Uint8Array, found?: (chunk: Chunk, length: number) => void): ChunkFile {
  if (bytes.length === 0) return { version: NEWEST_VERSION, chunks: [], problems: [] };
  const version = readVersion(bytes);
  const problems: string[] = [];
  const frames = splitIntoFrames(bytes, version, problems);
  const littleEndian = writtenLittleEndian(frames, version);
  const chunks: Chunk[] = [];
  for (const frame of frames) {
    const chunk = readChunk(frame, version, littleEndian);
    if (chunk === undefined) {
      problems.push(`chunk of type ${frame.type} at offset ${frame.offset} is damaged or unknown`);
    } else {
      chunks.push(chunk);
      found?.(chunk, frame.body.length);
    }
  }
  return { version, chunks, problems };
}

function readVersion(bytes: Uint8Array): number {
  if (!hasMosquittoMagic(bytes)) throw new DatabaseFormatError('not a mosquitto.db');
  if (bytes.length < FILE_HEADER_LENGTH) throw new DatabaseFormatError('the file ends within its header');
  const version = viewOf(bytes).getUint32(FILE_HEADER_LENGTH - 4);
  if (version < OLDEST_VERSION || version > NEWEST_VERSION) {
    throw new DatabaseFormatError(`format version ${version} is not known (2 to 6 are)`);
  }
  return version;
}

/** A chunk that is cut out and not yet read. */
interface Frame {
  type: number;
  body: Uint8Array;
  /** Of the chunk's header in the file. */
  offset: number;
}

/** A header that is cut off is the end of the file, as for Mosquitto; a body that is cut off is damage. */
function splitIntoFrames(bytes: Uint8Array, version: number, problems: string[]): Frame[] {
  const view = viewOf(bytes);
  const typeLength = version >= 5 ? 4 : 2;
  const headerLength = typeLength + 4;
  const frames: Frame[] = [];
  let offset = FILE_HEADER_LENGTH;
  while (offset + headerLength <= bytes.length) {
    const type = typeLength === 4 ? view.getUint32(offset) : view.getUint16(offset);
    const start = offset + headerLength;
    const end = start + view.getUint32(offset + typeLength);
    if (end > bytes.length) {
      problems.push(`the file is cut off within the chunk at offset ${offset}`);
      break;
    }
    frames.push({ type, body: bytes.subarray(start, end), offset });
    offset = end;
  }
  return frames;
}

/**
 * Finds the byte order of message ids and times. It is that of the machine that wrote the file, and the file does not
 * say which; but ids that are read in the wrong order are huge.
 */
function writtenLittleEndian(frames: Frame[], version: number): boolean {
  let littleMax = 0n;
  let bigMax = 0n;
  for (const { type, body } of frames) {
    const offset = messageIdOffset(type, version);
    if (offset < 0 || body.length < offset + 8) continue;
    const view = viewOf(body);
    const little = view.getBigUint64(offset, true);
    const big = view.getBigUint64(offset, false);
    if (little > littleMax) littleMax = little;
    if (big > bigMax) bigMax = big;
  }
  return littleMax <= bigMax;
}

/** The offset of the message id in a chunk's body; -1 for chunks that do not help to find the byte order. */
function messageIdOffset(type: number, version: number): number {
  if (type === ChunkType.message || type === ChunkType.retain) return 0;
  if (type === ChunkType.config) return version >= 5 ? 0 : 2;
  return -1;
}

/** @returns `undefined` if the type is unknown or the parts do not add up to the body */
function readChunk({ type, body }: Frame, version: number, littleEndian: boolean): Chunk | undefined {
  const cursor = new BodyCursor(body, littleEndian);
  const chunk =
    version >= 5 ? readFixedLayout(type, cursor, version) : readPackedLayout(type, cursor, version);
  if (chunk?.kind === 'config' && chunk.messageIdSize !== 8) return undefined;
  return chunk !== undefined && cursor.endedExactly ? chunk : undefined;
}

/** Versions 5 and 6: C structures as they lay in memory, padding included, then the variable parts. */
function readFixedLayout(type: number, cursor: BodyCursor, version: number): Chunk | undefined {
  switch (type) {
    case ChunkType.config:
      return readConfig(cursor);
    case ChunkType.message:
      return readMessage(cursor);
    case ChunkType.clientMessage:
      return readClientMessage(cursor);
    case ChunkType.retain:
      return readRetain(cursor);
    case ChunkType.subscription:
      return readSubscription(cursor);
    case ChunkType.client:
      return readClient(cursor, version);
    default:
      return undefined;
  }
}

function readConfig(cursor: BodyCursor): ConfigChunk {
  const lastMessageId = cursor.hostUint64();
  const shutdown = cursor.uint8() !== 0;
  const messageIdSize = cursor.uint8();
  cursor.skip(cursor.remaining === 2 ? 2 : 6); // 32-bit x86 pads to 12 bytes instead of 16
  return { kind: 'config', lastMessageId, shutdown, messageIdSize };
}

function readMessage(cursor: BodyCursor): MessageChunk {
  const messageId = cursor.hostUint64();
  const expiryTime = cursor.hostInt64();
  const payloadLength = cursor.uint32();
  const sourcePacketId = cursor.uint16();
  const sourceClientIdLength = cursor.uint16();
  const sourceUsernameLength = cursor.uint16();
  const topicLength = cursor.uint16();
  const sourcePort = cursor.uint16();
  const qos = cursor.uint8();
  const retain = cursor.uint8();
  return {
    kind: 'message',
    messageId,
    expiryTime,
    sourcePacketId,
    sourcePort,
    qos,
    retain,
    sourceClientId: cursor.bytes(sourceClientIdLength),
    sourceUsername: cursor.bytes(sourceUsernameLength),
    topic: cursor.bytes(topicLength),
    payload: cursor.bytes(payloadLength),
    properties: cursor.rest(),
  };
}

function readClientMessage(cursor: BodyCursor): ClientMessageChunk {
  const messageId = cursor.hostUint64();
  const packetId = cursor.uint16();
  const clientIdLength = cursor.uint16();
  const qos = cursor.uint8();
  const state = cursor.uint8();
  const retainAndDup = cursor.uint8();
  const direction = cursor.uint8();
  return {
    kind: 'clientMessage',
    messageId,
    packetId,
    qos,
    state,
    retain: retainAndDup >> 4,
    dup: retainAndDup & 0x0f,
    direction,
    clientId: cursor.bytes(clientIdLength),
    properties: cursor.rest(),
  };
}

function readRetain(cursor: BodyCursor): RetainChunk {
  return { kind: 'retain', messageId: cursor.hostUint64() };
}

function readSubscription(cursor: BodyCursor): SubscriptionChunk {
  const subscriptionId = cursor.uint32();
  const clientIdLength = cursor.uint16();
  const filterLength = cursor.uint16();
  const qos = cursor.uint8();
  const options = cursor.uint8();
  cursor.skip(2);
  const clientId = cursor.bytes(clientIdLength);
  return { kind: 'subscription', subscriptionId, qos, options, clientId, filter: cursor.bytes(filterLength) };
}

function readClient(cursor: BodyCursor, version: number): ClientChunk {
  const sessionExpiryTime = cursor.hostInt64();
  const sessionExpiryInterval = cursor.uint32();
  const lastPacketId = cursor.uint16();
  const clientIdLength = cursor.uint16();
  let listenerPort = 0;
  let usernameLength = 0;
  if (version >= 6) {
    listenerPort = cursor.uint16();
    usernameLength = cursor.uint16();
    if (cursor.remaining - clientIdLength - usernameLength >= 4) cursor.skip(4); // none on 32-bit x86
  }
  return {
    kind: 'client',
    sessionExpiryTime,
    sessionExpiryInterval,
    lastPacketId,
    listenerPort,
    disconnectTime: 0n,
    clientId: cursor.bytes(clientIdLength),
    username: cursor.bytes(usernameLength),
  };
}

/** Versions 2, 3 and 4: fields one after the other, strings with their length before them. */
function readPackedLayout(type: number, cursor: BodyCursor, version: number): Chunk | undefined {
  switch (type) {
    case ChunkType.config:
      return readPackedConfig(cursor);
    case ChunkType.message:
      return readPackedMessage(cursor, version);
    case ChunkType.clientMessage:
      return readPackedClientMessage(cursor);
    case ChunkType.retain:
      return readRetain(cursor);
    case ChunkType.subscription:
      return readPackedSubscription(cursor);
    case ChunkType.client:
      return readPackedClient(cursor, version);
    default:
      return undefined;
  }
}

function readPackedConfig(cursor: BodyCursor): ConfigChunk {
  const shutdown = cursor.uint8() !== 0;
  const messageIdSize = cursor.uint8();
  return { kind: 'config', shutdown, messageIdSize, lastMessageId: cursor.hostUint64() };
}

function readPackedMessage(cursor: BodyCursor, version: number): MessageChunk {
  const messageId = cursor.hostUint64();
  const sourceClientId = cursor.string();
  const sourceUsername = version >= 4 ? cursor.string() : EMPTY;
  const sourcePort = version >= 4 ? cursor.uint16() : 0;
  const sourcePacketId = cursor.uint16();
  cursor.skip(2); // a packet id that nothing uses
  const topic = cursor.string();
  const qos = cursor.uint8();
  const retain = cursor.uint8();
  const payload = cursor.bytes(cursor.uint32());
  return {
    kind: 'message',
    messageId,
    expiryTime: 0n,
    sourcePacketId,
    sourceClientId,
    sourceUsername,
    sourcePort,
    topic,
    qos,
    retain,
    payload,
    properties: EMPTY,
  };
}

function readPackedClientMessage(cursor: BodyCursor): ClientMessageChunk {
  const clientId = cursor.string();
  const messageId = cursor.hostUint64();
  const packetId = cursor.uint16();
  const qos = cursor.uint8();
  const retain = cursor.uint8();
  const direction = cursor.uint8();
  const state = cursor.uint8();
  const dup = cursor.uint8();
  return {
    kind: 'clientMessage',
    clientId,
    messageId,
    packetId,
    qos,
    retain,
    direction,
    state,
    dup,
    properties: EMPTY,
  };
}

function readPackedSubscription(cursor: BodyCursor): SubscriptionChunk {
  const clientId = cursor.string();
  const filter = cursor.string();
  return { kind: 'subscription', clientId, filter, qos: cursor.uint8(), options: 0, subscriptionId: 0 };
}

function readPackedClient(cursor: BodyCursor, version: number): ClientChunk {
  const clientId = cursor.string();
  const lastPacketId = cursor.uint16();
  let disconnectTime = 0n;
  if (version >= 3) disconnectTime = cursor.remaining === 4 ? cursor.hostInt32() : cursor.hostInt64();
  return {
    kind: 'client',
    clientId,
    lastPacketId,
    disconnectTime,
    username: EMPTY,
    listenerPort: 0,
    sessionExpiryTime: 0n,
    sessionExpiryInterval: undefined,
  };
}

/**
 * Reads the fields of one body in turn. Reading past the end gives zeros and empty bytes and is remembered, so
 * that the readers above need no check at every field: one at the end is enough.
 */
class BodyCursor {
  readonly #body: Uint8Array;
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  #position = 0;
  #overrun = false;

  constructor(body: Uint8Array, littleEndian: boolean) {
    this.#body = body;
    this.#view = viewOf(body);
    this.#littleEndian = littleEndian;
  }

  get remaining(): number {
    return this.#body.length - this.#position;
  }

  get endedExactly(): boolean {
    return !this.#overrun && this.remaining === 0;
  }

  uint8(): number {
    return this.#has(1) ? this.#view.getUint8(this.#advance(1)) : 0;
  }

  uint16(): number {
    return this.#has(2) ? this.#view.getUint16(this.#advance(2)) : 0;
  }

  uint32(): number {
    return this.#has(4) ? this.#view.getUint32(this.#advance(4)) : 0;
  }

  hostInt32(): bigint {
    return this.#has(4) ? BigInt(this.#view.getInt32(this.#advance(4), this.#littleEndian)) : 0n;
  }

  hostInt64(): bigint {
    return this.#has(8) ? this.#view.getBigInt64(this.#advance(8), this.#littleEndian) : 0n;
  }

  hostUint64(): bigint {
    return this.#has(8) ? this.#view.getBigUint64(this.#advance(8), this.#littleEndian) : 0n;
  }

  skip(length: number): void {
    if (this.#has(length)) this.#advance(length);
  }

  bytes(length: number): Uint8Array {
    if (!this.#has(length)) return EMPTY;
    const start = this.#advance(length);
    return this.#body.subarray(start, start + length);
  }

  string(): Uint8Array {
    return this.bytes(this.uint16());
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  #has(length: number): boolean {
    if (this.remaining >= length) return true;
    this.#overrun = true;
    return false;
  }

  #advance(length: number): number {
    const position = this.#position;
    this.#position += length;
    return position;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Chunks → bytes of a `mosquitto.db` of version 6, in the layout of a 64-bit little-endian machine: what Mosquitto
 * 1.6.11 to 2.1 load.
 */
import { appendAll } from '../base/append-all.js';
import { assertNever } from '../base/assert.js';
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
  VERSION_WRITTEN,
} from './chunks.js';

const CHUNK_HEADER_LENGTH = 8;

/** The whole file. Messages have to come before the chunks that refer to them. */
export function writeChunks(chunks: Iterable<Chunk>): Uint8Array {
  const header = Buffer.alloc(FILE_HEADER_LENGTH);
  MAGIC.copy(header);
  header.writeUInt32BE(VERSION_WRITTEN, FILE_HEADER_LENGTH - 4);
  const parts: Uint8Array[] = [header];
  for (const chunk of chunks) appendChunk(parts, chunk);
  return Buffer.concat(parts);
}

function appendChunk(parts: Uint8Array[], chunk: Chunk): void {
  switch (chunk.kind) {
    case 'config':
      append(parts, ChunkType.config, configFields(chunk), []);
      break;
    case 'message':
      append(parts, ChunkType.message, messageFields(chunk), [
        chunk.sourceClientId,
        chunk.sourceUsername,
        chunk.topic,
        chunk.payload,
        chunk.properties,
      ]);
      break;
    case 'clientMessage':
      append(parts, ChunkType.clientMessage, clientMessageFields(chunk), [chunk.clientId, chunk.properties]);
      break;
    case 'retain':
      append(parts, ChunkType.retain, retainFields(chunk), []);
      break;
    case 'subscription':
      append(parts, ChunkType.subscription, subscriptionFields(chunk), [chunk.clientId, chunk.filter]);
      break;
    case 'client':
      append(parts, ChunkType.client, clientFields(chunk), [chunk.clientId, chunk.username]);
      break;
    default:
      assertNever(chunk);
  }
}

function append(parts: Uint8Array[], type: number, fixed: Buffer, variable: Uint8Array[]): void {
  const header = Buffer.alloc(CHUNK_HEADER_LENGTH);
  header.writeUInt32BE(type, 0);
  header.writeUInt32BE(
    variable.reduce((length, part) => length + part.length, fixed.length),
    4,
  );
  parts.push(header, fixed);
  appendAll(parts, variable);
}

function configFields(chunk: ConfigChunk): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeBigUInt64LE(chunk.lastMessageId, 0);
  fixed[8] = chunk.shutdown ? 1 : 0;
  fixed[9] = chunk.messageIdSize;
  return fixed;
}

function messageFields(chunk: MessageChunk): Buffer {
  const fixed = Buffer.alloc(32);
  fixed.writeBigUInt64LE(chunk.messageId, 0);
  fixed.writeBigInt64LE(chunk.expiryTime, 8);
  fixed.writeUInt32BE(chunk.payload.length, 16);
  fixed.writeUInt16BE(chunk.sourcePacketId, 20);
  fixed.writeUInt16BE(chunk.sourceClientId.length, 22);
  fixed.writeUInt16BE(chunk.sourceUsername.length, 24);
  fixed.writeUInt16BE(chunk.topic.length, 26);
  fixed.writeUInt16BE(chunk.sourcePort, 28);
  fixed[30] = chunk.qos;
  fixed[31] = chunk.retain;
  return fixed;
}

function clientMessageFields(chunk: ClientMessageChunk): Buffer {
  const fixed = Buffer.alloc(16);
  fixed.writeBigUInt64LE(chunk.messageId, 0);
  fixed.writeUInt16BE(chunk.packetId, 8);
  fixed.writeUInt16BE(chunk.clientId.length, 10);
  fixed[12] = chunk.qos;
  fixed[13] = chunk.state;
  fixed[14] = (chunk.retain << 4) | Math.min(chunk.dup, 0x0f);
  fixed[15] = chunk.direction;
  return fixed;
}

function retainFields(chunk: RetainChunk): Buffer {
  const fixed = Buffer.alloc(8);
  fixed.writeBigUInt64LE(chunk.messageId, 0);
  return fixed;
}

function subscriptionFields(chunk: SubscriptionChunk): Buffer {
  const fixed = Buffer.alloc(12);
  fixed.writeUInt32BE(chunk.subscriptionId, 0);
  fixed.writeUInt16BE(chunk.clientId.length, 4);
  fixed.writeUInt16BE(chunk.filter.length, 6);
  fixed[8] = chunk.qos;
  fixed[9] = chunk.options;
  return fixed;
}

function clientFields(chunk: ClientChunk): Buffer {
  const fixed = Buffer.alloc(24);
  fixed.writeBigInt64LE(chunk.sessionExpiryTime, 0);
  fixed.writeUInt32BE(chunk.sessionExpiryInterval ?? 0, 8);
  fixed.writeUInt16BE(chunk.lastPacketId, 12);
  fixed.writeUInt16BE(chunk.clientId.length, 14);
  fixed.writeUInt16BE(chunk.listenerPort, 16);
  fixed.writeUInt16BE(chunk.username.length, 18);
  return fixed;
}

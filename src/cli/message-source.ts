/** Payloads from files and standard input, whole. */
import { readFile, stat } from 'node:fs/promises';
import { systemErrorText } from '../net/system-error.js';
import type { MessageSource } from './client-settings.js';
import { SetupError } from './connect-options.js';

/** Bytes; what MQTT can carry in one packet. */
const PAYLOAD_BYTES_MAX = 268_435_455;

/** @throws SetupError with Mosquitto's lines */
export async function loadPayload(source: Exclude<MessageSource, { kind: 'stdin-lines' }>): Promise<Buffer> {
  switch (source.kind) {
    case 'text':
      return source.payload;
    case 'empty':
      return Buffer.alloc(0);
    case 'file':
      return loadFile(source.path);
    case 'stdin':
      return loadStdin();
  }
}

async function loadFile(path: string): Promise<Buffer> {
  const { size } = await stat(path).catch((error) => refuse(path, unreadable(path, error)));
  if (size > PAYLOAD_BYTES_MAX) refuse(path, `Error: File must be less than ${PAYLOAD_BYTES_MAX} bytes.`);
  return readFile(path).catch((error) => refuse(path, unreadable(path, error)));
}

function unreadable(path: string, error: unknown): string {
  return `Error: Unable to read file "${path}": ${systemErrorText(error)}.`;
}

function refuse(path: string, reason: string): never {
  throw new SetupError(`${reason}\nError loading input file "${path}".`);
}

async function loadStdin(): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  if (bytes.length > 0) return bytes;
  throw new SetupError('Error: Zero length input.\nError loading input from stdin.');
}

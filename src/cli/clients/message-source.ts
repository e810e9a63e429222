/** Payloads from files and standard input, whole. */
import { readFileSync, statSync } from 'node:fs';
import { cLibraryErrorText } from '../../system/system-error.js';
import type { MessageSource } from './options/client-settings.js';
import { SetupError } from './options/usage-error.js';

/** Bytes; what MQTT can carry in one packet. */
const PAYLOAD_BYTES_MAX = 268_435_455;

/** The payload; empty for lines of standard input, which are read later. @throws SetupError with Mosquitto's lines */
export async function loadPayload(source: MessageSource): Promise<Buffer> {
  switch (source.kind) {
    case 'text':
      return source.payload;
    case 'empty':
    case 'stdin-lines':
      return Buffer.alloc(0);
    case 'file':
      return loadFile(source.path);
    case 'stdin':
      return loadStdin();
  }
}

function loadFile(path: string): Buffer {
  let bytes: Buffer | undefined;
  try {
    if (statSync(path).size <= PAYLOAD_BYTES_MAX) bytes = readFileSync(path);
  } catch (error) {
    refuse(path, `Error: Unable to read file "${path}": ${cLibraryErrorText(error)}.`);
  }
  return bytes ?? refuse(path, `Error: File must be less than ${PAYLOAD_BYTES_MAX} bytes.`);
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

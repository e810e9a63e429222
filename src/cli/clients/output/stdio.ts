/**
 * Standard output and error of the commands. Messages are collected and written together at the end of the present
 * turn of the event loop, so that a burst takes one system call; errors are written after what was printed before.
 */
import { writeSync } from 'node:fs';

const STDOUT = 1;
const STDERR = 2;

/** Bytes that are collected at most. */
const COLLECTED_BYTES_MAX = 64 * 1024;

let collected: Uint8Array[] = [];
let collectedBytes = 0;

export function print(bytes: Uint8Array | string): void {
  const part = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  if (collected.length === 0) process.nextTick(flushOutput);
  collected.push(part);
  collectedBytes += part.length;
  if (collectedBytes > COLLECTED_BYTES_MAX) flushOutput();
}

/** Writes the collected output. Callers do this before the process ends. */
export function flushOutput(): void {
  if (collected.length === 0) return;
  const bytes = collected.length === 1 ? collected[0]! : Buffer.concat(collected, collectedBytes);
  collected = [];
  collectedBytes = 0;
  writeAll(STDOUT, bytes);
}

/** @param text lines without the last newline */
export function printError(text: string): void {
  flushOutput();
  writeAll(STDERR, Buffer.from(`${text}\n`));
}

/** A closed pipe is no error: messages are still received and counted, as in Mosquitto's clients. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(descriptor, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      waitForReader();
    }
  }
}

/** Waits for a full pipe that another process has made non-blocking. */
function waitForReader(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
}

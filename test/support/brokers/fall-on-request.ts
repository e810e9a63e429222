/**
 * Preloaded into a broker under test (NODE_OPTIONS=--import): lets a test bring down a worker thread the way a bug
 * would, by an exception nobody catches. The test asks by creating a file in the folder FALL_FOLDER, and a worker
 * answers by creating `done-` and its name, and falls:
 *
 *   fall-N   the first worker that has a connection
 *   young-N  the first worker that begins after the request, as soon as it does
 *
 * It falls in a timer of its own, or with FALL_IN=broker within what the broker does once a second. With
 * FALL_IN=arrivals a worker stands still at `fall-N`, so that what is sent to it piles up unread, and falls when
 * there is a file `now`. With FALL_BY=heap it fills its heap instead, with FALL_BY=hanging it hangs for 14 seconds first.
 */
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.FALL_FOLDER;
const lookMs = 20;
const HANG_MS = 14_000;
const bornAt = Date.now();

if (!isMainThread && folder !== undefined) {
  if (process.env.FALL_IN === 'broker') {
    const { eventLoopUtilization } = performance;
    performance.eventLoopUtilization = (...args) => {
      fallIfAsked(folder);
      return eventLoopUtilization.apply(performance, args);
    };
  } else {
    setInterval(() => fallIfAsked(folder), lookMs).unref();
  }
}

function fallIfAsked(folder: string): void {
  const names = readdirSync(folder);
  const request = names.find((name) => isForThisWorker(folder, name) && !names.includes(`done-${name}`));
  if (request === undefined) return;
  try {
    writeFileSync(join(folder, `done-${request}`), '', { flag: 'wx' });
  } catch {
    return; // Another worker was first.
  }
  if (process.env.FALL_IN === 'arrivals') standStillUntil(join(folder, 'now'));
  if (process.env.FALL_BY === 'heap') fillTheHeap();
  if (process.env.FALL_BY === 'hanging') hang();
  throw new Error('This worker falls because a test wants it.');
}

/** Its engine ends the thread when there is no more. */
function fillTheHeap(): never {
  const hoard: number[][] = [];
  for (;;) hoard.push(new Array(10_000).fill(hoard.length + 0.5));
}

/** Longer than main's patience, and then it falls. */
function hang(): void {
  const clock = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  Atomics.wait(clock, 0, 0, HANG_MS);
}

function isForThisWorker(folder: string, request: string): boolean {
  if (request.startsWith('young-')) return hasBegun() && statSync(join(folder, request)).mtimeMs < bornAt;
  return request.startsWith('fall-') && process.getActiveResourcesInfo().includes('TCPSocketWrap');
}

/** The pool gives up on a thread that falls before it has something to do. */
function hasBegun(): boolean {
  // The timer with which it does once a second what concerns the whole broker; the one above does not count.
  return process.getActiveResourcesInfo().includes('Timeout');
}

function standStillUntil(file: string): void {
  const clock = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  while (!existsSync(file)) Atomics.wait(clock, 0, 0, lookMs);
}

/**
 * Preloaded into a broker under test (NODE_OPTIONS=--import): lets a test bring down a worker thread the way a bug
 * would, by an exception nobody catches. The test asks by creating a file `fall-N` in the folder FALL_FOLDER; the
 * first worker that has a connection answers by creating `done-fall-N`, and falls: in a timer of its own, or with
 * FALL_IN=broker within what the broker does once a second.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const folder = process.env.FALL_FOLDER;
const lookMs = 20;

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
  if (!process.getActiveResourcesInfo().includes('TCPSocketWrap')) return;
  const names = readdirSync(folder);
  const request = names.find((name) => name.startsWith('fall-') && !names.includes(`done-${name}`));
  if (request === undefined) return;
  try {
    writeFileSync(join(folder, `done-${request}`), '', { flag: 'wx' });
  } catch {
    return; // Another worker was first.
  }
  throw new Error('This worker falls because a test wants it.');
}

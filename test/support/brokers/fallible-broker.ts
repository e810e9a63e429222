/** A broker whose workers a test can bring down, as a bug of ours would (`fall-on-request.ts`). */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { makeFolder } from '../cleanup.js';
import { builtFolder } from '../project.js';
import { until } from '../within.js';
import { type Broker, startBroker } from './broker.js';

const preload = pathToFileURL(join(builtFolder, 'test', 'support', 'brokers', 'fall-on-request.js')).href;

export interface FallibleBroker {
  broker: Broker;
  /** Brings down one of its workers that has connections, and `successors` of those that replace it. */
  fallOne: (successors?: number) => Promise<void>;
  /** With FALL_IN=arrivals: one of its workers that has connections takes up nothing more. */
  standStill: () => Promise<void>;
  /** With FALL_IN=arrivals: the worker that stands still falls. */
  fallNow: () => void;
}

export async function startFallible(
  t: TestContext,
  workers: number,
  {
    env = {},
    config = '',
    nodeOptions = '',
  }: { env?: Record<string, string>; config?: string; nodeOptions?: string } = {},
): Promise<FallibleBroker> {
  const folder = makeFolder(t);
  const broker = await startBroker(t, {
    workers,
    config,
    env: { NODE_OPTIONS: `--import ${preload} ${nodeOptions}`, FALL_FOLDER: folder, ...env },
  });
  const request = (name: string) => writeFileSync(join(folder, name), '');
  let falls = 0;
  const fallOne = async (successors = 0) => {
    let from = broker.log.length;
    for (let i = 0; i < successors; i += 1) request(`young-${++falls}`);
    request(`fall-${++falls}`);
    for (let i = 0; i <= successors; i += 1) {
      const line = await broker.waitForLog(/Worker \d+ died and is being replaced/, { from });
      from = broker.log.indexOf(line, from) + 1;
    }
  };
  const standStill = async () => {
    request('fall-still');
    await until(() => existsSync(join(folder, 'done-fall-still')), 'a worker that stands still');
  };
  return { broker, fallOne, standStill, fallNow: () => request('now') };
}

/**
 * Clients that try to fill the memory of a broker with 256 MB. The kernel ends the process if they succeed. Meanwhile
 * another client's pings are answered; what they took is written beside the result.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { startBroker } from '../support/brokers/broker.js';
import { afterTest } from '../support/cleanup.js';
import { Attackers, MEMORY_ATTACKS, pause } from '../support/clients/memory-attack.js';
import { RawClient } from '../support/clients/raw-client.js';
import { inEachLength, isLongRun, skipInShortest } from '../support/run-length.js';

const MEMORY_BYTES = 256 * 1024 * 1024;
const ATTACK_MS = inEachLength(3000, 6000, 15_000);
const IN_EACH_RUN = 'QoS 2 without PUBREL';

/** What comes near the limit on a slow machine, too, and is named. */
const NAMED = [IN_EACH_RUN, 'packets that are not complete', 'clients that do not read'];
const NAMED_IN_LONG_RUN = [...NAMED, 'queues of absent clients'];

/** Control groups of version 1 or 2, and the file that limits their memory. */
const [parent, limitFile] = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes')
  ? ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes']
  : ['/sys/fs/cgroup', 'memory.max'];

function makeGroup(name: string): string | undefined {
  const group = `${parent}/${name}`;
  try {
    mkdirSync(group);
    writeFileSync(`${group}/${limitFile}`, String(MEMORY_BYTES));
    return group;
  } catch {
    removeGroup(group);
    return undefined;
  }
}

function removeGroup(group: string): void {
  try {
    rmdirSync(group);
  } catch {
    // It was not made, or the kernel has not noticed yet that the last process is gone.
  }
}

const trial = makeGroup(`midge-trial-${process.pid}`);
if (trial !== undefined) removeGroup(trial);
const skip = trial === undefined ? 'needs the right to make a control group that limits memory' : false;

/** Pings until the attack is over. @returns milliseconds, sorted */
async function pings(client: RawClient, { isOver }: { isOver: () => boolean }): Promise<number[]> {
  const times: number[] = [];
  while (!isOver()) {
    const sentAt = performance.now();
    client.send({ type: 'pingreq' });
    await client.expectPacket('pingresp');
    times.push(performance.now() - sentAt);
    await pause(10);
  }
  return times.sort((a, b) => a - b);
}

async function attack(t: TestContext, kind: string): Promise<void> {
  const group = makeGroup(`midge-${process.pid}-${Object.keys(MEMORY_ATTACKS).indexOf(kind)}`)!;
  afterTest(t, () => removeGroup(group));
  const broker = await startBroker(t, {
    prefix: ['sh', '-c', `echo $$ > ${group}/cgroup.procs; exec "$@"`, 'sh'],
    config:
      'persistence true\npersistence_location {folder}/\nlog_type error\nlog_type warning\nlog_type notice\nlog_type information',
  });
  const bystander = await RawClient.connect(t, broker, 4, { clientId: 'bystander' });
  const attackers = new Attackers(broker.port, ATTACK_MS);
  afterTest(t, () => attackers.end());
  const [times] = await Promise.all([
    pings(bystander, { isOver: () => attackers.isOver }),
    MEMORY_ATTACKS[kind]!(attackers),
  ]);
  const named = broker.log.filter((line) => /memory_limit/.test(line));
  const status = readFileSync(`/proc/${broker.pid}/status`, 'utf8');
  t.diagnostic(
    `ping p50 ${percentile(times, 0.5)} ms, p99 ${percentile(times, 0.99)} ms; VmHWM ${/VmHWM:\s+(\d+)/.exec(status)?.[1]} kB; ${named[0] ?? 'the limit is far'}`,
  );
  if ((isLongRun ? NAMED_IN_LONG_RUN : NAMED).includes(kind)) {
    assert.match(named.join('\n'), /Client (holder|publisher)\S* (occupies|is disconnected)/);
  }
  assert.ok(!broker.log.some((line) => /died and is being replaced/.test(line)), 'no worker has died');
  attackers.end();
  await bystander.subscribe('after');
  bystander.sendPublish('after', 'served');
  await bystander.expectPublish('after', 'served');
}

function percentile(sorted: readonly number[], share: number): string {
  return (sorted[Math.floor(share * sorted.length)] ?? 0).toFixed(1);
}

describe('256 MB', { skip, concurrency: 1 }, () => {
  for (const kind of Object.keys(MEMORY_ATTACKS)) {
    test(kind, { skip: kind !== IN_EACH_RUN && skipInShortest }, (t) => attack(t, kind));
  }
});

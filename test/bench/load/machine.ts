/** The machine and the commit that figures belong to, and whether something else keeps the machine busy. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { projectFolder } from '../../support/project.js';
import type { Machine } from './results.js';

export const mosquittoProgram = '/usr/sbin/mosquitto';

/** Cores that others may take while something is measured: more, and the figure is theirs, too. */
export const otherCoresMax = 0.2;

const lookMs = 500;
const clockTicksPerSecond = 100;

/** @returns when nobody used the machine for a moment, or when the time is over */
export async function calm(limitMs: number): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (performance.now() < deadline) {
    const [began, before] = [performance.now(), busySeconds()];
    await wait(lookMs);
    const cores = (busySeconds() - before) / ((performance.now() - began) / 1000);
    if (cores < otherCoresMax) return;
  }
}

/** Of all cores since the machine started: user, nice, system, irq, softirq, steal. */
function busySeconds(): number {
  const [user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .split(/\s+/)
    .slice(1)
    .map(Number) as [number, number, number, number, number, number, number, number];
  return (user + nice + system + irq + softirq + steal) / clockTicksPerSecond;
}

export function describeMachine(): Machine {
  const version = existsSync(mosquittoProgram)
    ? /version (\S+)/.exec(spawnSync(mosquittoProgram, ['-h'], { encoding: 'utf8' }).stdout)?.[1]
    : undefined;
  return {
    cpu: cpuModel(),
    cores: cpus().length,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    kernel: release(),
    node: process.version,
    mosquitto: version ?? 'none',
  };
}

/** ARM has no model name for each core, but the board has one. */
function cpuModel(): string {
  const model = cpus()[0]?.model.trim();
  if (model !== undefined && model !== '' && model !== 'unknown') return model;
  const board = '/proc/device-tree/model';
  return existsSync(board) ? readFileSync(board, 'utf8').replaceAll('\0', '') : process.arch;
}

const brokerSources = ['src', 'workers', 'package-lock.json'];

/** The last commit that changed the broker, with a plus sign if there are changes since. */
export function describeCommit(): string {
  const git = (...args: string[]) =>
    spawnSync('git', [...args, '--', ...brokerSources], {
      cwd: projectFolder,
      encoding: 'utf8',
    }).stdout.trim();
  return git('log', '-1', '--format=%h') + (git('status', '--porcelain') === '' ? '' : '+');
}

/** Starts `store-check-program.ts`: a store that may be damaged is never opened by the broker itself first. */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { StoreMode } from '../../model/store-mode.js';
import type { CheckReport } from './store-check.js';

const PROGRAM = fileURLToPath(new URL('./store-check-program.cjs', import.meta.url));

/** A damaged store can also keep a process busy for ever: this, and more for a large one. */
const TIME_MIN_MS = 60_000;
/** A Pi reads a card at 20 MB/s and more. */
const MS_PER_BYTE = 1000 / (5 * 1024 * 1024);

export type CheckResult =
  | { verdict: 'sound'; report: CheckReport }
  /** Its structure holds, some records do not read. */
  | { verdict: 'partly damaged'; report: CheckReport }
  | { verdict: 'unreadable'; reason: string };

/**
 * Reads the whole file. With `durable` it is also taken back to its last synced state, as after a power cut.
 * @throws if there is no such process: that says nothing about the file
 */
export async function checkInChild(path: string, mode: StoreMode): Promise<CheckResult> {
  const { ended, output } = await run(['check', path, mode], path);
  if (ended !== undefined) return { verdict: 'unreadable', reason: ended };
  const report = JSON.parse(output) as CheckReport;
  return { verdict: report.damagedRecords === 0 ? 'sound' : 'partly damaged', report };
}

/** Copies what reads to `target`, a new file; there is none if the damaged one does not even open. */
export async function rescueInChild(path: string, mode: StoreMode, target: string): Promise<void> {
  const { ended } = await run(['rescue', path, mode, target], path);
  const opened = existsSync(target);
  if (ended !== undefined && opened) await run(['rescue', path, mode, target, 'backwards'], path);
}

interface ChildResult {
  /** How the child failed; `undefined` if it did not. */
  ended: string | undefined;
  output: string;
}

function run(args: string[], path: string): Promise<ChildResult> {
  const timeMs = Math.ceil(TIME_MIN_MS + statSync(path).size * MS_PER_BYTE);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeMs,
      killSignal: 'SIGKILL',
    });
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.on('error', reject);
    if (child.pid === undefined) return; // where descriptors have run out, it has no streams either
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => errors.push(bytes));
    child.on('close', (code, signal) => {
      const ended =
        code === 0 ? undefined : (messageOf(Buffer.concat(errors)) ?? `ended by ${signal ?? `code ${code}`}`);
      resolve({ ended, output: Buffer.concat(output).toString() });
    });
  });
}

/** The line of a stack trace that says what happened. */
function messageOf(errors: Buffer): string | undefined {
  return /^(?:Uncaught )?(\w*Error: .+)$/m.exec(errors.toString())?.[1];
}

/** What is wrong with a store that is not sound. */
export function faultOf(result: CheckResult): string {
  return result.verdict === 'unreadable' ? result.reason : (result.report.problems[0] ?? result.verdict);
}

/**
 * Starts `store-check-program.ts`: a store that may be damaged is never opened by the broker itself first.
 *
 * Whether a store is damaged, only that process may say: in words, or by falling over it twice. If it is killed (there
 * is too little memory), does not start, or ends in a way of its own, that says nothing about the store.
 */
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { StoreMode } from '../../model/store-mode.js';
import type { CheckReport } from './store-check.js';

const PROGRAM = fileURLToPath(new URL('./store-check-program.cjs', import.meta.url));

/** A damaged store can also make a process busy for ever. It gets this time, and more for a large store. */
const TIME_MIN_MS = 60_000;
/** A Pi reads a card at 20 MB/s and more. */
const MS_PER_BYTE = 1000 / (5 * 1024 * 1024);

/** How often it is tried if nothing is said about the store, and the milliseconds between. */
const ATTEMPTS = 3;
const PAUSE_MS = 500;

/** In these a process ends that LMDB leads astray. */
const FALLS: readonly (NodeJS.Signals | null)[] = [
  'SIGSEGV',
  'SIGBUS',
  'SIGABRT',
  'SIGILL',
  'SIGFPE',
  'SIGTRAP',
];

/** What the engine or the C library prints before it aborts for want of memory. */
const WITHOUT_MEMORY = /out of memory|cannot allocate|bad_alloc|ENOMEM/i;

export type CheckResult =
  | { verdict: 'sound'; report: CheckReport }
  /** Its structure holds, some records do not read. */
  | { verdict: 'partly damaged'; report: CheckReport }
  | { verdict: 'unreadable'; reason: string }
  /** The check could not be made. */
  | { verdict: 'unknown'; reason: string };

/** What the program prints: this word when it has been loaded, then its answer in a line of its own. */
export const BEGUN = 'begun';

export type ChildAnswer = { report: CheckReport } | { unreadable: string } | { unknown: string } | 'rescued';

export interface ChildOptions {
  /** Another program for tests. */
  command?: readonly string[];
  pauseMs?: number;
}

export type Check = (path: string, mode: StoreMode) => Promise<CheckResult>;

/** Reads the whole file. With `durable` it is also taken back to its last synced state, as after a power cut. */
export async function checkInChild(
  path: string,
  mode: StoreMode,
  options: ChildOptions = {},
): Promise<CheckResult> {
  let falls = 0;
  let reason = '';
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const end = await run(['check', path, mode], path, options);
    if (typeof end.answer === 'object') {
      const { answer } = end;
      if ('report' in answer) {
        const { report } = answer;
        return { verdict: report.damagedRecords === 0 ? 'sound' : 'partly damaged', report };
      }
      if ('unreadable' in answer) return { verdict: 'unreadable', reason: answer.unreadable };
      reason = answer.unknown;
    } else {
      reason = end.reason;
      if (end.fell) falls += 1;
      if (falls === 2) return { verdict: 'unreadable', reason };
    }
    if (attempt < ATTEMPTS) await delay(options.pauseMs ?? PAUSE_MS);
  }
  return { verdict: 'unknown', reason };
}

/** Copies what reads to `target`, a new file; there is none if the damaged one does not even open. */
export async function rescueInChild(path: string, mode: StoreMode, target: string): Promise<void> {
  const { answer } = await run(['rescue', path, mode, target], path, {});
  const opened = existsSync(target);
  if (answer !== 'rescued' && opened) await run(['rescue', path, mode, target, 'backwards'], path, {});
}

interface ChildEnd {
  answer: ChildAnswer | undefined;
  /** Where there is no answer: how it ended. */
  reason: string;
  /** It ended as one does that LMDB leads astray, or did not end. */
  fell: boolean;
}

function run(args: string[], path: string, { command }: ChildOptions): Promise<ChildEnd> {
  const timeMs = Math.ceil(TIME_MIN_MS + statSync(path).size * MS_PER_BYTE);
  const [program, ...before] = command ?? [process.execPath, PROGRAM];
  return new Promise((resolve) => {
    const child = spawn(program!, [...before, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeMs,
      killSignal: 'SIGKILL',
    });
    const startedAt = performance.now();
    const output: Buffer[] = [];
    const errors: Buffer[] = [];
    child.on('error', ({ message }) => resolve({ answer: undefined, reason: message, fell: false }));
    if (child.pid === undefined) return; // where descriptors have run out, it has no streams either
    child.stdout.on('data', (bytes: Buffer) => output.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => errors.push(bytes));
    child.on('close', (code, signal) => {
      const [begun, line] = Buffer.concat(output).toString().split('\n');
      const printed = Buffer.concat(errors).toString();
      const isLate = child.killed && performance.now() - startedAt >= timeMs;
      const hasFallen = FALLS.includes(signal) && !WITHOUT_MEMORY.test(printed);
      const how = isLate ? 'does not come to an end' : `ended by ${signal ?? `code ${code}`}`;
      resolve({
        answer: code === 0 ? answerFrom(line) : undefined,
        reason: messageOf(printed) ?? how,
        fell: begun === BEGUN && (isLate || hasFallen),
      });
    });
  });
}

function answerFrom(line: string | undefined): ChildAnswer | undefined {
  try {
    return JSON.parse(line!) as ChildAnswer;
  } catch {
    return undefined;
  }
}

/** The line of a stack trace that says what happened. */
function messageOf(errors: string): string | undefined {
  return /^(?:Uncaught )?(\w*Error: .+)$/m.exec(errors)?.[1];
}

/** What is wrong with a store that is not sound. */
export function faultOf(result: CheckResult): string {
  return 'reason' in result ? result.reason : (result.report.problems[0] ?? result.verdict);
}

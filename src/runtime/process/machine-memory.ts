/** How much memory the broker may have: the machine's, or less where it was told so. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { getHeapStatistics } from 'node:v8';

/** The share of that memory which clients may occupy: objects take more than what is counted, and garbage comes on top. */
const CLIENTS_SHARE = 1 / 4;

/** `memory_limit auto`, in bytes: also no more than what the objects of one worker may take. */
export function autoMemoryLimit(): number {
  return Math.min(Math.floor(memoryOfBroker() * CLIENTS_SHARE), getHeapStatistics().heap_size_limit);
}

/** Bytes: the machine's memory, the limit of the control group, or the process's own, whichever is least. */
export function memoryOfBroker(): number {
  const controlGroup = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), controlGroup, limitOfProcess());
}

/** [man 2 getrlimit: RLIMIT_DATA, RLIMIT_AS] */
function limitOfProcess(): number {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return Number.POSITIVE_INFINITY;
  }
  let least = Number.POSITIVE_INFINITY;
  for (const [, bytes] of limits.matchAll(/^Max (?:data size|address space) +(\d+)/gm)) {
    least = Math.min(least, Number(bytes));
  }
  return least;
}

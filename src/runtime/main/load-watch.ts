/** Decides once a second whether the workers are short of time or of memory. */
import { availableParallelism, cpus } from 'node:os';
import { Counter } from '../../sys/counters.js';
import { type MemoryLimit, memoryState, NO_LIMIT, occupiedOf, PLENTY } from '../../sys/memory-limit.js';
import { HOT_UTILISATION, type WorkerHandle } from './worker-handle.js';

/** Seconds that the busiest worker has to be hot before another one is added. */
const HOT_SECONDS = 5;
/** Cores that have to be idle for another worker to be of use. */
const IDLE_CORES = 0.5;

/** Is the busiest worker hot, and a core idle? */
export class LoadWatch {
  #hotSeconds = 0;
  #cpuTimes = cpuTimes();

  /** @returns whether another worker would be of use */
  look(workers: readonly WorkerHandle[]): boolean {
    const idleCores = this.#idleCores();
    let hottest = 0;
    for (const handle of workers) {
      handle.utilisation = handle.counters[Counter.utilisation]!;
      hottest = Math.max(hottest, handle.utilisation);
    }
    this.#hotSeconds = hottest >= HOT_UTILISATION && idleCores >= IDLE_CORES ? this.#hotSeconds + 1 : 0;
    return this.#hotSeconds >= HOT_SECONDS;
  }

  /** There is another one now. */
  added(): void {
    this.#hotSeconds = 0;
  }

  /** How many cores had nothing to do since the last look. */
  #idleCores(): number {
    const before = this.#cpuTimes;
    const now = cpuTimes();
    this.#cpuTimes = now;
    const total = now.total - before.total;
    return total === 0 ? 0 : ((now.idle - before.idle) / total) * availableParallelism();
  }
}

type MemoryLevel = 'plenty' | 'near' | 'short';

/** A level is left if so many seconds pass without it, so that lines about it do not come and go. */
const LEVEL_SECONDS = 5;

/** Adds up what the clients of all workers occupy, and holds it against `memory_limit`. */
export class MemoryWatch {
  limit: MemoryLimit = NO_LIMIT;
  /** Bytes that clients occupy. */
  used = 0;
  #level: MemoryLevel = 'plenty';
  #secondsBelow = 0;

  /** @param counted bytes that the workers count @returns the log line that is due; `undefined` if nothing changed */
  look(counted: number, processBytes: number): { isWarning: boolean; text: string } | undefined {
    this.used = occupiedOf(counted, this.limit, processBytes);
    const state = memoryState(this.used, this.limit);
    const level = state.isShort ? 'short' : state === PLENTY ? 'plenty' : 'near';
    if (level === this.#level || (rank(level) < rank(this.#level) && this.#waits())) return undefined;
    this.#level = level;
    this.#secondsBelow = 0;
    return { isWarning: level !== 'plenty', text: this.#line(level) };
  }

  /** Whether much is occupied, so that the workers want to know how much. */
  get isMuch(): boolean {
    return this.limit.bytes > 0 && this.used > this.limit.bytes / 4;
  }

  #waits(): boolean {
    if (this.limit.processBytes === null) return false;
    this.#secondsBelow += 1;
    return this.#secondsBelow < LEVEL_SECONDS;
  }

  #line(level: MemoryLevel): string {
    const { bytes, processBytes } = this.limit;
    if (processBytes === null) {
      return level === 'short'
        ? `Warning: Messages take ${this.used} bytes, memory_limit is ${bytes}: further ones are refused.`
        : 'Messages take less than memory_limit again and are accepted.';
    }
    const figures = `Clients occupy ${this.used} bytes, memory_limit is ${bytes}`;
    if (level === 'short')
      return `Warning: ${figures}: new messages, subscriptions and sessions are refused.`;
    if (level === 'near') return `Warning: ${figures}: the largest clients are slowed, then refused.`;
    return `${figures}: all are served again.`;
  }
}

function rank(level: MemoryLevel): number {
  return ['plenty', 'near', 'short'].indexOf(level);
}

function cpuTimes(): { idle: number; total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return { idle, total };
}

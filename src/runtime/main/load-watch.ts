/** Decides once a second whether the workers are short of time or of memory. */
import { availableParallelism, cpus } from 'node:os';
import { Counter } from '../../sys/counters.js';
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

/**
 * Messages that wait in sessions and for sockets are what memory grows by; the runtime's own part, some tens of
 * megabytes, does not count [mosq: memory_limit].
 */
export class MemoryWatch {
  isShort = false;

  /** @param taken bytes @param limit 0 = none @returns the log line that is due; `undefined` if nothing changed */
  look(taken: number, limit: number): string | undefined {
    const isShort = limit > 0 && taken > limit;
    if (isShort === this.isShort) return undefined;
    this.isShort = isShort;
    return isShort
      ? `Warning: Messages take ${taken} bytes, memory_limit is ${limit}: further ones are refused.`
      : 'Messages take less than memory_limit again and are accepted.';
  }
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

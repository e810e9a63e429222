/** Notices stalled workers: one that runs changes a counter once a second. */
import type { Log } from '../../log/log.js';
import { Counter } from '../../sys/counters.js';
import { PAUSE_MS, STALL_MS } from '../process/time-limits.js';
import type { WorkerHandle } from './worker-handle.js';

interface Pulse {
  ticks: number;
  /** When it was seen to change, on the clock of `performance.now()`. */
  at: number;
  isStalled: boolean;
}

export class StallWatch {
  readonly #log: Log;
  #pulses = new Map<WorkerHandle, Pulse>();
  #lookedAt = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  /** A worker stood still when it was looked last. */
  get isStalled(): boolean {
    for (const { isStalled } of this.#pulses.values()) if (isStalled) return true;
    return false;
  }

  /** Whether this worker stood still when it was looked last. */
  hasStalled(handle: WorkerHandle): boolean {
    return this.#pulses.get(handle)?.isStalled ?? false;
  }

  /** About once a second. @param handles the workers that live @param now of the clock of `performance.now()` */
  look(handles: readonly WorkerHandle[], now: number): void {
    const wasAway = now - this.#lookedAt > PAUSE_MS;
    this.#lookedAt = now;
    const pulses = new Map<WorkerHandle, Pulse>();
    for (const handle of handles) if (handle.ready) pulses.set(handle, this.#feel(handle, now, wasAway));
    this.#pulses = pulses;
  }

  #feel(handle: WorkerHandle, now: number, wasAway: boolean): Pulse {
    const ticks = handle.counters[Counter.ticks]!;
    const pulse = this.#pulses.get(handle);
    if (pulse === undefined) return { ticks, at: now, isStalled: false };
    const silentMs = now - pulse.at;
    if (ticks !== pulse.ticks) {
      if (pulse.isStalled) {
        this.#log.write('notice', `Worker ${handle.worker} goes on, after ${Math.round(silentMs / 1000)} s.`);
      }
      return { ticks, at: now, isStalled: false };
    }
    if (wasAway && !pulse.isStalled) return { ...pulse, at: now };
    const isStalled = silentMs >= STALL_MS;
    if (isStalled && !pulse.isStalled) {
      const seconds = Math.round(silentMs / 1000);
      this.#log.write('error', `Error: Worker ${handle.worker} has stood still for ${seconds} s.`);
    }
    return { ...pulse, isStalled };
  }
}

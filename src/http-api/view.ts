/** What the HTTP API shows, as main hands it over and reads it when somebody asks; and what it can have done. */
import type { RetainedCursor } from '../broker/ports.js';
import type { Settings } from '../config/settings.js';
import type { LogLine } from '../log/log.js';
import type { WorkerAnswer, WorkerQuestion } from '../routing/client-questions.js';
import type { SysReadings } from '../sys/sys-tree.js';
import type { Condition } from './health.js';

export interface BrokerView {
  version: string;
  /** Milliseconds since the epoch. */
  startedAt: number;
  /** In force. */
  settings: () => Settings;
  /** The `$SYS` tree now. */
  sysTree: () => Record<string, number>;
  /** What that tree is made from. */
  readings: () => SysReadings;
  condition: () => Condition;
  /** Asks all workers; `missing` are the numbers of those that have not answered in time. */
  ask: (question: WorkerQuestion) => Promise<{ answers: WorkerAnswer[]; missing: number[] }>;
  /** The retained messages that a filter matches, without those of `$SYS`. */
  matchRetained: (filter: string) => RetainedCursor;
  /** As SIGUSR1. @returns `null` without a store that outlives the broker, else whether it succeeded */
  save: () => Promise<boolean | null>;
  /** As SIGHUP. Resolves when it is done. */
  reload: () => Promise<void>;
  /** The last lines of the log, the oldest first. */
  logLines: () => readonly LogLine[];
}

/**
 * `/healthz` and `/readyz`, for those that restart a broker or send clients to it. Anybody may ask: they say which part
 * is not well, and nothing of any client.
 */
import type { WorkerFigures } from './metrics.js';

export interface Condition {
  /** The listeners accept connections. */
  isServing: boolean;
  /** Why nothing can be stored; `null` = it can. */
  storeTrouble: string | null;
  workers: readonly WorkerFigures[];
}

/** What a restart would mend. Each line is a clause. */
export function whatHangs({ workers }: Condition): string[] {
  return workers.filter(({ isStalled }) => isStalled).map(({ worker }) => `worker ${worker} has stood still`);
}

/** Why clients should not come, or would not be served well. Each line is a clause. */
export function whatIsNotReady(condition: Condition): string[] {
  const { isServing, storeTrouble, workers } = condition;
  const reasons = whatHangs(condition);
  if (!isServing) reasons.push('the listeners do not accept connections');
  if (workers.length === 0) reasons.push('no worker runs');
  for (const { worker, isReady } of workers) {
    if (!isReady) reasons.push(`worker ${worker} is not ready`);
  }
  if (storeTrouble !== null) reasons.push(storeTrouble);
  return reasons;
}

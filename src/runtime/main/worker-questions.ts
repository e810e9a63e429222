/** Questions that main puts to all workers at once. A worker that does not answer in time is left out, and named. */
import type { WorkerAnswer, WorkerQuestion } from '../../routing/client-questions.js';
import type { WorkerHandle } from './worker-handle.js';

/** Milliseconds that the workers have for an answer: less than an HTTP request has. */
const ANSWER_MS = 2000;

export interface GatheredAnswers {
  answers: WorkerAnswer[];
  /** Numbers of the workers that have not answered. */
  missing: number[];
}

interface Asked {
  answers: WorkerAnswer[];
  waiting: Set<number>;
  done: () => void;
}

export class WorkerQuestions {
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;

  ask(workers: readonly WorkerHandle[], question: WorkerQuestion): Promise<GatheredAnswers> {
    this.#lastId += 1;
    const id = this.#lastId;
    const ready = workers.filter((handle) => handle.ready);
    return new Promise((resolve) => {
      const waiting = new Set(ready.map(({ worker }) => worker));
      const answers: WorkerAnswer[] = [];
      const done = (): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
        const unready = workers.filter((handle) => !handle.ready).map(({ worker }) => worker);
        resolve({ answers, missing: [...waiting, ...unready] });
      };
      const timer = setTimeout(done, ANSWER_MS);
      this.#asked.set(id, { answers, waiting, done });
      for (const handle of ready) handle.tell({ kind: 'question', id, question });
      if (waiting.size === 0) done();
    });
  }

  /** An answer has come, perhaps too late. */
  answered(worker: number, id: number, answer: WorkerAnswer): void {
    const asked = this.#asked.get(id);
    if (!asked?.waiting.delete(worker)) return;
    asked.answers.push(answer);
    if (asked.waiting.size === 0) asked.done();
  }
}

/**
 * What a test leaves behind is cleared away in the reverse order, and all of it, even when one step fails or never
 * ends. (Node's own `t.after` goes forwards and stops at the first failure.)
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { patienceMs, within } from './within.js';

/** For one step; a broker's end has `patienceMs` of its own. */
const stepLimitMs = 2 * patienceMs;

type Step = () => unknown;

/** A test, or a `describe` whose cases share something: what is cleared away behind it. */
export type Lifetime = Pick<TestContext, 'name' | 'after'>;

const stepsOf = new WeakMap<Lifetime, Step[]>();
/** Tests with something to clear away, and programs that run for them: told of, and ended, when the runner gives up. */
const unfinished = new Set<Lifetime>();
const programs = new Set<number>();

/** Runs `step` after the test; it may return a promise. A step that fails makes the test fail. */
export function afterTest(t: Lifetime, step: Step): void {
  const known = stepsOf.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const steps = [step];
  stepsOf.set(t, steps);
  if (unfinished.size === 0) process.on('SIGTERM', giveUp);
  unfinished.add(t);
  t.after(async () => {
    try {
      await runBackwards(steps);
    } finally {
      unfinished.delete(t);
      if (unfinished.size === 0) process.off('SIGTERM', giveUp);
    }
  });
}

/** Programs end with their tests; when these end before their time, this is what ends them. */
export function endWithTests(pid: number, ended: Promise<unknown>): void {
  programs.add(pid);
  const forget = () => void programs.delete(pid);
  ended.then(forget, forget);
}

/** The runner ends the process of a test file that takes too long: that a test waits for ever is seen here. */
function giveUp(): void {
  const names = [...unfinished].map(({ name }) => `  ${name}\n`).join('');
  const file = process.env.TEST_UNFINISHED_FILE;
  if (file !== undefined) appendFileSync(file, `Ended from outside, in the middle of:\n${names}`);
  for (const pid of programs) process.kill(pid, 'SIGKILL');
  process.exit(1);
}

/** @returns the path of a new folder that is removed after the test. */
export function makeFolder(t: Lifetime): string {
  const folder = mkdtempSync(join(tmpdir(), 'midge-test-'));
  afterTest(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Something that all cases of a `describe` share, such as a broker: to be called within its function. The first case
 * that asks for it starts it, and it is cleared away behind the last one.
 *
 * @param title of the `describe`, for messages.
 */
export function shareInSuite<Shared>(
  title: string,
  start: (suite: Lifetime) => Promise<Shared>,
): () => Promise<Shared> {
  const steps: Step[] = [];
  const suite: Lifetime = {
    name: title,
    after: (step) => void steps.push(step as Step),
  };
  after(() => runBackwards(steps));
  let shared: Promise<Shared> | undefined;
  return () => {
    shared ??= start(suite);
    return shared;
  };
}

async function runBackwards(steps: Step[]): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps.reverse()) {
    try {
      await within(stepLimitMs, Promise.resolve(step()), () => `clearing away: ${step}`);
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}

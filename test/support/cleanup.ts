/**
 * What a test leaves behind is cleared away in the reverse order, and all of it, even when one step fails or never
 * ends. (Node's own `t.after` goes forwards and stops at the first failure.)
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { patienceMs, within } from './within.js';

/** For one step; a broker's end has `patienceMs` of its own. */
const stepLimitMs = 2 * patienceMs;

type Step = () => unknown;

const stepsOf = new WeakMap<TestContext, Step[]>();
/** Tests with something to clear away, and programs that run for them: told of, and ended, when their file takes too long. */
const unfinished = new Set<TestContext>();
const programs = new Set<number>();

/** Runs `step` after the test; it may return a promise. A step that fails makes the test fail. */
export function afterTest(t: TestContext, step: Step): void {
  const known = stepsOf.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const steps = [step];
  stepsOf.set(t, steps);
  unfinished.add(t);
  t.after(async () => {
    await runBackwards(steps);
    unfinished.delete(t);
  });
}

/** Programs end with their tests; when these end before their time, this is what ends them. */
export function endWithTests(pid: number, ended: Promise<unknown>): void {
  programs.add(pid);
  const forget = () => void programs.delete(pid);
  ended.then(forget, forget);
}

/** A test file that never ends must not hold up the others' results. (The longest takes two minutes.) */
setTimeout(giveUp, 600_000).unref();

function giveUp(): void {
  const names = [...unfinished].map(({ name }) => `  ${name}\n`).join('');
  const file = process.env.TEST_UNFINISHED_FILE;
  if (file !== undefined) appendFileSync(file, `Ended after ten minutes, in the middle of:\n${names}`);
  for (const pid of programs) process.kill(pid, 'SIGKILL');
  process.exit(1);
}

/** @returns the path of a new folder that is removed after the test. */
export function makeFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'midge-test-'));
  afterTest(t, () => rmSync(folder, { recursive: true, force: true }));
  return folder;
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

/**
 * What a test leaves behind is cleared away in the reverse order, and all of it, even when one step fails. (Node's
 * own `t.after` goes forwards and stops at the first failure.)
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

type Step = () => unknown;

const stepsOf = new WeakMap<TestContext, Step[]>();

/** Runs `step` after the test; it may return a promise. A step that fails makes the test fail. */
export function afterTest(t: TestContext, step: Step): void {
  const known = stepsOf.get(t);
  if (known !== undefined) {
    known.push(step);
    return;
  }
  const steps = [step];
  stepsOf.set(t, steps);
  t.after(() => runBackwards(steps));
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
      await step();
    } catch (failure) {
      failures.push(failure);
    }
  }
  if (failures.length > 0) throw failures[0];
}

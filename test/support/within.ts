/** A promise with a time limit. */

const lookMs = 20;

/**
 * Milliseconds that a test waits for what is sure to come, on a machine that is busy with other things, too: there a
 * broker's start was seen to take more than 20 seconds. The limit is for what never comes.
 */
export const patienceMs = 60_000;

/**
 * @param message what was waited for and what had arrived instead; asked only when the time is over.
 * @returns the promise's own outcome, or an error with that message after `timeoutMs`.
 */
export async function within<T>(timeoutMs: number, promise: Promise<T>, message: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`After ${timeoutMs} ms ${message()}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks again and again: for what happens in another process and tells nobody. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`After ${patienceMs} ms there is not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

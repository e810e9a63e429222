/**
 * The version of the store's layout, and the way from older ones to this. A change of a key or a record that a
 * reader of today would misread gets a new version and a step here; what only adds (a flag, a table) does not.
 */
import type { Environment } from '../environment.js';

/** 2: a record of a queue may hold several messages. */
export const LAYOUT = 2;

/** In the table `meta`: the layout as decimal digits. */
const LAYOUT_KEY = Buffer.from('layout');

export interface Migration {
  /** The layout that it starts from; it leads to the next one. */
  from: number;
  /** Rewrites what has to be. Runs in main before any worker opens the store; may be interrupted and run again. */
  run: (environment: Environment) => Promise<void>;
}

/** Records of one message, as layout 1 has them, are read as they are; they become others when they are written again. */
const MIGRATIONS: readonly Migration[] = [{ from: 1, run: async () => {} }];

/** The store was written by a version of Midge that this one does not know. */
export class UnknownLayoutError extends Error {
  override readonly name = 'UnknownLayoutError';
}

/** @returns the layout of an open store; `undefined` for a new one */
export function layoutOf({ tables }: Environment): number | undefined {
  const record = tables.meta.getBinary(LAYOUT_KEY);
  return record === undefined ? undefined : Number(record.toString());
}

/**
 * Brings an open store to this layout.
 * @param layout and `migrations`: other ones than today's, for tests
 * @throws {UnknownLayoutError} where there is no way
 */
export async function migrate(
  environment: Environment,
  layout = LAYOUT,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  let current = layoutOf(environment);
  if (current === undefined) {
    await writeLayout(environment, layout);
    return;
  }
  while (current !== layout) {
    const step = migrations.find(({ from }) => from === current);
    if (step === undefined)
      throw new UnknownLayoutError(`store layout ${current}, this version knows ${layout}`);
    await step.run(environment);
    current += 1;
    await writeLayout(environment, current);
  }
}

async function writeLayout(environment: Environment, layout: number): Promise<void> {
  environment.put(environment.tables.meta, LAYOUT_KEY, Buffer.from(String(layout)));
  await environment.committed();
  environment.refresh();
}

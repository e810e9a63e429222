/**
 * The version of the store's layout, and the way from older ones to this. A change of a key or a record that a
 * reader of today would misread gets a new version and a step here; what only adds (a flag, a table) does not.
 */
import { type Environment, TABLE_NAMES, type TableName } from '../environment.js';

/** 2: a record of a queue may hold several messages. 3: records end with a checksum, and damaged ones have a table. */
export const LAYOUT = 3;

/** In the table `meta`: the layout as decimal digits. */
const LAYOUT_KEY = Buffer.from('layout');

export interface Migration {
  /** The layout that it starts from; it leads to the next one. */
  from: number;
  /** For each type of record. */
  records: Readonly<Record<TableName, RecordMigration>>;
}

/**
 * What becomes of the records of a table: they stay as they are, there were none in that layout, or the function
 * rewrites them. It runs in main before any worker opens the store; it may be interrupted and run again.
 */
export type RecordMigration = 'same' | 'none before' | ((environment: Environment) => Promise<void>);

const MIGRATIONS: readonly Migration[] = [
  {
    from: 1,
    records: {
      meta: 'same',
      sessions: 'same',
      subscriptions: 'same',
      queue: 'same', // a record of one message reads, and becomes another one when it is written again
      messages: 'same',
      references: 'same',
      retained: 'same',
      retainedTails: 'same',
      garbage: 'same',
      deliveries: 'same',
      tailNotes: 'none before',
      damaged: 'none before',
    },
  },
  {
    // A record without a checksum reads, and gets one when it is written again.
    from: 2,
    records: {
      meta: 'same',
      sessions: 'same',
      subscriptions: 'same',
      queue: 'same',
      messages: 'same',
      references: 'same',
      retained: 'same',
      retainedTails: 'same',
      garbage: 'same',
      deliveries: 'same',
      tailNotes: 'same',
      damaged: 'none before',
    },
  },
];

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
 * @throws {UnknownLayoutError} if there is no way
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
    for (const name of TABLE_NAMES) {
      const migration = step.records[name];
      if (typeof migration === 'function') await migration(environment);
    }
    current += 1;
    await writeLayout(environment, current);
  }
}

async function writeLayout(environment: Environment, layout: number): Promise<void> {
  environment.ensureRoom(1, LAYOUT_KEY.length);
  environment.put(environment.tables.meta, LAYOUT_KEY, Buffer.from(String(layout)));
  await environment.committed();
  environment.refresh();
}

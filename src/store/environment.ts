/**
 * The LMDB environment: one file, opened by main and by every worker with the same options, and the databases in
 * it. `keys.ts` says what is in which database.
 *
 * There are four modes; in three of them the store outlives the broker:
 *
 *   mode        the environment lies in     and is synced           used for
 *   autosave    memory (tmpfs)              never; it is copied     `persistence true`
 *   durable     `persistence_location`      at every commit         acknowledged is safe from a power cut
 *   deferred    `persistence_location`      at every commit         autosave if there is no tmpfs: few commits
 *   transient   memory or any folder        never                   `persistence false`
 *
 * `noSync` in `persistence_location` is not among them: a power cut damages such a file more often than not. The
 * synced ones use overlapping syncs, and `safeRestore` because a file that was not closed in order must be
 * taken back to its last synced state even within the same boot.
 */
import { chmodSync, mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Database, open, type RootDatabase } from 'lmdb';
import { assert } from '../base/assert.js';
import type { StoreMode } from '../model/store-mode.js';
import { PAGE_SIZE } from './limits.js';
import type { Committer } from './write-batcher.js';

export interface EnvironmentOptions {
  /** The file; beside it LMDB keeps another one, with `-lock` appended. */
  path: string;
  mode: StoreMode;
  /** A file that has tables has to have all of them: none is made if one is missing because of damage. */
  isWhole?: boolean;
}

export type Table = Database<Buffer, Uint8Array>;

/**
 * The databases in the file, one for each type of record, and the layout that brought each (`file/migrations.ts`).
 * Names never change: `midge db` and later versions look for them. What the check, the rescue and a migration do
 * with a type of record is in tables with the same keys: one that is missing there does not compile.
 */
const TABLES = {
  meta: 'first',
  sessions: 'first',
  subscriptions: 'first',
  queue: 'first',
  messages: 'first',
  references: 'first',
  retained: 'first',
  retainedTails: 'first',
  garbage: 'first',
  deliveries: 'first',
  tailNotes: 'later',
} as const satisfies Record<string, 'first' | 'later'>;

export type TableName = keyof typeof TABLES;

export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

const TABLES_MAX = 16;
assert(TABLE_NAMES.length <= TABLES_MAX, 'LMDB is told of all tables');

/**
 * Addresses, not memory. A file that outgrows its map gets another one, and the old ones stay: most stores fit into
 * the first. A 32-bit machine, which lmdb does not notice by itself, has few addresses.
 */
const IS_32_BIT = process.arch === 'arm' || process.arch === 'ia32';
const MAP_SIZE = (IS_32_BIT ? 256 : 1024) * 1024 * 1024;

/** A key of the table `meta` that is never there. */
const NO_KEY = Buffer.from('-');

/** Whether commits of the mode reach the disk. */
function isSynced(mode: StoreMode): boolean {
  return mode === 'durable' || mode === 'deferred';
}

export class Environment implements Committer {
  readonly path: string;
  readonly mode: StoreMode;
  readonly tables: Readonly<Record<TableName, Table>>;
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  #lastWrite: Promise<unknown> = Promise.resolve();

  /**
   * Opens the file, and makes it if there is none. Must be complete before a worker may be terminated: LMDB
   * aborts the process when a thread ends while it opens.
   * @throws what the file system or LMDB says
   */
  constructor({ path, mode, isWhole = false }: EnvironmentOptions) {
    this.path = path;
    this.mode = mode;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#root = open<Buffer, Uint8Array>(openOptions(path, mode));
    if (isWhole) this.#expectTables();
    const tables = TABLE_NAMES.map((name) => [name, this.#openTable(name)] as const);
    this.tables = Object.fromEntries(tables) as Record<TableName, Table>;
  }

  /** Puts a record; part of the transaction of this turn of the event loop. LMDB keeps `value` until then. */
  put(table: Table, key: Uint8Array, value: Buffer): void {
    this.#note(table.put(key, value));
  }

  /** Removes a record, if it is there; part of the transaction of this turn. */
  remove(table: Table, key: Uint8Array): void {
    this.#note(table.remove(key));
  }

  /**
   * Has the next transaction begin in this turn of the event loop, behind all callbacks of `setImmediate` that wait
   * already. LMDB's binding begins it in the next call of its own `setImmediate`, made at the first write: where the
   * writes come in one, that is a turn later, behind all that arrives meanwhile. So there is a first write now: one
   * that does nothing.
   */
  prepare(): void {
    this.#note(this.tables.meta.remove(NO_KEY));
  }

  async committed(): Promise<void> {
    try {
      await this.#lastWrite;
    } catch (error) {
      throw explain(await causeOf(error as Error), this.path);
    }
  }

  /**
   * Gives this thread a new snapshot. Without it a thread goes on reading what was current when it read first in
   * this turn, so everything that reacts to another thread calls this first.
   */
  refresh(): void {
    this.#root.resetReadTxn();
  }

  /**
   * Runs `action` within the write transaction: what it reads cannot change before what it writes is committed.
   * Other writers wait for it, so this is for the rare case that needs it.
   */
  async inTransaction(action: () => void): Promise<void> {
    await this.#root.transaction(() => {
      action();
    });
  }

  /** Grows with every transaction of any thread. */
  get lastTransactionId(): number {
    return this.#statistics().lastTxnId;
  }

  /** Bytes of the file that are in use or free for reuse. */
  get bytes(): number {
    return (this.#statistics().lastPageNumber + 1) * PAGE_SIZE;
  }

  entryCount(table: TableName): number {
    return (this.tables[table].getStats() as { entryCount: number }).entryCount;
  }

  /** Copies the current state to a new file, compacted. Does not disturb writers and does not sync the copy. */
  async copyTo(path: string): Promise<void> {
    await this.#root.backup(path, true);
    chmodSync(path, 0o600);
  }

  async close(): Promise<void> {
    // LMDB's binding waits for the flush of the last commit, which never comes if that failed. One of nothing succeeds.
    await this.#lastWrite.catch(() => this.prepare());
    await this.#root.close();
  }

  /** The writes of a turn share one promise or two; all of them reject when their transaction fails. */
  #note(write: Promise<unknown>): void {
    if (write === this.#lastWrite) return;
    this.#lastWrite = write;
    write.catch(() => {});
  }

  #expectTables(): void {
    const present = new Set<string>();
    for (const name of this.#root.getKeys({})) present.add(String(name));
    // A sound store of an older layout does not have the later ones.
    const missing = TABLE_NAMES.filter((name) => !present.has(name) && TABLES[name] === 'first');
    if (present.size > 0 && missing.length > 0) throw new Error(`the table ${missing[0]} is missing`);
  }

  #openTable(name: TableName): Table {
    return this.#root.openDB<Buffer, Uint8Array>({ name, encoding: 'binary', keyEncoding: 'binary' });
  }

  #statistics(): { lastTxnId: number; lastPageNumber: number } {
    return this.#root.getStats() as { lastTxnId: number; lastPageNumber: number };
  }
}

/**
 * Copies a store that nobody has open to a new file, compacted and without any trace of how it was synced, so that
 * every mode may open it. The source is taken back to its last synced state first.
 */
export async function copyStore(from: string, to: string): Promise<void> {
  const root = open(openOptions(from, 'durable'));
  try {
    await root.backup(to, true);
    chmodSync(to, 0o600);
  } finally {
    await root.close();
  }
}

/**
 * Whether an unhandled rejection is one that LMDB leaves behind when a commit fails. The failure itself has been
 * reported, so a thread's handler of unhandled rejections may ignore it.
 */
export function isLeftByFailedCommit(reason: unknown): boolean {
  return reason instanceof Error && 'commitError' in reason;
}

/** A failed commit's cause is another promise. */
async function causeOf(error: Error & { commitError?: Promise<never> }): Promise<Error> {
  try {
    await error.commitError;
  } catch (cause) {
    return cause as Error;
  }
  return error;
}

/** LMDB reports a full disk as an input/output error. */
function explain(error: Error, path: string): Error {
  const { bavail, bsize } = statfsSync(dirname(path));
  if (bavail * bsize > FULL_BYTES) return error;
  return new Error(`no space left on device (${error.message})`, { cause: error });
}

/** A disk with less room than this counts as full: a transaction writes some pages at least. */
const FULL_BYTES = 64 * 1024;

function openOptions(path: string, mode: StoreMode) {
  return {
    path,
    noSubdir: true,
    encoding: 'binary' as const,
    pageSize: PAGE_SIZE,
    maxDbs: TABLES_MAX,
    // A turn with more puts than this would start its transaction early, and a thread that ends within such a
    // turn would leave the write lock taken for ever.
    batchStartThreshold: 1e9,
    permissionsMode: 0o600,
    mapSize: MAP_SIZE,
    ...(isSynced(mode) ? { overlappingSync: true, safeRestore: true } : { noSync: true }),
  };
}

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
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Database, RootDatabase } from 'lmdb';
import { assert } from '../base/assert.js';
import type { StoreMode } from '../model/store-mode.js';
import { storeEngine } from './engine.js';
import { isInMemory } from './file-system.js';
import { PAGE_SIZE } from './limits.js';
import { Room } from './room.js';
import type { Committer } from './write-batcher.js';

export interface EnvironmentOptions {
  /** The file; beside it LMDB has another one, with `-lock` appended. */
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
  damaged: 'later',
} as const satisfies Record<string, 'first' | 'later'>;

export type TableName = keyof typeof TABLES;

export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

const TABLES_MAX = 16;
assert(TABLE_NAMES.length <= TABLES_MAX, 'LMDB has room for all tables');

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

/** Which file a path leads to. */
interface OpenFile {
  device: number;
  inode: number;
}

/** What was committed went into a file that has lost its name: nobody will find it at the next start. */
export class FileLostError extends Error {
  override readonly name = 'FileLostError';
}

export class Environment implements Committer {
  readonly path: string;
  readonly mode: StoreMode;
  readonly tables: Readonly<Record<TableName, Table>>;
  readonly room: Room;
  /** Whether the file lies in memory (tmpfs) and not on a disk. */
  readonly isInMemory: boolean;
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  #lastWrite: Promise<unknown> = Promise.resolve();
  /** LMDB could not do a commit. */
  #hasFailed = false;
  /** Device and inode of the file that is open; `null` if nobody minds what becomes of its name. */
  readonly #openFile: OpenFile | null;

  /**
   * Opens the file, and makes it if there is none. Must be complete before a worker may be terminated: LMDB
   * aborts the process when a thread ends while it opens.
   * @throws what the file system or LMDB says
   */
  constructor({ path, mode, isWhole = false }: EnvironmentOptions) {
    this.path = path;
    this.mode = mode;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    keepQuietAboutCommits();
    this.#root = storeEngine().open<Buffer, Uint8Array>(openOptions(path, mode));
    handleLostRejections(this.#root);
    this.room = new Room(path, { freeWithin: () => this.#freeBytes(), fileBytes: () => this.bytes });
    this.isInMemory = !isSynced(mode) && isInMemory(dirname(path));
    this.#openFile = isSynced(mode) ? fileAt(path) : null;
    if (isWhole) this.#expectTables();
    const tables = TABLE_NAMES.map((name) => [name, this.#openTable(name)] as const);
    this.tables = Object.fromEntries(tables) as Record<TableName, Table>;
  }

  /** Puts a record; part of the transaction of this turn of the event loop. LMDB reads `value` until then. */
  put(table: Table, key: Uint8Array, value: Buffer): void {
    this.#track(table.put(key, value));
  }

  /** Removes a record, if it is there; part of the transaction of this turn. */
  remove(table: Table, key: Uint8Array): void {
    this.#track(table.remove(key));
  }

  /**
   * Has the next transaction begin in this turn of the event loop, behind all callbacks of `setImmediate` that wait
   * already. LMDB's binding begins it in the next call of its own `setImmediate`, made at the first write: if the
   * writes come in one, that is a turn later, behind all that arrives meanwhile. So there is a first write now: one
   * that does nothing.
   */
  prepare(): void {
    this.#track(this.tables.meta.remove(NO_KEY));
  }

  async committed(): Promise<void> {
    try {
      await this.#lastWrite;
    } catch (error) {
      throw await this.#failed(error as Error);
    }
    if (this.isFileLost) throw new FileLostError(`${this.path} was removed or replaced by somebody else`);
  }

  /** Whether what is written on the disk can still be found there: not when the file is removed or replaced. */
  get isFileLost(): boolean {
    if (this.#openFile === null) return false;
    const found = fileAt(this.path);
    return found === null || found.device !== this.#openFile.device || found.inode !== this.#openFile.inode;
  }

  ensureRoom(changes: number, bytes: number, grows?: boolean): void {
    this.room.ensure(changes, bytes, grows);
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
   * @param changes records that it may write or remove
   * @param bytes of these records, about
   */
  async inTransaction(action: () => void, changes: number, bytes: number): Promise<void> {
    this.ensureRoom(changes, bytes);
    try {
      await this.#root.transaction(() => {
        action();
      });
    } catch (error) {
      throw await this.#failed(error as Error);
    }
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

  /** Bytes of memory that the file takes. */
  get memoryBytes(): number {
    return this.isInMemory ? this.bytes : 0;
  }

  /** Bytes of the pages of one table. */
  tableBytes(table: TableName): number {
    return pagesOf(this.tables[table].getStats() as TreeStatistics) * PAGE_SIZE;
  }

  /** Copies the current state to a new file, compacted. Does not disturb writers and does not sync the copy. */
  async copyTo(path: string): Promise<void> {
    await this.#root.backup(path, true);
    chmodSync(path, 0o600);
  }

  async close(): Promise<void> {
    // LMDB's binding waits for the flush of the last commit, which never comes if that failed. One of nothing succeeds.
    if (this.#hasFailed) this.prepare();
    await this.#lastWrite.catch(() => this.prepare());
    await this.#root.close();
  }

  /** The writes of a turn share one promise or two; all of them reject when their transaction fails. */
  #track(write: Promise<unknown>): void {
    if (write === this.#lastWrite) return;
    this.#lastWrite = write;
    write.catch(() => {});
  }

  /** @returns the cause of a commit that LMDB could not do */
  async #failed(error: Error): Promise<Error> {
    this.#hasFailed = true;
    this.room.failed();
    return causeOf(error);
  }

  /** Bytes of pages that no table needs. */
  #freeBytes(): number {
    let used = 2; // meta pages
    for (const table of Object.values(this.tables)) used += pagesOf(table.getStats() as TreeStatistics);
    const { lastPageNumber, root, free } = this.#statistics();
    return (lastPageNumber + 1 - used - pagesOf(root) - pagesOf(free)) * PAGE_SIZE;
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

  #statistics(): RootStatistics {
    return this.#root.getStats() as RootStatistics;
  }
}

/** @returns `null` if it is not there, or in a folder that is closed to us */
function fileAt(path: string): OpenFile | null {
  try {
    const { dev, ino } = statSync(path);
    return { device: dev, inode: ino };
  } catch {
    return null;
  }
}

interface TreeStatistics {
  treeBranchPageCount: number;
  treeLeafPageCount: number;
  overflowPages: number;
}

interface RootStatistics {
  lastTxnId: number;
  lastPageNumber: number;
  root: TreeStatistics;
  free: TreeStatistics;
}

function pagesOf({ treeBranchPageCount, treeLeafPageCount, overflowPages }: TreeStatistics): number {
  return treeBranchPageCount + treeLeafPageCount + overflowPages;
}

/**
 * For each transaction LMDB's binding makes a promise that it gives to nobody. It is made right after this callback,
 * and is what `committed` refers to from then on. Where the commit fails it rejects, and so does a second one in its
 * error.
 */
function handleLostRejections(root: RootDatabase<Buffer, Uint8Array>): void {
  const listen = root.on.bind(root) as (event: 'beforecommit', callback: () => void) => void;
  listen('beforecommit', () => {
    queueMicrotask(() => root.committed.then(undefined, (error) => causeOf(error)));
  });
}

let isQuiet = false;

/** LMDB's binding prints the error of each commit that fails, with a stack trace; who made it reports it already. */
function keepQuietAboutCommits(): void {
  if (isQuiet) return;
  isQuiet = true;
  const print = console.error;
  console.error = (...words: unknown[]) => {
    const [error] = words;
    const isOfLmdb = error instanceof Error && typeof (error as { code?: unknown }).code === 'number';
    // biome-ignore lint/plugin: a few words, and none of a client's
    if (!isOfLmdb) print(...words);
  };
}

/**
 * Copies a store that nobody has open to a new file, compacted and without any trace of how it was synced, so that
 * every mode may open it. The source is taken back to its last synced state first.
 */
export async function copyStore(from: string, to: string): Promise<void> {
  const root = storeEngine().open(openOptions(from, 'durable'));
  try {
    await root.backup(to, true);
    chmodSync(to, 0o600);
  } finally {
    await root.close();
  }
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

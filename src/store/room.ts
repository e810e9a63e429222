/**
 * Whether a transaction finds room on the file system of the store. LMDB must not find out by itself that it does not:
 * its error path writes a message of up to 110 bytes into a buffer of 100 (`mdb_page_flush` of lmdb 3.5.6), which can
 * end the process, and prints stack traces. So before each transaction it is reckoned what that may need at the most,
 * and where so much is not there the transaction fails without LMDB.
 *
 * Near the end two things help. Pages that are free within the file count as room. And a ballast, a file beside the
 * store, is given up for transactions that write nothing new: a queue can be emptied however full the disk is.
 *
 * Against other errors (the disk has become read-only) nothing is reckoned. After the first one each further
 * transaction is preceded by a write of some bytes beside the store, and fails without LMDB if that fails.
 */
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** What the room is asked of; others in tests. */
export interface RoomProbe {
  /** Bytes that may be written to the file system. */
  available: () => number;
  /** Bytes of the store's file that no record needs. */
  freeWithin: () => number;
  /** Bytes of the store's file. */
  fileBytes: () => number;
}

/** There is no room for a transaction: nothing of it was written. */
export class NoRoomError extends Error {
  override readonly name = 'NoRoomError';
}

const PAGE_SIZE = 4096;

/** For pages that every transaction writes: roots, the list of free pages, LMDB's lock file. */
const EVERY_BYTES = 128 * 1024;

/** What stays free for the others on the file system, and for what was reckoned too low. */
const SLACK_BYTES = 128 * 1024;

/** Room for a transaction that removes some hundred records. */
const BALLAST_BYTES = 1024 * 1024;

/** With so much room the ballast is put back. */
const BALLAST_ROOM_BYTES = 3 * BALLAST_BYTES;

/** With so much room it is not asked for at each transaction. */
const PLENTY_BYTES = 64 * 1024 * 1024;

/** Milliseconds, and share of the room, for which the last answer holds if there is plenty. */
const ANSWER_MS = 50;
const ANSWER_SHARE = 8;

export class Room {
  readonly #path: string;
  readonly #probe: RoomProbe;
  /** What is left of the last answer. */
  #known = 0;
  #knownUntil = Number.NEGATIVE_INFINITY;
  /** LMDB has failed for another reason. */
  #inDoubt = false;

  constructor(path: string, probe: Omit<RoomProbe, 'available'> & Partial<RoomProbe>) {
    this.#path = path;
    this.#probe = { available: () => availableAt(path), ...probe };
  }

  /**
   * Before a transaction.
   * @param changes records that it writes or removes, each in a page of its own at the worst
   * @param bytes of these records, about
   * @param grows whether it writes anything that is new
   * @throws {NoRoomError} if it would not find room
   * @throws what the file system says if nothing can be written to it
   */
  ensure(changes: number, bytes: number, grows = true): void {
    if (this.#inDoubt) this.#tryToWrite();
    const most = EVERY_BYTES + 2 * bytes + changes * PAGE_SIZE;
    if (performance.now() < this.#knownUntil && most <= this.#known) {
      this.#known -= most;
      return;
    }
    const available = this.#probe.available();
    this.#known = available / ANSWER_SHARE - most;
    this.#knownUntil = available > PLENTY_BYTES ? performance.now() + ANSWER_MS : 0;
    if (most + SLACK_BYTES > available) this.#ensureNearTheEnd(changes, bytes, grows, available);
  }

  /** LMDB itself has failed. */
  failed(): void {
    this.#inDoubt = true;
  }

  /** From time to time, by one thread: puts the ballast there if there is room for it. */
  keepBallast(): void {
    try {
      if (existsSync(this.#ballast) || this.#probe.available() < BALLAST_ROOM_BYTES) return;
      writeFileSync(this.#ballast, Buffer.alloc(BALLAST_BYTES), { mode: 0o600 });
    } catch {
      rmSync(this.#ballast, { force: true }); // what there is of it
    }
  }

  removeBallast(): void {
    rmSync(this.#ballast, { force: true });
  }

  get #ballast(): string {
    return `${this.#path}.ballast`;
  }

  #ensureNearTheEnd(changes: number, bytes: number, grows: boolean, before: number): void {
    let available = before;
    if (!grows && existsSync(this.#ballast)) {
      this.removeBallast();
      available = this.#probe.available();
    }
    // A transaction does not write more pages than there are, and some for what is new.
    const most = EVERY_BYTES + 2 * bytes + Math.min(changes * PAGE_SIZE, this.#probe.fileBytes());
    if (most + SLACK_BYTES <= available) return;
    // Of the free pages not all can be had at once: readers may still look at some.
    if (available >= SLACK_BYTES + EVERY_BYTES && most <= this.#probe.freeWithin() / 2) return;
    throw new NoRoomError(
      `no space left on ${dirname(this.#path)}: ${available} bytes are free, up to ${most + SLACK_BYTES} are needed`,
    );
  }

  #tryToWrite(): void {
    const path = `${this.#path}.room`;
    try {
      writeFileSync(path, Buffer.alloc(PAGE_SIZE), { mode: 0o600 });
    } finally {
      rmSync(path, { force: true });
    }
    this.#inDoubt = false;
  }
}

function availableAt(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path));
  return bavail * bsize;
}

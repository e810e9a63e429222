/**
 * The file at `persistence_location`, and the files beside it:
 *
 *   mosquitto.db                      the store
 *   mosquitto.db.state                what is known of it: its hash, or that it was closed in order
 *   mosquitto.db.previous             the save before
 *   mosquitto.db.lock                 says which broker has it; the lock on this file ends with the process
 *   mosquitto.db.new/                 a save that is being made
 *   mosquitto.db.ballast              if it is the live store: room that is given up when there is no other
 *   mosquitto.db.damaged-DATE         what could not be read; never deleted
 *   mosquitto.db.unsaved-DATE         a live store that did not belong to the file
 *   mosquitto.db.imported-DATE        a file of Mosquitto's that was taken over
 *   mosquitto.db.foreign-DATE         a file that somebody put there while the broker ran
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { link, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { hasMosquittoMagic } from '../../mosquitto-db/chunk-reader.js';

/** What is known of a file from the last time it was written. */
export type FileState =
  /** A copy made by a save, which nothing writes to. */
  | { kind: 'saved'; sha256: string; identity?: FileIdentity }
  /** A live store that was closed in order. */
  | { kind: 'closed'; identity: FileIdentity };

/** Changes when a file is replaced or written to. */
export interface FileIdentity {
  /** Not in files of earlier versions. */
  device?: number;
  inode: number;
  bytes: number;
  modifiedMs: number;
}

/** A file that was in the place of the saved one. */
export interface FilePutAside {
  /** Taken over at the start; or put there by somebody else since. */
  label: 'imported' | 'foreign';
  path: string;
}

export type FileKind = 'missing' | 'empty' | 'mosquitto' | 'other';

/** It says nothing about what is in the file: it is not to be put aside or replaced. */
export class UnreadableFileError extends Error {
  override readonly name = 'UnreadableFileError';
}

export class SavedFile {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get previousPath(): string {
    return `${this.path}.previous`;
  }

  get #statePath(): string {
    return `${this.path}.state`;
  }

  get #newFolder(): string {
    return `${this.path}.new`;
  }

  /** @throws {UnreadableFileError} if it cannot be read, or nobody can say whether it is there */
  kind(): FileKind {
    try {
      return this.#kind();
    } catch (error) {
      throw new UnreadableFileError((error as Error).message, { cause: error });
    }
  }

  #kind(): FileKind {
    if (statsOf(this.path) === undefined) return 'missing';
    const start = readStart(this.path);
    if (start.length === 0) return 'empty';
    return hasMosquittoMagic(start) ? 'mosquitto' : 'other';
  }

  identity(): FileIdentity | undefined {
    return this.identityOf(this.path);
  }

  /** @throws {UnreadableFileError} if nobody can say whether it is there */
  identityOrThrow(): FileIdentity | undefined {
    try {
      return identityFrom(statsOf(this.path));
    } catch (error) {
      throw new UnreadableFileError((error as Error).message, { cause: error });
    }
  }

  /** It stays the same when the file is renamed. */
  identityOf(path: string): FileIdentity | undefined {
    try {
      return identityFrom(statSync(path));
    } catch {
      return undefined; // not there, or in a folder that is closed to us
    }
  }

  /**
   * Whether the file is exactly what we left: then it need not be read to be trusted. One that has `rotted` has not
   * been touched, and yet its content is another.
   */
  async condition(): Promise<'as left' | 'rotted' | 'unknown'> {
    const state = this.#readState();
    const isUntouched = sameIdentity(state?.identity, this.identity());
    if (state?.kind !== 'saved') return state?.kind === 'closed' && isUntouched ? 'as left' : 'unknown';
    if (state.sha256 === (await hashOf(this.path))) return 'as left';
    return isUntouched ? 'rotted' : 'unknown';
  }

  /** Whether nobody has the file open as a live store, and it was closed in order by the last who had. */
  isAtRest(): boolean {
    return this.#readState() !== undefined || !existsSync(`${this.path}-lock`);
  }

  /** Nothing is known of the file from here on, until it is closed or saved. */
  forgetState(): void {
    rmSync(this.#statePath, { force: true });
  }

  noteClosed(): void {
    const identity = this.identity();
    if (identity !== undefined) this.#writeState({ kind: 'closed', identity });
  }

  /** A folder of mode 0700 beside the file, empty; a save is made in it. @returns the path for the new file */
  prepareNew(): string {
    this.discardNew();
    mkdirSync(this.#newFolder, { recursive: true, mode: 0o700 });
    return join(this.#newFolder, basename(this.path));
  }

  discardNew(): void {
    rmSync(this.#newFolder, { recursive: true, force: true });
  }

  /**
   * Puts a complete, synced file in the place of the present one, so that at any moment one of them is there. The
   * present one stays as the previous save; a file of Mosquitto's, or one that is not ours, under a dated name.
   * @param path as given by `prepareNew`
   * @param sha256 of the new file
   * @param now milliseconds since the epoch
   * @param isOurs the present file is the one that the live store was made from, or saved to last
   * @returns where a file stays that was no save
   */
  async replace(path: string, sha256: string, now: number, isOurs = true): Promise<FilePutAside | undefined> {
    const kind = isOurs ? this.#kindOfOurs() : this.kind();
    const label = !isOurs ? 'foreign' : kind === 'mosquitto' ? 'imported' : undefined;
    const asidePath = label === undefined ? this.previousPath : this.datedPath(label, now);
    const goesAside = kind === 'mosquitto' || kind === 'other';
    if (goesAside) {
      await rm(asidePath, { force: true }); // of a large file, this takes its time
      await link(this.path, asidePath);
    }
    await rename(path, this.path);
    await syncFolder(dirname(this.path));
    const identity = this.identity();
    this.#writeState({ kind: 'saved', sha256, ...(identity && { identity }) });
    this.discardNew();
    return goesAside && label !== undefined ? { label, path: asidePath } : undefined;
  }

  /** Ours may be replaced even if somebody has made it unreadable. */
  #kindOfOurs(): FileKind {
    try {
      return this.#kind();
    } catch {
      return 'other';
    }
  }

  /** @returns a path beside the file that is free, with the time in its name */
  datedPath(label: string, now: number): string {
    const date = new Date(now).toISOString().replace(/[-:]|\.\d+/g, '');
    const path = `${this.path}.${label}-${date}`;
    if (!existsSync(path)) return path;
    for (let i = 2; ; i += 1) if (!existsSync(`${path}-${i}`)) return `${path}-${i}`;
  }

  /** Whether a file that Mosquitto has written was taken over and still lies beside this one. */
  hasImported(): boolean {
    try {
      const start = `${basename(this.path)}.imported-`;
      return readdirSync(dirname(this.path)).some((name) => name.startsWith(start));
    } catch {
      return false; // in a folder that is closed to us
    }
  }

  /** Moves the file out of the way under a dated name. @returns that name */
  putAside(label: string, now: number): string {
    const path = this.datedPath(label, now);
    renameSync(this.path, path);
    rmSync(`${this.path}-lock`, { force: true });
    this.forgetState();
    return path;
  }

  #readState(): FileState | undefined {
    try {
      return JSON.parse(readFileSync(this.#statePath, 'utf8')) as FileState;
    } catch {
      return undefined; // missing or damaged: then the store is read to see whether it is sound
    }
  }

  #writeState(state: FileState): void {
    const path = `${this.#statePath}.new`;
    writeFileSync(path, JSON.stringify(state), { mode: 0o600 });
    renameSync(path, this.#statePath);
  }
}

/** @returns `undefined` if there is no such file, or no such folder @throws if nobody can say */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function identityFrom(stats: Stats | undefined): FileIdentity | undefined {
  if (stats === undefined) return undefined;
  const { dev, ino, size, mtimeMs } = stats;
  return { device: dev, inode: ino, bytes: size, modifiedMs: Math.trunc(mtimeMs) };
}

export function sameIdentity(a: FileIdentity | undefined, b: FileIdentity | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  const { device = b.device } = a;
  if (device !== (b.device ?? device)) return false;
  return a.inode === b.inode && a.bytes === b.bytes && a.modifiedMs === b.modifiedMs;
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Makes renames and new files in it last. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Small enough that other work has its turn between two pieces. */
const HASH_PIECE_BYTES = 64 * 1024;

/** Hashed between two rests. */
const HASH_RUN_BYTES = 4 * HASH_PIECE_BYTES;

/**
 * SHA-256 of a file, in hexadecimal digits. Read into one buffer: what a stream allocates for a large file has the
 * garbage collector take a core from those who serve clients.
 * @param rest called between runs, with the milliseconds that the last one took; none: at full speed
 */
export async function hashOf(path: string, rest?: (workedMs: number) => Promise<void>): Promise<string> {
  const hash = createHash('sha256');
  const piece = Buffer.allocUnsafeSlow(HASH_PIECE_BYTES);
  const file = await open(path, 'r');
  let hashed = 0;
  let began = performance.now();
  try {
    for (;;) {
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, bytesRead));
      hashed += bytesRead;
      if (rest === undefined || hashed < HASH_RUN_BYTES) continue;
      await rest(performance.now() - began);
      hashed = 0;
      began = performance.now();
    }
  } finally {
    await file.close();
  }
}

function readStart(path: string): Buffer {
  const descriptor = openSync(path, 'r');
  try {
    const start = Buffer.alloc(64);
    return start.subarray(0, readSync(descriptor, start, 0, start.length, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** Where the live store lies in autosave mode: a folder of our own in memory (tmpfs). */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { liesInMemory, RAMFS } from '../file-system.js';
import { StoreInUseError, StoreLock } from './store-lock.js';

/** Room for a small store to begin with; a large one gets twice its size. */
const ROOM_MIN_BYTES = 8 * 1024 * 1024;

/**
 * Folders in memory, the best first. systemd's survives a restart of the service (RuntimeDirectoryPreserve) and is
 * the service's own; what is in /dev/shm survives as well, except in a container.
 */
export function memoryFolders(environment: NodeJS.ProcessEnv): string[] {
  const fromSystemd = environment.RUNTIME_DIRECTORY?.split(':') ?? [];
  return [...fromSystemd, '/dev/shm', environment.XDG_RUNTIME_DIR ?? ''].filter((folder) => folder !== '');
}

export interface LiveFolderRequest {
  /** Folders in which to look for room, as `memoryFolders` gives them. */
  candidates: readonly string[];
  /** Path of the saved file: brokers with different ones get different folders. */
  savedPath: string;
  /** Size of the saved store. */
  bytes: number;
  /** Take a folder on a disk as well: for what is not to outlive the broker anyway. */
  anyFileSystem?: boolean;
}

/** A folder of mode 0700 that belongs to this user, and to this process until it is released. */
export interface LiveFolder {
  path: string;
  release: () => void;
}

/** Brokers in containers may share /dev/shm and have the same path for different files: each gets a folder. */
const SUFFIXES = ['', '-2', '-3', '-4'];

/** The folders of the store that are there already and not in use, whatever room there is in them. */
export async function existingLiveFolders(
  candidates: readonly string[],
  savedPath: string,
): Promise<LiveFolder[]> {
  const found: LiveFolder[] = [];
  for (const candidate of candidates) {
    for (const suffix of SUFFIXES) {
      const path = join(candidate, `${folderName(savedPath)}${suffix}`);
      const folder = existsSync(path) ? await claim(path) : 'not ours';
      if (typeof folder === 'object') found.push(folder);
    }
  }
  return found;
}

/** @returns `undefined` if no memory has room */
export async function findLiveFolder(request: LiveFolderRequest): Promise<LiveFolder | undefined> {
  const { candidates, savedPath, bytes, anyFileSystem = false } = request;
  for (const candidate of candidates) {
    if (!anyFileSystem && !hasMemory(candidate, bytes * 2 + ROOM_MIN_BYTES)) continue;
    for (const suffix of SUFFIXES) {
      const folder = await claim(join(candidate, `${folderName(savedPath)}${suffix}`));
      if (folder === 'not ours') break;
      if (folder !== 'in use') return folder;
    }
  }
  return undefined;
}

/** @returns 'not ours' if it is another user's, 'in use' if another broker has it */
async function claim(path: string): Promise<LiveFolder | 'not ours' | 'in use'> {
  if (!isOurs(path)) return 'not ours';
  try {
    const lock = await StoreLock.take(join(path, 'lock'), path);
    return { path, release: () => lock?.release() };
  } catch (error) {
    if (error instanceof StoreInUseError) return 'in use';
    throw error;
  }
}

function folderName(savedPath: string): string {
  const hash = createHash('sha256').update(savedPath).digest('hex').slice(0, 16);
  return `midge-${process.getuid?.() ?? 0}-${hash}`;
}

function hasMemory(path: string, bytes: number): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(path);
    return liesInMemory(type) && (type === RAMFS || bavail * bsize >= bytes);
  } catch {
    return false; // not there, or not for us
  }
}

/** Makes the folder, or sees that nobody else made it: /dev/shm is open to all users. */
function isOurs(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false;
  }
  const { uid, mode } = lstatSync(folder);
  const isFolder = (mode & 0o170000) === 0o040000;
  return isFolder && uid === process.getuid?.() && (mode & 0o077) === 0;
}

/**
 * Who has a store: one broker at a time. The lock belongs to the process and ends with it, however that ends, so that
 * none is ever stale, whatever process has the same number meanwhile and in whichever container.
 *
 * It is `flock` on a file beside what is locked, which says who has it. Where the C library cannot be reached, or the
 * file system has no such locks, a socket in Linux's abstract namespace that is named after the file's inode stands
 * for it; containers with networks of their own do not see each other's.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { loadCLibrary } from '../../system/c-library.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
const EWOULDBLOCK = 11;

/** Another broker has it. */
export class StoreInUseError extends Error {
  override readonly name = 'StoreInUseError';
}

type Flock = (descriptor: number) => 'locked' | 'held' | 'not available';

export class StoreLock {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #server: Server | null;

  private constructor(path: string, descriptor: number, server: Server | null) {
    this.#path = path;
    this.#descriptor = descriptor;
    this.#server = server;
  }

  /**
   * @param path of the lock file
   * @param what is locked, for the error
   * @param flock another one for tests
   * @returns `null` if there can be no such file: nothing can be written there either
   * @throws {StoreInUseError}
   */
  static async take(path: string, what: string, flock: Flock = systemFlock): Promise<StoreLock | null> {
    for (;;) {
      const descriptor = openLockFile(path);
      if (descriptor === null) return null;
      const result = flock(descriptor);
      const server = result === 'not available' ? await listen(descriptor) : null;
      if (result === 'held' || server === 'held') {
        closeSync(descriptor);
        throw new StoreInUseError(`${what} is in use by ${holderOf(path)}`);
      }
      const lock = new StoreLock(path, descriptor, server);
      if (isAt(path, descriptor)) {
        lock.#sign();
        return lock;
      }
      lock.#end(); // the one who had it has just removed the file
    }
  }

  /** Whether others find it: not when its file was removed. */
  get isInPlace(): boolean {
    return isAt(this.#path, this.#descriptor);
  }

  release(): void {
    if (this.isInPlace) rmSync(this.#path, { force: true });
    this.#end();
  }

  #end(): void {
    this.#server?.close();
    closeSync(this.#descriptor);
  }

  /** Who has it: only for the error that another one gets. */
  #sign(): void {
    try {
      ftruncateSync(this.#descriptor);
      writeSync(this.#descriptor, JSON.stringify(self()), 0);
    } catch {
      // a full disk, or a file of another user
    }
  }
}

interface Holder {
  pid: number;
  /** The namespace that the number belongs to. */
  namespace: string;
  host: string;
}

function self(): Holder {
  return { pid: process.pid, namespace: pidNamespace(), host: hostname() };
}

function holderOf(path: string): string {
  try {
    const { pid, namespace, host } = JSON.parse(readFileSync(path, 'utf8')) as Holder;
    const isSeen = namespace === pidNamespace();
    return isSeen ? `process ${pid}` : `process ${pid} of another container or machine (${host})`;
  } catch {
    return 'another process';
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

/** It is closed in programs that this one starts, as all that Node opens. */
function openLockFile(path: string): number | null {
  for (const flags of [constants.O_RDWR | constants.O_CREAT, constants.O_RDONLY]) {
    try {
      return openSync(path, flags, 0o600);
    } catch {
      // the folder is missing or read-only, or the file another user's
    }
  }
  return null;
}

function isAt(path: string, descriptor: number): boolean {
  const { dev, ino } = fstatSync(descriptor);
  try {
    const found = statSync(path);
    return found.dev === dev && found.ino === ino;
  } catch {
    return false;
  }
}

function systemFlock(descriptor: number): ReturnType<Flock> {
  try {
    const { libc, errno } = loadCLibrary();
    const flock = libc.func('int flock(int fd, int operation)');
    if ((flock(descriptor, LOCK_EX | LOCK_NB) as number) === 0) return 'locked';
    return errno() === EWOULDBLOCK ? 'held' : 'not available';
  } catch {
    return 'not available';
  }
}

/** @returns `null` if there are no such sockets: then nothing is locked */
function listen(descriptor: number): Promise<Server | 'held' | null> {
  const { dev, ino } = fstatSync(descriptor);
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.on('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? 'held' : null),
    );
    server.listen(`\0midge-${dev}-${ino}`, () => resolve(server.unref()));
  });
}

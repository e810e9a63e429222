/**
 * File descriptors that change threads. Node gives no way to hand a socket to a worker thread, but all threads of
 * a process share its descriptors: the giver duplicates the descriptor and drops its own socket, the taker wraps
 * the duplicate. No byte is copied.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

/** fcntl(2) on Linux: duplicate, and close in programs started by this one. */
const F_DUPFD_CLOEXEC = 1030;

type Duplicate = (fd: number) => number;

let duplicate: Duplicate | null | undefined;

/** `null` where the C library cannot be reached on this machine (or is not to be, for the tests of that). */
function loadDuplicate(): Duplicate | null {
  if (process.env.MIDGE_NO_DESCRIPTORS !== undefined) return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
    const libc = koffi.load(null);
    if (process.platform === 'linux') {
      const fcntl = libc.func('int fcntl(int fd, int cmd, ...)');
      return (fd) => fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0) as number;
    }
    const dup = libc.func('int dup(int fd)');
    return (fd) => dup(fd) as number;
  } catch {
    return null;
  }
}

/** Whether sockets can change threads here. */
export function canPassDescriptors(): boolean {
  if (duplicate === undefined) duplicate = loadDuplicate();
  return duplicate !== null;
}

/**
 * Takes the descriptor out of a socket, which is destroyed without closing the connection.
 * @returns -1 where there is none: the peer is gone, or descriptors have run out
 */
export function takeDescriptor(socket: Socket): number {
  if (!canPassDescriptors()) return -1;
  // The handle's number is no documented interface, but the only way to it; a test watches over it.
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  const fd = handle === null || handle.fd < 0 ? -1 : duplicate!(handle.fd);
  socket.destroy();
  return fd;
}

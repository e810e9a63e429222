/**
 * Moves sockets between threads by their descriptors. Node cannot hand a socket to a worker thread, but all threads of a
 * process share its descriptors: the giver duplicates the descriptor and drops its own socket, the receiver wraps the
 * duplicate. No byte is copied.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { loadCLibrary } from '../system/c-library.js';

/** fcntl(2) on Linux: duplicate, and close in programs started by this one. */
const F_DUPFD_CLOEXEC = 1030;

type Duplicate = (fd: number) => number;

let duplicate: Duplicate | null | undefined;

/** `null` if the C library cannot be reached on this machine (or is not to be, for the tests of that). */
function loadDuplicate(): Duplicate | null {
  if (process.env.MIDGE_NO_DESCRIPTORS !== undefined) return null;
  try {
    const { libc } = loadCLibrary();
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

/** @returns a second descriptor of the same socket; -1 if they have run out */
export function duplicateDescriptor(fd: number): number {
  return fd < 0 || !canPassDescriptors() ? -1 : duplicate!(fd);
}

/**
 * Takes the descriptor out of a socket, which is destroyed without closing the connection.
 * @returns -1 if there is none: the peer is gone, or descriptors have run out
 */
export function takeDescriptor(socket: Socket): number {
  if (!canPassDescriptors()) return -1;
  // The handle's number is no documented interface, but the only way to it; a test watches over it.
  const { _handle: handle } = socket as unknown as { _handle: { fd: number } | null };
  const fd = handle === null ? -1 : duplicateDescriptor(handle.fd);
  socket.destroy();
  return fd;
}

/** A handle of Node's that wraps a descriptor; no documented interface either. */
interface Handle {
  /** @returns 0, or the system's error */
  open(fd: number): number;
  close(): void;
}

/** What makes handles of TCP and of unix sockets, taken from the first of each. */
const makers = new Map<'tcp' | 'unix', new (type: number) => Handle>();

/** The type of a handle for connections, in both of Node's bindings. */
const HANDLE_SOCKET = 0;

/**
 * Wraps a descriptor in a socket. Left to itself, Node finds out with several system calls, each time, which kind of
 * descriptor it is.
 * @throws if the peer is gone
 */
export function socketOf(fd: number, kind: 'tcp' | 'unix', options: SocketConstructorOpts = {}): Socket {
  const Maker = makers.get(kind);
  if (Maker === undefined) {
    const socket = new Socket({ ...options, fd });
    const { _handle: handle } = socket as unknown as { _handle: Handle | null };
    if (handle !== null) makers.set(kind, handle.constructor as new (type: number) => Handle);
    return socket;
  }
  const handle = new Maker(HANDLE_SOCKET);
  const error = handle.open(fd);
  if (error !== 0) {
    handle.close();
    throw new Error(`A descriptor of a connection cannot be used (${error}).`);
  }
  return new Socket({ ...options, handle } as SocketConstructorOpts);
}

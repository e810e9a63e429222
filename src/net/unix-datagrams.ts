/** Sends datagrams to a Unix socket, which Node cannot: by socket(2) and sendto(2), on Linux. */
import { getSystemErrorName } from 'node:util';
import { loadCLibrary } from '../system/c-library.js';

/** <sys/socket.h> on Linux. */
const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;

/** Bytes of a path in `struct sockaddr_un`, with the zero at its end. */
const PATH_MAX = 108;

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  sendto(
    fd: number,
    bytes: Buffer,
    length: number,
    flags: number,
    address: Buffer,
    addressLength: number,
  ): number;
  errno(): number;
}

export class UnixDatagrams {
  readonly #libc: Libc;
  readonly #address: Buffer;
  readonly #fd: number;

  /**
   * @param path of the socket that they go to; one that begins with `@` has no file
   * @throws if that is no path, or the C library cannot be reached
   */
  constructor(path: string) {
    this.#address = addressOf(path);
    this.#libc = loadLibc();
    this.#fd = this.#libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0) throw this.#error('socket');
  }

  /** Waits if the receiver is busy. @throws if nobody receives */
  send(text: string): void {
    const bytes = Buffer.from(text);
    const { length } = this.#address;
    const sent = this.#libc.sendto(this.#fd, bytes, bytes.length, MSG_NOSIGNAL, this.#address, length);
    if (sent < 0) throw this.#error('sendto');
  }

  #error(call: string): Error {
    return new Error(`${call} ${getSystemErrorName(-this.#libc.errno())}`);
  }
}

function loadLibc(): Libc {
  const { libc, errno } = loadCLibrary();
  return {
    socket: libc.func('int socket(int domain, int type, int protocol)'),
    sendto: libc.func(
      'long sendto(int fd, void* bytes, size_t length, int flags, void* address, unsigned int addressLength)',
    ),
    errno,
  };
}

/** `struct sockaddr_un`, as long as it counts. */
function addressOf(path: string): Buffer {
  const isAbstract = path.startsWith('@');
  const name = Buffer.from(isAbstract ? `\0${path.slice(1)}` : `${path}\0`);
  if (!(isAbstract || path.startsWith('/')))
    throw new Error(`${path} is neither an absolute path nor a name after "@"`);
  if (name.length > PATH_MAX) throw new Error(`${path} is longer than ${PATH_MAX - 1} bytes`);
  const family = Buffer.from(Uint16Array.of(AF_UNIX).buffer);
  return Buffer.concat([family, name]);
}

/** Options of a TCP socket that Node has no method for: set with setsockopt(2), on Linux. */
import type { Socket } from 'node:net';
import { loadCLibrary } from '../system/c-library.js';

export interface TcpKeepAlive {
  readonly idleSeconds: number;
  readonly intervalSeconds: number;
  readonly probes: number;
}

/** <netinet/tcp.h> on Linux. */
const IPPROTO_TCP = 6;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;

type SetOption = (fd: number, option: number, value: number) => void;

let setOption: SetOption | null | undefined;

/** `null` if the C library cannot be reached. */
function loadSetOption(): SetOption | null {
  if (process.platform !== 'linux') return null;
  try {
    const setsockopt = loadCLibrary().libc.func(
      'int setsockopt(int fd, int level, int name, const int *value, unsigned int length)',
    );
    return (fd, option, value) => setsockopt(fd, IPPROTO_TCP, option, [value], 4);
  } catch {
    return null;
  }
}

/**
 * Sets keepalive probes and the time that sent bytes may stay unacknowledged, as far as the system lets us.
 * @param userTimeoutMs milliseconds
 */
export function setTcpOptions(
  socket: Socket,
  keepAlive: TcpKeepAlive | undefined,
  userTimeoutMs: number | undefined,
): void {
  if (keepAlive !== undefined) socket.setKeepAlive(true, keepAlive.idleSeconds * 1000);
  if (keepAlive === undefined && userTimeoutMs === undefined) return;
  setOption ??= loadSetOption();
  // The handle's number is no documented interface, but the only way to it; see `descriptor.ts`.
  const fd = (socket as unknown as { _handle: { fd: number } | null })._handle?.fd ?? -1;
  if (setOption === null || fd < 0) return;
  if (keepAlive !== undefined) {
    setOption(fd, TCP_KEEPINTVL, keepAlive.intervalSeconds);
    setOption(fd, TCP_KEEPCNT, keepAlive.probes);
  }
  if (userTimeoutMs !== undefined) setOption(fd, TCP_USER_TIMEOUT, userTimeoutMs);
}

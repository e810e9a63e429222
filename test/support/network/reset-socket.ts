import type { Socket } from 'node:net';

/**
 * Breaks a connection as when the power fails, as far as the other side can tell.
 *
 * Where the end of our side is on its way, Node cannot reset any more: the socket would get an error, EINVAL, would
 * never close, and its process would never end.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

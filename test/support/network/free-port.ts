/** Ports for the brokers of tests. */
import { createServer, type ListenOptions } from 'node:net';

/**
 * A port nobody listens on, and no other test process is about to. Taken from below the range from which the system
 * gives ports to outgoing connections, so that none of those can take it before the broker does.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if ((await canListen({ port, host: '127.0.0.1' })) && (await claim(port))) return port;
  }
  throw new Error('No free port between 10000 and 32000.');
}

/** A name that only one process can have, until it ends: an abstract socket of Linux. */
function claim(port: number): Promise<boolean> {
  return canListen({ path: `\0midge-test-port-${port}` }, true);
}

function canListen(where: ListenOptions, andStay = false): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(where, () => {
      if (andStay) resolve(true);
      else server.close(() => resolve(true));
    });
    server.unref();
  });
}

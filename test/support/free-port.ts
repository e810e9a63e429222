/** Ports for the brokers of tests. */
import { createServer } from 'node:net';

/**
 * A port nobody listens on. Taken from below the range from which the system gives ports to outgoing connections,
 * so that none of those can take it before the broker does.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    if (await canListen(port)) return port;
  }
  throw new Error('No free port between 10000 and 32000.');
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/**
 * The other end of bridges' connections, without a broker behind it: a server of this process that tells what it sees
 * of each connection.
 */
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createServer as createTlsServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterTest } from '../cleanup.js';
import type { KeyPair } from '../network/certificates.js';
import { freePort } from '../network/free-port.js';
import { patienceMs, within } from '../within.js';
import { type Broker, startBroker } from './broker.js';

/** CONNACK of MQTT 3.1.1, accepted. */
const CONNACK = Buffer.of(0x20, 2, 0, 0);

export interface Peer<S extends Socket> {
  port: number;
  /** @returns the first connection, once it stands and a CONNECT has come over it */
  connected: () => Promise<S>;
}

export function startPeer(t: TestContext): Promise<Peer<Socket>> {
  return listen(t, createServer(), 'connection');
}

/** @param ocspResponse what it staples to the handshake where it is asked to */
export function startTlsPeer(
  t: TestContext,
  { certificate, key }: KeyPair,
  options: TlsOptions = {},
  ocspResponse: Buffer | null = null,
): Promise<Peer<TLSSocket>> {
  const server = createTlsServer({ ...options, cert: readFileSync(certificate), key: readFileSync(key) });
  server.on('OCSPRequest', (_certificate, _issuer, answer) => answer(null, ocspResponse!));
  return listen(t, server, 'secureConnection');
}

async function listen<S extends Socket>(t: TestContext, server: Server, event: string): Promise<Peer<S>> {
  server.on('tlsClientError', () => {});
  const connected = new Promise<S>((resolve) => {
    server.on(event, (socket: S) => {
      afterTest(t, () => socket.destroy());
      socket.on('error', () => {});
      socket.once('data', () => socket.write(CONNACK, () => resolve(socket)));
      socket.resume();
    });
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  afterTest(t, () => server.close());
  return {
    port,
    connected: () => within(patienceMs, connected, () => 'waiting for the connection of a bridge'),
  };
}

/** Starts a broker with a bridge, called by its number, for each of the peers. */
export function startBridges(
  t: TestContext,
  bridges: readonly { port: number; lines: string; host?: string }[],
  env: Record<string, string> = {},
): Promise<Broker> {
  const sections = bridges.map(
    ({ host = 'localhost', port, lines }, i) =>
      `connection ${i}\naddress ${host}:${port}\nremote_clientid gateway-${i}\nrestart_timeout 1\ntopic a out 1\n${lines}`,
  );
  const config = `listener {port} 127.0.0.1\nallow_anonymous true\nsys_interval 1\n${sections.join('\n')}`;
  return startBroker(t, { config, env });
}

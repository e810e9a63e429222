/** What the other side sees of the options that shape a bridge's connection: where from, with which TLS. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import type { TLSSocket, TlsOptions } from 'node:tls';
import { Listener } from '../support/brokers/bridge-pair.js';
import { startBridges, startPeer, startTlsPeer } from '../support/brokers/bridge-peer.js';
import { skipWithout } from '../support/brokers/debian.js';
import { makeFolder } from '../support/cleanup.js';
import { makeCertificates } from '../support/network/certificates.js';

describe('TCP', {
  concurrency: 2,
  skip: process.platform !== 'linux' && 'loopback addresses are Linux',
}, () => {
  test('bridge_bind_address is where it comes from, whatever the address is called', async (t) => {
    const peers = [await startPeer(t), await startPeer(t), await startPeer(t)] as const;
    await startBridges(t, [
      { port: peers[0].port, lines: 'bridge_bind_address 127.0.0.2' },
      { port: peers[1].port, host: '127.0.0.1', lines: 'bridge_bind_address 127.0.0.3' },
      { port: peers[2].port, lines: '' },
    ]);
    const sockets = await Promise.all(peers.map(({ connected }) => connected()));
    assert.deepEqual(
      sockets.map(({ remoteAddress }) => remoteAddress),
      ['127.0.0.2', '127.0.0.3', '127.0.0.1'],
    );
  });

  test('bridge_bind_address of another machine: the reason says so', async (t) => {
    const { port } = await startPeer(t);
    const near = await startBridges(t, [{ port, lines: 'bridge_bind_address 192.0.2.1' }]);
    await near.waitForLog(
      /is not connected: .*this machine has no address 192\.0\.2\.1 \(bridge_bind_address\)/,
    );
  });

  test('bridge_tcp_keepalive: a silent connection is probed', async (t) => {
    const peers = [await startPeer(t), await startPeer(t)] as const;
    await startBridges(t, [
      { port: peers[0].port, lines: 'bridge_tcp_keepalive 300 20 3' },
      { port: peers[1].port, lines: '' },
    ]);
    const [probed, unprobed] = await Promise.all(peers.map(({ connected }) => connected()));
    const seconds = await keepAliveSeconds(probed!);
    assert.ok(seconds !== null && seconds > 200 && seconds <= 300, `the next probe is in ${seconds} s`);
    assert.equal(await keepAliveSeconds(unprobed!), null);
  });
});

/** Seconds until the far end of the connection sends a keepalive probe; `null` where it sends none. */
async function keepAliveSeconds({ remotePort, localPort }: Socket): Promise<number | null> {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  const ends = `:${hex(remotePort!)} 0100007F:${hex(localPort!)}`;
  for (;;) {
    const line = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .find((entry) => entry.includes(ends))!;
    // Columns: slot, local, remote, state, queues, timer; timer 02 is keepalive, then hundredths of a second.
    const [timer, hundredths] = line.trim().split(/\s+/)[5]!.split(':');
    if (timer === '02') return Number.parseInt(hundredths!, 16) / 100;
    if (timer === '00') return null;
    await wait(10); // 01: what it has just sent is not acknowledged yet
  }
}

interface TlsRow {
  name: string;
  lines: string;
  server?: TlsOptions;
  seen: (socket: TLSSocket) => unknown;
  expected: unknown;
}

const protocol = (socket: TLSSocket) => socket.getProtocol();
const cipher = (socket: TLSSocket) => socket.getCipher().name;
const only12: TlsOptions = { maxVersion: 'TLSv1.2' };
const only11: TlsOptions = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' };

const rows: readonly TlsRow[] = [
  {
    name: 'bridge_alpn is asked for',
    lines: 'bridge_alpn mqtt',
    server: { ALPNProtocols: ['other', 'mqtt'] },
    seen: (socket) => socket.alpnProtocol,
    expected: 'mqtt',
  },
  {
    name: 'no bridge_alpn: nothing is asked for',
    lines: '',
    server: { ALPNProtocols: ['other', 'mqtt'] },
    seen: (socket) => socket.alpnProtocol,
    expected: false,
  },
  { name: 'TLS 1.3 where both sides have it', lines: '', seen: protocol, expected: 'TLSv1.3' },
  {
    name: 'no bridge_tls_version: 1.2 will do',
    lines: '',
    server: only12,
    seen: protocol,
    expected: 'TLSv1.2',
  },
  {
    name: 'bridge_tls_version tlsv1.2: 1.3 is better',
    lines: 'bridge_tls_version tlsv1.2',
    seen: protocol,
    expected: 'TLSv1.3',
  },
  {
    name: 'bridge_tls_version tlsv1.1, for a peer that has no other',
    lines: 'bridge_tls_version tlsv1.1',
    server: only11,
    seen: protocol,
    expected: 'TLSv1.1',
  },
  {
    name: 'bridge_ciphers: of TLS 1.2',
    lines: 'bridge_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-SHA',
    server: only12,
    seen: cipher,
    expected: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  },
  {
    name: 'bridge_ciphers leaves TLS 1.3 as it is',
    lines: 'bridge_ciphers ECDHE-ECDSA-CHACHA20-POLY1305',
    seen: protocol,
    expected: 'TLSv1.3',
  },
  {
    name: 'bridge_ciphers_tls1.3: of TLS 1.3',
    lines: 'bridge_ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256',
    seen: cipher,
    expected: 'TLS_CHACHA20_POLY1305_SHA256',
  },
  {
    name: 'bridge_ciphers_tls1.3 leaves TLS 1.2 as it is',
    lines: 'bridge_ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256',
    server: only12,
    seen: protocol,
    expected: 'TLSv1.2',
  },
];

const refusals: readonly (readonly [name: string, lines: string, server: TlsOptions, why: RegExp])[] = [
  ['a peer below bridge_tls_version', 'bridge_tls_version tlsv1.3', only12, /TLS with .* fails: .*version/],
  ['a peer below TLS 1.2', '', { ...only11 }, /TLS with .* fails: .*version/],
  [
    'no cipher in common',
    'bridge_ciphers ECDHE-ECDSA-CHACHA20-POLY1305',
    { ...only12, ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
    /TLS with .* fails: .*(handshake failure|no cipher)/,
  ],
  ['ciphers that do not exist', 'bridge_ciphers NONE-SUCH', {}, /bridge_ciphers/],
  [
    'no such ALPN protocol',
    'bridge_alpn mqtt',
    { ALPNProtocols: ['other'] },
    /TLS with .* fails: .*protocol/,
  ],
];

describe('TLS', { concurrency: 3, skip: skipWithout('/usr/bin/openssl') }, () => {
  test('what the handshake comes to', async (t) => {
    const made = makeCertificates(makeFolder(t));
    const peers = await Promise.all(rows.map(({ server }) => startTlsPeer(t, made.server, server)));
    await startBridges(
      t,
      rows.map(({ lines }, i) => ({
        port: peers[i]!.port,
        lines: `bridge_cafile ${made.authority}\n${lines}`,
      })),
    );
    for (const [i, { name, seen, expected }] of rows.entries()) {
      await t.test(name, async () => assert.equal(seen(await peers[i]!.connected()), expected));
    }
  });

  test('what it cannot come to', async (t) => {
    const made = makeCertificates(makeFolder(t));
    const peers = await Promise.all(refusals.map(([, , server]) => startTlsPeer(t, made.server, server)));
    const near = await startBridges(
      t,
      refusals.map(([, lines], i) => ({
        port: peers[i]!.port,
        lines: `bridge_cafile ${made.authority}\n${lines}`,
      })),
    );
    const listener = await Listener.connect(t, near, ['$SYS/broker/bridge/+/last_error']);
    for (const [i, [name, , , why]] of refusals.entries()) {
      const topic = `$SYS/broker/bridge/${i}/last_error`;
      await t.test(name, () => listener.until(`${why}`, () => why.test(listener.on(topic).at(-1) ?? '')));
    }
  });

  test("bridge_tls_use_os_certs: the system's authorities vouch, and no others", async (t) => {
    const made = makeCertificates(makeFolder(t));
    await expectSystemAuthority(t, made.server, made.authority);
    const peer = await startTlsPeer(t, made.server);
    const lines = 'bridge_tls_use_os_certs true';
    const near = await startBridges(t, [{ port: peer.port, lines }], { SSL_CERT_FILE: made.otherAuthority });
    await near.waitForLog(/is not connected: .*vouches for its certificate/);
  });
});

async function expectSystemAuthority(
  t: TestContext,
  server: { certificate: string; key: string },
  authority: string,
): Promise<void> {
  const peer = await startTlsPeer(t, server);
  const lines = 'bridge_tls_use_os_certs true';
  await startBridges(t, [{ port: peer.port, lines }], { SSL_CERT_FILE: authority });
  assert.equal(protocol(await peer.connected()), 'TLSv1.3');
}

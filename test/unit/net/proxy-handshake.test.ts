/** From the first byte to a header that is read, or to a line about why not. The rest is shown by whole brokers. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import type { TlsSession } from '../../../src/auth/authenticator.js';
import type { Detached, Transport } from '../../../src/broker/ports.js';
import { type ProxyDemands, ProxyHandshake } from '../../../src/net/proxy-handshake.js';
import type { SocketOrigin } from '../../../src/net/socket-transport.js';
import {
  binaryHeader,
  sslTlv,
  tcpHeader,
  textHeader,
  tlv,
  unixHeader,
} from '../../support/network/proxy-headers.js';

const HANDSHAKE_MS = 30_000;
const DESCRIPTOR = 77;

/** A connection from 198.51.100.1:99, which is the proxy. */
class TestTransport implements Transport {
  readonly remoteAddress = '198.51.100.1';
  readonly remotePort = 99;
  readonly listener = 3;
  readonly tls = null;
  hasEnded = false;
  detached: Detached | null = { handover: DESCRIPTOR, unread: new Uint8Array(0) };

  write(): boolean {
    throw new Error('A proxy is not answered.');
  }
  pause(): void {}
  resume(): void {}
  end(): void {
    assert.equal(this.hasEnded, false, 'ended once');
    this.hasEnded = true;
  }
  destroy(): void {
    this.end();
  }
  detach(): Detached | null {
    const { detached } = this;
    this.detached = null;
    return detached;
  }
}

interface Outcome {
  passed?: { rest: string; origin: SocketOrigin; tls: TlsSession | null };
  lines?: readonly string[];
}

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

function begin(demands: Partial<ProxyDemands> = {}) {
  const transport = new TestTransport();
  const outcome: Outcome = {};
  const all = { enableProxyProtocol: 1, proxyProtocolV2RequireTls: false, requireCertificate: false };
  const handshake = new ProxyHandshake(
    transport,
    { ...all, ...demands },
    {
      passed: ({ handover, unread }, origin, tls) => {
        assert.deepEqual([outcome, handover], [{}, DESCRIPTOR]);
        outcome.passed = { rest: Buffer.from(unread).toString(), origin, tls };
      },
      faulted: (_, error) => {
        throw error;
      },
      ended: (listener, lines) => {
        assert.deepEqual([outcome, listener], [{}, transport.listener]);
        outcome.lines = lines;
      },
    },
  );
  const receive = (bytes: Uint8Array | string) => {
    const buffer = Buffer.alloc(2000, 0xee); // larger, and used for something else afterwards
    const length = Buffer.from(bytes as string).copy(buffer);
    handshake.receive(buffer, length);
    buffer.fill(0xdd);
  };
  return { transport, handshake, outcome, receive };
}

const client = { listener: 3, remoteAddress: '192.0.2.1', remotePort: 40_000 };
const header1 = textHeader('192.0.2.1', 40_000);
const header2 = tcpHeader('192.0.2.1', 40_000, tlv(4, 'padding'));

describe('a header', () => {
  test('gives the connection up, with the client’s address and its first bytes', () => {
    for (const [version, header] of [
      [1, header1],
      [2, header2],
    ] as const) {
      const { outcome, receive, transport } = begin({ enableProxyProtocol: version });
      receive(Buffer.concat([header, Buffer.from('PROXY is what the client says')]));
      assert.deepEqual(outcome, {
        passed: { rest: 'PROXY is what the client says', origin: client, tls: null },
      });
      assert.equal(transport.hasEnded, false);
      mock.timers.tick(2 * HANDSHAKE_MS);
    }
  });

  test('may be cut anywhere', () => {
    for (const [version, header] of [
      [1, header1],
      [2, header2],
    ] as const) {
      const bytes = Buffer.concat([header, Buffer.from('abc')]);
      for (let first = 1; first < header.length; first += 1) {
        for (let second = first + 1; second <= bytes.length; second += 1) {
          const { outcome, receive } = begin({ enableProxyProtocol: version });
          let read = '';
          for (const [start, end] of [[0, first], [first, second], [second]]) {
            const piece = bytes.subarray(start, end);
            if (outcome.passed === undefined) receive(piece);
            else read += piece.toString();
          }
          assert.deepEqual(outcome.passed?.origin, client);
          assert.equal(outcome.passed.rest + read, 'abc', `${first}, ${second}`);
        }
      }
      const { outcome, receive } = begin({ enableProxyProtocol: version });
      for (const byte of header) receive(Buffer.from([byte]));
      assert.deepEqual(outcome, { passed: { rest: '', origin: client, tls: null } });
    }
  });

  test('what the transport has not given out yet comes behind it', () => {
    const { outcome, receive, transport } = begin();
    transport.detached = { handover: DESCRIPTOR, unread: Buffer.from(', second') };
    receive(`${header1}first`);
    assert.equal(outcome.passed?.rest, 'first, second');
  });

  test('of an unknown client leaves the proxy’s address', () => {
    const { outcome, receive } = begin();
    receive('PROXY UNKNOWN\r\n');
    const origin = { listener: 3, remoteAddress: '198.51.100.1', remotePort: 99 };
    assert.deepEqual(outcome, { passed: { rest: '', origin, tls: null } });
  });

  test('of a connection that is gone already: no line', () => {
    const { outcome, receive, transport } = begin();
    transport.detached = null;
    receive(header1);
    assert.deepEqual(outcome, { lines: [] });
  });

  test('of the proxy itself: closed, and no line', () => {
    const { outcome, receive, transport } = begin({ enableProxyProtocol: 2 });
    receive(binaryHeader(0x20, 0, Buffer.alloc(0)));
    assert.deepEqual(outcome, { lines: [] });
    assert.ok(transport.hasEnded);
    mock.timers.tick(2 * HANDSHAKE_MS);
  });
});

describe('what the listener asks for', () => {
  const withoutTls = 'Connection from 192.0.2.1:40000 rejected, client did not connect using TLS.';
  const withoutCertificate =
    'Connection from 192.0.2.1:40000 rejected, client did not provide a certificate.';
  const tls = { version: 'TLSv1.3', cipher: 'C' };
  // biome-ignore format: a table
  const clients: [what: string, demands: Partial<ProxyDemands>, tlvs: Uint8Array[], line: string | null][] = [
    ['nothing', {}, [], null],
    ['TLS', { proxyProtocolV2RequireTls: true }, [sslTlv(tls)], null],
    ['TLS', { proxyProtocolV2RequireTls: true }, [], withoutTls],
    ['TLS', { proxyProtocolV2RequireTls: true }, [sslTlv({ ...tls, client: 0 })], withoutTls],
    ['a certificate', { requireCertificate: true }, [sslTlv({ ...tls, client: 5 })], null],
    ['a certificate', { requireCertificate: true }, [], withoutCertificate],
    ['a certificate', { requireCertificate: true }, [sslTlv(tls)], withoutCertificate],
    ['a certificate', { requireCertificate: true }, [sslTlv({ ...tls, client: 5, verify: 10 })], withoutCertificate],
    ['both', { proxyProtocolV2RequireTls: true, requireCertificate: true }, [], withoutTls],
    ['both', { proxyProtocolV2RequireTls: true, requireCertificate: true }, [sslTlv(tls)], withoutCertificate],
    ['both', { proxyProtocolV2RequireTls: true, requireCertificate: true }, [sslTlv({ client: 5 })], null],
  ];
  for (const [what, demands, tlvs, line] of clients) {
    test(`${what}: ${line ?? 'accepted'}`, () => {
      const { outcome, receive, transport } = begin({ enableProxyProtocol: 2, ...demands });
      receive(tcpHeader('192.0.2.1', 40_000, ...tlvs));
      if (line === null) assert.deepEqual(outcome.passed?.origin, client);
      else assert.deepEqual(outcome, { lines: [line] });
      assert.equal(transport.hasEnded, line !== null);
    });
  }

  test('version 1 cannot say anything of it', () => {
    const { outcome, receive } = begin({ proxyProtocolV2RequireTls: true, requireCertificate: true });
    receive(header1);
    assert.deepEqual(outcome.passed?.origin, client);
  });

  test('what the proxy has settled is the session', () => {
    const sessions: [tlv: Uint8Array, session: TlsSession][] = [
      [
        sslTlv({ client: 5, version: 'TLSv1.3', cipher: 'C', commonName: 'ann' }),
        { protocol: 'TLSv1.3', cipher: 'C', identity: { kind: 'proxy', commonName: 'ann' } },
      ],
      [
        sslTlv({ client: 1 }),
        { protocol: '', cipher: '', identity: { kind: 'proxy', commonName: undefined } },
      ],
    ];
    for (const [tlv, session] of sessions) {
      const { outcome, receive } = begin({ enableProxyProtocol: 2 });
      receive(tcpHeader('192.0.2.1', 40_000, tlv));
      assert.deepEqual(outcome.passed?.tls, session);
    }
  });
});

describe('the end before a client is there', () => {
  const peer = 'Client 198.51.100.1 [198.51.100.1:99] disconnected';

  test('a header that is corrupt', () => {
    const { outcome, receive, transport } = begin();
    receive('GET / HTTP/1.1\r\n');
    const lines = ['Connection rejected, corrupt PROXY header.', `${peer}: PROXY header: there is none.`];
    assert.deepEqual(outcome, { lines });
    assert.ok(transport.hasEnded);
    mock.timers.tick(2 * HANDSHAKE_MS);
  });

  test('TLVs that are corrupt, behind an address', () => {
    for (const [header, address, port] of [
      [tcpHeader('192.0.2.1', 40_000, Buffer.from([4])), '192.0.2.1', 40_000],
      [unixHeader('/run/a', Buffer.from([4])), '/run/a', 0],
    ] as const) {
      const { outcome, receive } = begin({ enableProxyProtocol: 2 });
      receive(header);
      const lines = [
        `Connection from ${address}:${port} rejected, corrupt PROXY header.`,
        `Client ${address} [${address}:${port}] disconnected: PROXY header: a TLV goes beyond its end.`,
      ];
      assert.deepEqual(outcome, { lines });
    }
  });

  test('a header that does not become whole in time', () => {
    const { outcome, receive, transport } = begin();
    mock.timers.tick(HANDSHAKE_MS - 1);
    receive(header1.subarray(0, -1));
    assert.deepEqual(outcome, {});
    mock.timers.tick(1);
    assert.deepEqual(outcome, { lines: [`${peer}: exceeded timeout.`] });
    assert.ok(transport.hasEnded);
  });

  test('a peer that goes', () => {
    for (const [reason, said] of [
      ['', 'connection closed by client.'],
      ['bad socket read/write: Connection reset by peer', 'bad socket read/write: Connection reset by peer'],
    ]) {
      const { handshake, outcome } = begin();
      handshake.transportEnded(reason!);
      assert.deepEqual(outcome, { lines: [`${peer}: ${said}`] });
      mock.timers.tick(2 * HANDSHAKE_MS);
    }
  });
});

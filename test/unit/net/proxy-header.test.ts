import assert from 'node:assert/strict';
import { SocketAddress } from 'node:net';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  crc32c,
  type ProxyHeader,
  type ProxyVersion,
  parseProxyHeader,
} from '../../../src/net/proxy-header.js';
import {
  binaryHeader,
  SIGNATURE,
  shortUnixHeader,
  sslTlv,
  tcpHeader,
  textHeader,
  tlv,
  unixHeader,
} from '../../support/network/proxy-headers.js';

/** Bytes of the longest headers. */
const LONGEST = { 1: 107, 2: 516 } as const;

const IPV6_LONGEST = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';

function parsed(version: ProxyVersion, bytes: Uint8Array | string): ProxyHeader {
  const header = parseProxyHeader(version, Buffer.from(bytes as string));
  assert.ok(header !== 'incomplete' && !('fault' in header), JSON.stringify(header));
  return header;
}

/** @returns the clause, and behind it the address if it is known by then */
function fault(version: ProxyVersion, bytes: Uint8Array | string): string {
  const header = parseProxyHeader(version, Buffer.from(bytes as string, 'latin1'));
  assert.ok(header !== 'incomplete' && 'fault' in header, JSON.stringify(header));
  const { source } = header;
  return source === null ? header.fault : `${header.fault} [${source.address}:${source.port}]`;
}

/** A header with its checksum, which comes last. */
function withChecksum(address: string, port: number): Buffer {
  const header = tcpHeader(address, port, tlv(4, 'padding'), tlv(3, Buffer.alloc(4)));
  header.writeUInt32BE(crc32c(header), header.length - 4);
  return header;
}

const headers: [what: string, version: ProxyVersion, bytes: Buffer, source: string | null][] = [
  ['an IPv4 address', 1, textHeader('192.0.2.1', 1), '192.0.2.1:1'],
  ['the highest port', 1, textHeader('255.255.255.255', 65_535), '255.255.255.255:65535'],
  ['an IPv6 address', 1, textHeader('2001:db8::1', 40_000), '2001:db8::1:40000'],
  ['one address has one form', 1, textHeader('2001:0DB8:0:0:0:0:0:1', 40_000), '2001:db8::1:40000'],
  [
    'the longest addresses',
    1,
    Buffer.from(`PROXY TCP6 ${IPV6_LONGEST} ${IPV6_LONGEST} 65535 65535\r\n`),
    `${IPV6_LONGEST}:65535`,
  ],
  ['nothing is known', 1, Buffer.from('PROXY UNKNOWN\r\n'), null],
  [
    'nothing that counts is known',
    1,
    Buffer.from(`PROXY UNKNOWN ${IPV6_LONGEST} ${IPV6_LONGEST} 65535 65535\r\n`),
    null,
  ],
  ['an IPv4 address', 2, tcpHeader('192.0.2.1', 40_000), '192.0.2.1:40000'],
  ['an IPv6 address', 2, tcpHeader('2001:db8::1:2', 40_000), '2001:db8::1:2:40000'],
  ['the address of a unix socket', 2, unixHeader('/run/client'), '/run/client:0'],
  ['the longest path', 2, unixHeader('p'.repeat(108)), `${'p'.repeat(108)}:0`],
  ['no path', 2, unixHeader(''), ':0'],
  ['a path without what would follow it', 2, shortUnixHeader('/run/client'), '/run/client:0'],
  ['a path that ends with a NUL', 2, shortUnixHeader('/run/client\0'), '/run/client:0'],
  ['nothing of a path', 2, shortUnixHeader(''), ':0'],
  [
    'TLVs that nobody knows',
    2,
    tcpHeader('192.0.2.1', 40_000, tlv(1, 'h2'), tlv(0xee, '')),
    '192.0.2.1:40000',
  ],
  ['a checksum', 2, withChecksum('192.0.2.1', 40_000), '192.0.2.1:40000'],
  ['as long as may be', 2, tcpHeader('192.0.2.1', 40_000, tlv(4, Buffer.alloc(485))), '192.0.2.1:40000'],
];

describe('a header', () => {
  for (const [what, version, bytes, source] of headers) {
    test(`version ${version}: ${what}`, () => {
      const header = parsed(version, bytes);
      const known = header.source;
      assert.equal(known === null ? null : `${known.address}:${known.port}`, source);
      assert.deepEqual([header.length, header.command, header.tls], [bytes.length, 'PROXY', null]);
    });
  }

  test('is waited for as long as it is not whole, and what follows does not matter', () => {
    for (const [what, version, bytes] of headers) {
      for (let length = 0; length < bytes.length; length += 1) {
        assert.equal(
          parseProxyHeader(version, bytes.subarray(0, length)),
          'incomplete',
          `${what}, ${length}`,
        );
      }
      for (const behind of ['\r\n', '\x10\x0c', 'PROXY UNKNOWN\r\n', 'x'.repeat(1000)]) {
        const header = parsed(version, Buffer.concat([bytes, Buffer.from(behind)]));
        assert.deepEqual(header, parsed(version, bytes), what);
      }
    }
  });

  test('LOCAL: a check by the proxy itself, whatever else it says', () => {
    const checks = [
      binaryHeader(0x20, 0, Buffer.alloc(0)),
      binaryHeader(0x20, 0, tlv(4, 'x')),
      binaryHeader(0x20, 0x11, Buffer.alloc(12)),
      binaryHeader(0x20, 0x77, Buffer.from('nonsense')),
    ];
    for (const bytes of checks) {
      const header = { length: bytes.length, command: 'LOCAL', source: null, tls: null };
      assert.deepEqual(parsed(2, bytes), header);
      assert.equal(parseProxyHeader(2, bytes.subarray(0, -1)), 'incomplete');
    }
  });
});

describe('a corrupt header', () => {
  const v4 = Buffer.alloc(12, 1);
  const at = ' [192.0.2.1:7]';
  const about = (...tlvs: Uint8Array[]) => tcpHeader('192.0.2.1', 7, ...tlvs);
  const wrongChecksum = withChecksum('192.0.2.1', 7);
  wrongChecksum[wrongChecksum.length - 1]! ^= 1;
  const notUnderstood = (line: string) => `its line "${line}" is not understood`;
  // biome-ignore format: a table
  const faults: [version: ProxyVersion, bytes: Uint8Array | string, fault: string][] = [
    [1, '\x10', 'there is none'],
    [1, 'PROXX', 'there is none'],
    [1, 'proxy TCP4', 'there is none'],
    [1, ' PROXY', 'there is none'],
    [1, '\r', 'it is one of version 2, and the listener expects version 1'],
    [1, SIGNATURE, 'it is one of version 2, and the listener expects version 1'],
    [1, `PROXY UNKNOWN ${'x'.repeat(100)}`, 'its line is too long'],
    [1, `PROXY UNKNOWN ${'x'.repeat(92)}\r\n`, 'its line is too long'],
    [1, 'PROXY\tUNKNOWN\r\n', 'there is none'],
    ...[
      'PROXY ',
      'PROXY UNKNOWNX',
      'PROXY TCP4',
      'PROXY TCP5 192.0.2.1 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3',
      'PROXY TCP4  192.0.2.1 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 ',
      'PROXY TCP4 192.0.2.1 192.0.2.2 0 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 0',
      'PROXY TCP4 192.0.2.1 192.0.2.2 65536 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 65536',
      'PROXY TCP4 192.0.2.1 192.0.2.2 01 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1e3 2',
      'PROXY TCP4 192.0.2.256 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2.01 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2.1 nowhere 1 2',
      'PROXY TCP4 2001:db8::1 192.0.2.2 1 2',
      'PROXY TCP4 192.0.2.1 2001:db8::1 1 2',
      'PROXY TCP6 192.0.2.1 192.0.2.2 1 2',
      'PROXY TCP6 2001:db8::1 192.0.2.2 1 2',
      'PROXY TCP6 2001::db8::1 2001:db8::2 1 2',
      'PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2',
      'PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2',
    ].map((line): [ProxyVersion, string, string] => [1, `${line}\r\n`, notUnderstood(line.trimEnd())]),
    [1, 'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n', notUnderstood('PROXY TCP4 192.0.2.1 192.0.2.2 1 2')],
    [1, 'PROXY UNKNOWN\n', notUnderstood('PROXY UNKNOWN')],
    [1, 'PROXY UNKNOWN \r \r\n', notUnderstood('PROXY UNKNOWN')],
    [2, '\x10', 'there is none'],
    [2, '\r\n\r\nQ', 'there is none'],
    [2, 'P', 'it is one of version 1, and the listener expects version 2'],
    [2, textHeader('192.0.2.1', 7), 'it is one of version 1, and the listener expects version 2'],
    [2, binaryHeader(0x11, 0x11, v4), 'its version and command 0x11 are not known'],
    [2, binaryHeader(0x22, 0x11, v4), 'its version and command 0x22 are not known'],
    [2, binaryHeader(0x31, 0x11, v4), 'its version and command 0x31 are not known'],
    [2, binaryHeader(0x21, 0x00, v4), 'its address family 0x00 is not known'],
    [2, binaryHeader(0x21, 0x01, v4), 'its address family 0x01 is not known'],
    [2, binaryHeader(0x21, 0x12, v4), 'its address family 0x12 is not known'],
    [2, binaryHeader(0x21, 0x41, v4), 'its address family 0x41 is not known'],
    [2, binaryHeader(0x21, 0x11, v4.subarray(1)), 'its addresses are cut off'],
    [2, binaryHeader(0x21, 0x21, Buffer.alloc(35)), 'its addresses are cut off'],
    [2, binaryHeader(0x21, 0x11, Buffer.alloc(0), 501), 'it is too long (501 bytes)'],
    [2, binaryHeader(0x20, 0x00, Buffer.alloc(0), 65_535), 'it is too long (65535 bytes)'],
    [2, about(Buffer.from([4])), `a TLV goes beyond its end${at}`],
    [2, about(Buffer.from([4, 0])), `a TLV goes beyond its end${at}`],
    [2, about(Buffer.from([4, 0, 1])), `a TLV goes beyond its end${at}`],
    [2, about(tlv(4, 'x'), Buffer.from([4, 255, 255, 0])), `a TLV goes beyond its end${at}`],
    [2, about(tlv(0x20, Buffer.alloc(4))), `its TLV about TLS is wrong${at}`],
    [2, about(tlv(0x20, Buffer.from([1, 0, 0, 0, 0, 0x21, 0, 1]))), `its TLV about TLS is wrong${at}`],
    [2, about(tlv(0x20, Buffer.from([0, 0, 0, 0, 0, 0x21]))), `its TLV about TLS is wrong${at}`],
    [2, about(tlv(3, Buffer.alloc(3))), `its CRC32C is wrong${at}`],
    [2, about(tlv(3, Buffer.alloc(5))), `its CRC32C is wrong${at}`],
    [2, wrongChecksum, `its CRC32C is wrong${at}`],
  ];
  for (const [version, bytes, expected] of faults) {
    const shown = typeof bytes === 'string' ? JSON.stringify(bytes) : Buffer.from(bytes).toString('hex');
    test(`version ${version}: ${shown.slice(0, 90)}`, () => {
      assert.equal(fault(version, bytes), expected);
    });
  }

  test('is one as soon as no continuation makes it right', () => {
    assert.equal(fault(1, `PROXY ${'x'.repeat(101)}`), 'its line is too long');
    assert.equal(parseProxyHeader(1, Buffer.from(`PROXY ${'x'.repeat(100)}`)), 'incomplete');
    assert.equal(
      fault(2, binaryHeader(0x21, 0x12, Buffer.alloc(0), 12)),
      'its address family 0x12 is not known',
    );
  });
});

describe('what a proxy says of TLS', () => {
  const tlsOf = (...tlvs: Uint8Array[]) => parsed(2, tcpHeader('192.0.2.1', 7, ...tlvs)).tls;
  const nothing = { version: undefined, cipher: undefined, hasCertificate: false, commonName: undefined };

  test('version, cipher, and the name in a certificate', () => {
    const all = { version: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', commonName: 'Zoë' };
    assert.deepEqual(tlsOf(sslTlv({ client: 5, ...all })), { ...all, hasCertificate: true });
    assert.deepEqual(tlsOf(tlv(4, 'x'), sslTlv({ client: 7, ...all }), tlv(4, 'y')), {
      ...all,
      hasCertificate: true,
    });
    assert.deepEqual(tlsOf(sslTlv()), nothing);
  });

  test('without TLS there is nothing to say', () => {
    assert.equal(tlsOf(sslTlv({ client: 0, commonName: 'ann' })), null);
    assert.equal(tlsOf(sslTlv({ client: 4, commonName: 'ann' })), null);
  });

  test('a certificate that is not verified proves nothing', () => {
    assert.deepEqual(tlsOf(sslTlv({ client: 5, verify: 20, commonName: 'ann' })), nothing);
    assert.deepEqual(
      tlsOf(sslTlv({ client: 1, verify: 0, commonName: 'ann' })),
      nothing,
      'nothing to verify',
    );
  });

  test('a name that is no text is none', () => {
    for (const name of ['an\0n', '\0', Buffer.from('616ec3', 'hex'), Buffer.from([0xff])]) {
      const tls = tlsOf(sslTlv({ client: 5, commonName: name }));
      assert.deepEqual(tls, { ...nothing, hasCertificate: true });
    }
  });
});

test('CRC32C', () => {
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(0)), 0);
});

describe('any', () => {
  const port = fc.integer({ min: 1, max: 65_535 });
  const bytes = fc.uint8Array({ maxLength: 600 });

  test('address comes out as it went in', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), port, bytes, (address, port, behind) => {
        const family = address.includes(':') ? 'ipv6' : 'ipv4';
        // fast-check also writes IPv6 with an IPv4 tail, which the builder of version 2 does not know.
        const plain = new SocketAddress({ address, family }).address;
        const expected = { address: plain, port };
        assert.deepEqual(parsed(1, Buffer.concat([textHeader(plain, port), behind])).source, expected);
        if (plain.includes('.') && family === 'ipv6') return;
        assert.deepEqual(parsed(2, Buffer.concat([tcpHeader(plain, port), behind])).source, expected);
      }),
    );
  });

  test('bytes are an answer, a fault, or less than a header', () => {
    const beginnings = [Buffer.alloc(0), Buffer.from('PROXY '), Buffer.from('PROXY TCP4 '), SIGNATURE];
    const heads = [0x20, 0x21].flatMap((command) =>
      [0x11, 0x21, 0x31].map((family) => Buffer.concat([SIGNATURE, Buffer.from([command, family, 0])])),
    );
    const some = fc
      .tuple(fc.constantFrom(...beginnings, ...heads), bytes)
      .map((parts) => Buffer.concat(parts));
    fc.assert(
      fc.property(fc.constantFrom<ProxyVersion>(1, 2), some, (version, all) => {
        const header = parseProxyHeader(version, all);
        if (header === 'incomplete') assert.ok(all.length < LONGEST[version]);
        else if (!('fault' in header)) {
          assert.ok(header.length <= all.length && header.length <= LONGEST[version]);
          // The header alone says the same, and nothing less says anything.
          assert.deepEqual(parseProxyHeader(version, all.subarray(0, header.length)), header);
          assert.equal(parseProxyHeader(version, all.subarray(0, header.length - 1)), 'incomplete');
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('change to what a checksum covers is seen', () => {
    const header = withChecksum('192.0.2.1', 40_000);
    // Not of types and lengths: what makes another TLV of the checksum takes it out.
    const addresses = fc.integer({ min: 16, max: 27 });
    const padding = fc.integer({ min: 31, max: 37 });
    const checksum = fc.integer({ min: header.length - 4, max: header.length - 1 });
    fc.assert(
      fc.property(fc.oneof(addresses, padding, checksum), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(header);
        changed[at]! ^= change;
        assert.match(fault(2, changed), /^its CRC32C is wrong /);
      }),
    );
  });
});

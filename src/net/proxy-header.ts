/**
 * Parses the header that a proxy puts before the bytes of a client, with the client's address
 * [mosq: enable_proxy_protocol]. Names are those of "The PROXY protocol, versions 1 & 2".
 *
 *   version 1   PROXY TCP4 192.0.2.1 198.51.100.7 40000 1883 CR LF
 *   version 2   signature (12) · version and command (1) · family (1) · length (2) · addresses · TLVs
 */
import { isUtf8 } from 'node:buffer';
import { isIPv4, isIPv6, SocketAddress } from 'node:net';

export type ProxyVersion = 1 | 2;

/** Where the client is. */
export interface ProxySource {
  /** An IP address, or the path of a unix socket: '' if that has none. */
  address: string;
  /** 0 for a unix socket. */
  port: number;
}

/** What the proxy says of its TLS session with the client. */
export interface ProxyTls {
  /** As OpenSSL names it: `TLSv1.3`. */
  version: string | undefined;
  cipher: string | undefined;
  /** The client has shown a certificate, now or when the session began, and the proxy trusts it. */
  hasCertificate: boolean;
  /** Of that certificate. */
  commonName: string | undefined;
}

export interface ProxyHeader {
  /** Bytes of the header; the client's bytes follow. */
  length: number;
  /** LOCAL: the proxy itself connects, to see whether we are there. */
  command: 'LOCAL' | 'PROXY';
  /** `null` if the proxy does not know (UNKNOWN), and with LOCAL. */
  source: ProxySource | null;
  /** `null` if the client does not speak TLS with the proxy, or the proxy says nothing of it. */
  tls: ProxyTls | null;
}

export interface CorruptProxyHeader {
  /** A clause for the log. */
  fault: string;
  /** `null` if it is not known. */
  source: ProxySource | null;
}

const V1_BEGIN = Buffer.from('PROXY ');
/** Bytes of the longest line, with its end. */
const V1_MAX = 107;
const V1_KNOWN = /^PROXY (TCP4|TCP6) ([\da-fA-F:.]+) ([\da-fA-F:.]+) ([1-9]\d{0,4}) ([1-9]\d{0,4})\r\n$/;
const V1_UNKNOWN = /^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/;
const LINE_FEED = 0x0a;
const PORT_MAX = 65_535;

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
/** Bytes up to the addresses. */
const V2_FIXED = 16;
/** Bytes of addresses and TLVs [mosq: 500]. */
const V2_REST_MAX = 500;
const V2_LOCAL = 0x20;
const V2_PROXY = 0x21;
const V2_TCP4 = 0x11;
const V2_TCP6 = 0x21;
const V2_UNIX_STREAM = 0x31;
/** Bytes of both addresses and both ports, by family. */
const V2_ADDRESSES: ReadonlyMap<number, number> = new Map([
  [V2_TCP4, 12],
  [V2_TCP6, 36],
  [V2_UNIX_STREAM, 216],
]);
const UNIX_PATH_MAX = 108;

const PP2_TYPE_CRC32C = 0x03;
const PP2_TYPE_SSL = 0x20;
const PP2_SUBTYPE_SSL_VERSION = 0x21;
const PP2_SUBTYPE_SSL_CN = 0x22;
const PP2_SUBTYPE_SSL_CIPHER = 0x23;
const PP2_CLIENT_SSL = 0x01;
const PP2_CLIENT_CERT_SESS = 0x04;

/**
 * Reads the header at the beginning of `bytes`, which are all that has come; they may go on behind it. Nothing is
 * waited for that could not be right any more, and never for more than the longest header.
 */
export function parseProxyHeader(
  version: ProxyVersion,
  bytes: Buffer,
): ProxyHeader | CorruptProxyHeader | 'incomplete' {
  const [expected, other] = version === 1 ? [V1_BEGIN, V2_SIGNATURE] : [V2_SIGNATURE, V1_BEGIN];
  if (!agrees(bytes, expected)) {
    return corrupt(
      agrees(bytes, other)
        ? `it is one of version ${3 - version}, and the listener expects version ${version}`
        : 'there is none',
    );
  }
  return version === 1 ? parseLine(bytes) : parseBinary(bytes);
}

/** As far as there are bytes. */
function agrees(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.compare(expected, 0, length, 0, length) === 0;
}

function corrupt(fault: string, source: ProxySource | null = null): CorruptProxyHeader {
  return { fault, source };
}

// ---------------------------------------------------------------------------------------------------- version 1

function parseLine(bytes: Buffer): ProxyHeader | CorruptProxyHeader | 'incomplete' {
  const length = bytes.subarray(0, V1_MAX).indexOf(LINE_FEED) + 1;
  if (length === 0) return bytes.length < V1_MAX ? 'incomplete' : corrupt('its line is too long');
  const line = bytes.toString('latin1', 0, length);
  if (V1_UNKNOWN.test(line)) return { length, command: 'PROXY', source: null, tls: null };
  const [, family, address, destination, port, destinationPort] = V1_KNOWN.exec(line) ?? [];
  const isAddress = family === 'TCP4' ? isIPv4 : isIPv6;
  if (
    !isAddress(address ?? '') ||
    !isAddress(destination ?? '') ||
    Number(port) > PORT_MAX ||
    Number(destinationPort) > PORT_MAX
  ) {
    return corrupt(`its line "${line.trimEnd()}" is not understood`);
  }
  const source = { address: family === 'TCP4' ? address! : shortIPv6(address!), port: Number(port) };
  return { length, command: 'PROXY', source, tls: null };
}

/** In the one form that the system writes, for one address is to have one name in logs and limits. */
function shortIPv6(address: string): string {
  return new SocketAddress({ address, family: 'ipv6' }).address;
}

// ---------------------------------------------------------------------------------------------------- version 2

function parseBinary(bytes: Buffer): ProxyHeader | CorruptProxyHeader | 'incomplete' {
  if (bytes.length < V2_FIXED) return 'incomplete';
  const command = bytes[12]!;
  const family = bytes[13]!;
  const rest = bytes.readUInt16BE(14);
  if (command !== V2_LOCAL && command !== V2_PROXY) {
    return corrupt(`its version and command 0x${hex(command)} are not known`);
  }
  if (rest > V2_REST_MAX) return corrupt(`it is too long (${rest} bytes)`);
  const length = V2_FIXED + rest;
  if (command === V2_LOCAL) {
    return bytes.length < length ? 'incomplete' : { length, command: 'LOCAL', source: null, tls: null };
  }
  const fullLength = V2_ADDRESSES.get(family);
  if (fullLength === undefined) return corrupt(`its address family 0x${hex(family)} is not known`);
  // A proxy may leave out what follows a path; of an IP address and its port all has to be there.
  const addressesLength = family === V2_UNIX_STREAM ? Math.min(rest, fullLength) : fullLength;
  if (rest < addressesLength) return corrupt('its addresses are cut off');
  if (bytes.length < length) return 'incomplete';
  const header = bytes.subarray(0, length);
  const source = sourceOf(family, header.subarray(V2_FIXED));
  const tlvs = parseTlvs(header, V2_FIXED + addressesLength);
  if (tlvs === null) return corrupt('a TLV goes beyond its end', source);
  const checksum = tlvs.get(PP2_TYPE_CRC32C);
  if (checksum !== undefined && !isRightChecksum(checksum, header)) {
    return corrupt('its CRC32C is wrong', source);
  }
  const ssl = tlvs.get(PP2_TYPE_SSL);
  const tls = ssl === undefined ? null : parseSsl(ssl);
  if (tls === 'corrupt') return corrupt('its TLV about TLS is wrong', source);
  return { length, command: 'PROXY', source, tls };
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function sourceOf(family: number, addresses: Buffer): ProxySource {
  switch (family) {
    case V2_TCP4:
      return { address: addresses.subarray(0, 4).join('.'), port: addresses.readUInt16BE(8) };
    case V2_TCP6: {
      const groups = addresses.toString('hex', 0, 16).match(/.{4}/g)!;
      return { address: shortIPv6(groups.join(':')), port: addresses.readUInt16BE(32) };
    }
    default: {
      const path = addresses.subarray(0, UNIX_PATH_MAX);
      const end = path.indexOf(0);
      return { address: path.toString('utf8', 0, end < 0 ? path.length : end), port: 0 };
    }
  }
}

/** Values by type, views of `bytes`; of two with one type the last. @returns `null` if one is cut off */
function parseTlvs(bytes: Buffer, start: number): Map<number, Buffer> | null {
  const tlvs = new Map<number, Buffer>();
  let at = start;
  while (at < bytes.length) {
    if (at + 3 > bytes.length) return null;
    const end = at + 3 + bytes.readUInt16BE(at + 1);
    if (end > bytes.length) return null;
    tlvs.set(bytes[at]!, bytes.subarray(at + 3, end));
    at = end;
  }
  return tlvs;
}

function parseSsl(value: Buffer): ProxyTls | null | 'corrupt' {
  if (value.length < 5) return 'corrupt';
  const client = value[0]!;
  const isVerified = value.readUInt32BE(1) === 0;
  const tlvs = parseTlvs(value, 5);
  if (tlvs === null) return 'corrupt';
  if ((client & PP2_CLIENT_SSL) === 0) return null;
  // Zero also stands if there was nothing to verify.
  const hasCertificate = isVerified && (client & PP2_CLIENT_CERT_SESS) !== 0;
  return {
    version: tlvs.get(PP2_SUBTYPE_SSL_VERSION)?.toString('latin1'),
    cipher: tlvs.get(PP2_SUBTYPE_SSL_CIPHER)?.toString('latin1'),
    hasCertificate,
    commonName: hasCertificate ? commonNameIn(tlvs.get(PP2_SUBTYPE_SSL_CN)) : undefined,
  };
}

/** A name that is no text could become another one's as soon as it is made text. */
function commonNameIn(value: Buffer | undefined): string | undefined {
  return value === undefined || !isUtf8(value) || value.includes(0) ? undefined : value.toString();
}

/** @param checksum a view of the checksum in the header, which counts as zero */
function isRightChecksum(checksum: Buffer, header: Buffer): boolean {
  if (checksum.length !== 4) return false;
  const start = checksum.byteOffset - header.byteOffset;
  const blanked = Buffer.from(header);
  blanked.fill(0, start, start + 4);
  return crc32c(blanked) === checksum.readUInt32BE(0);
}

/** The polynomial of Castagnoli [RFC 3309], bit by bit: headers are short. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

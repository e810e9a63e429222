/** Headers as a proxy puts them before the bytes of a client: "The PROXY protocol, versions 1 & 2". */
import { isIPv6 } from 'node:net';

export const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

/** The broker's end, as the proxy saw it. */
const DESTINATION = { 4: '198.51.100.7', 6: '2001:db8::7' } as const;
const DESTINATION_PORT = 1883;

/** Version 1. */
export function textHeader(address: string, port: number): Buffer {
  const version = isIPv6(address) ? 6 : 4;
  return Buffer.from(
    `PROXY TCP${version} ${address} ${DESTINATION[version]} ${port} ${DESTINATION_PORT}\r\n`,
  );
}

/** Version 2, from its parts. @param claimed length that it says it has, where that is not the truth */
export function binaryHeader(
  command: number,
  family: number,
  rest: Uint8Array,
  claimed = rest.length,
): Buffer {
  return Buffer.concat([SIGNATURE, Buffer.from([command, family, claimed >> 8, claimed & 0xff]), rest]);
}

/** Version 2. @param tlvs behind the addresses */
export function tcpHeader(address: string, port: number, ...tlvs: Uint8Array[]): Buffer {
  const version = isIPv6(address) ? 6 : 4;
  const bytesOf = version === 6 ? bytesOfIPv6 : bytesOfIPv4;
  const addresses = [bytesOf(address), bytesOf(DESTINATION[version])];
  const ports = Buffer.from([port >> 8, port & 0xff, DESTINATION_PORT >> 8, DESTINATION_PORT & 0xff]);
  return binaryHeader(0x21, version === 6 ? 0x21 : 0x11, Buffer.concat([...addresses, ports, ...tlvs]));
}

/** As `unixHeader`, from a proxy that sends its path only as far as it goes. */
export function shortUnixHeader(path: string): Buffer {
  return binaryHeader(0x21, 0x31, Buffer.from(path));
}

/** Version 2: a client that came to the proxy through a unix socket. */
export function unixHeader(path: string, ...tlvs: Uint8Array[]): Buffer {
  const addresses = Buffer.alloc(216);
  addresses.write(path);
  return binaryHeader(0x21, 0x31, Buffer.concat([addresses, ...tlvs]));
}

function bytesOfIPv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function bytesOfIPv6(address: string): Buffer {
  const [before, after] = address.split('::').map((side) => (side === '' ? [] : side.split(':')));
  const zeros = Array<string>(8 - before!.length - (after ?? []).length).fill('0');
  const groups = [...before!, ...zeros, ...(after ?? [])];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

export function tlv(type: number, value: Uint8Array | string): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([Buffer.from([type, bytes.length >> 8, bytes.length & 0xff]), bytes]);
}

export interface SslTlv {
  /** Bits: TLS, a certificate in this connection, a certificate in this session. */
  client?: number;
  /** 0 = the certificate is right. */
  verify?: number;
  version?: string;
  commonName?: string | Uint8Array;
  cipher?: string;
}

/** What the proxy says of its TLS with the client. */
export function sslTlv({ client = 1, verify = 0, version, commonName, cipher }: SslTlv = {}): Buffer {
  const fixed = Buffer.from([client, 0, 0, 0, verify]);
  const parts = [
    [0x21, version],
    [0x22, commonName],
    [0x23, cipher],
  ] as const;
  const inner = parts.flatMap(([type, value]) => (value === undefined ? [] : [tlv(type, value)]));
  return tlv(0x20, Buffer.concat([fixed, ...inner]));
}

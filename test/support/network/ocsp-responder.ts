/** An authority with what `openssl ocsp` needs to answer for it. */
import { createPrivateKey, sign as signBytes, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOcspResponse } from '../../../src/net/ocsp-response.js';
import { type KeyPair, makeAuthority, openssl, sign } from './certificates.js';

/** With RSA signatures have the length of the key, so that they can be replaced in place. */
const RSA_KEY = ['-newkey', 'rsa:2048', '-nodes'];
const SIGNATURE_BYTES = 256;

export type Status = 'good' | 'revoked' | 'unknown';

export interface ResponderOptions {
  status?: Status;
  /** The authority, or another one. */
  signer?: KeyPair;
  /** Further arguments of `openssl ocsp`; an answer is good for a day otherwise. */
  args?: readonly string[];
}

export class OcspAuthority {
  readonly authority: KeyPair;
  /** For localhost. */
  readonly server: KeyPair;
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
    this.authority = makeAuthority(folder, 'ocsp-authority', RSA_KEY);
    this.server = sign(folder, this.authority, 'localhost', 'DNS:localhost,IP:127.0.0.1');
  }

  /** Somebody whom the authority has given a certificate. */
  delegate(name: string, extensions: string): KeyPair {
    return sign(this.#folder, this.authority, name, `DNS:${name}`, extensions);
  }

  /** Another authority that has the same name. */
  namesake(): KeyPair {
    return makeAuthority(this.#folder, 'namesake', RSA_KEY, 'ocsp-authority');
  }

  /** An answer about the certificate of `about`, in DER. */
  respond({
    status = 'good',
    signer = this.authority,
    args = ['-ndays', '1'],
  }: ResponderOptions = {}): Buffer {
    const index = join(this.#folder, 'index.txt');
    const request = join(this.#folder, 'request.der');
    const response = join(this.#folder, 'response.der');
    writeFileSync(index, indexLine(this.server, status));
    const issuer = ['-issuer', this.authority.certificate];
    openssl('ocsp', ...issuer, '-cert', this.server.certificate, '-no_nonce', '-reqout', request);
    const signed = ['-CA', this.authority.certificate, '-rsigner', signer.certificate, '-rkey', signer.key];
    openssl('ocsp', '-index', index, ...signed, ...args, '-reqin', request, '-respout', response);
    return readFileSync(response);
  }

  /** The authority's answer as it was ten years ago. */
  respondLongAgo(): Buffer {
    const response = this.respond({ args: ['-ndays', '1', '-resp_no_certs'] });
    const { signed } = readOcspResponse(response);
    const text = Buffer.from(signed).toString('latin1');
    const aged = text.replace(/20(\d)(\d)(?=\d{10}Z)/g, (_, tens, ones) => `20${Number(tens) - 1}${ones}`);
    signed.set(Buffer.from(aged, 'latin1'));
    const key = createPrivateKey(readFileSync(this.authority.key));
    response.set(signBytes('sha256', signed, key), response.length - SIGNATURE_BYTES);
    return response;
  }
}

/** The authority's book: state, end, revocation, number, file, subject. */
function indexLine({ certificate }: KeyPair, status: Status): string {
  if (status === 'unknown') return '';
  const { serialNumber } = new X509Certificate(readFileSync(certificate));
  const state = status === 'good' ? 'V\t301231000000Z\t' : 'R\t301231000000Z\t250101000000Z,keyCompromise';
  return `${state}\t${serialNumber}\tunknown\t/CN=localhost\n`;
}

/** What Node does not tell of certificates, and signatures of their authorities on other things [RFC 5280]. */
import { verify, type X509Certificate } from 'node:crypto';
import { contextTag, DerReader, Tag } from './der.js';

interface SignatureAlgorithm {
  /** `null` if it belongs to the signature. */
  hash: string | null;
  keyType: string;
}

/** By object identifier, in hexadecimal. SHA-1 is not among them: it can be forged. */
const SIGNATURES: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ['2a864886f70d01010b', { hash: 'sha256', keyType: 'rsa' }],
  ['2a864886f70d01010c', { hash: 'sha384', keyType: 'rsa' }],
  ['2a864886f70d01010d', { hash: 'sha512', keyType: 'rsa' }],
  ['2a8648ce3d040302', { hash: 'sha256', keyType: 'ec' }],
  ['2a8648ce3d040303', { hash: 'sha384', keyType: 'ec' }],
  ['2a8648ce3d040304', { hash: 'sha512', keyType: 'ec' }],
  ['2b6570', { hash: null, keyType: 'ed25519' }],
  ['2b6571', { hash: null, keyType: 'ed448' }],
]);

/** What an authority has signed. */
export interface Signed {
  signed: Uint8Array;
  /** Object identifier, as `DerReader.oid`. */
  signatureAlgorithm: string;
  signature: Uint8Array;
}

export function isSigned(
  { signed, signatureAlgorithm, signature }: Signed,
  signer: X509Certificate,
): boolean {
  const algorithm = SIGNATURES.get(signatureAlgorithm);
  try {
    if (algorithm?.keyType !== signer.publicKey.asymmetricKeyType) return false;
    return verify(algorithm!.hash, signed, signer.publicKey, signature);
  } catch {
    return false; // Its key is of a kind that the library does not know.
  }
}

export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
  } catch {
    return false; // Its key is of a kind that the library does not know.
  }
}

export interface CertificateFields {
  serialNumber: Uint8Array;
  /** With tag and length. */
  issuerName: Uint8Array;
  /** The key itself, without its algorithm. */
  publicKey: Uint8Array;
}

/** Fields of which Node has only texts [RFC 5280, 4.1]. */
export function fieldsOf({ raw }: X509Certificate): CertificateFields {
  const fields = new DerReader(raw).enter(Tag.sequence).enter(Tag.sequence);
  fields.enterOptional(contextTag(0)); // version
  const serialNumber = fields.content(Tag.integer);
  fields.content(Tag.sequence); // algorithm of the signature
  const issuerName = fields.element(Tag.sequence);
  fields.content(Tag.sequence); // validity
  fields.content(Tag.sequence); // subject
  const key = fields.enter(Tag.sequence);
  key.content(Tag.sequence); // algorithm
  return { serialNumber, issuerName, publicKey: key.bits() };
}

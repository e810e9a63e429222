/**
 * Whether an OCSP response, stapled to a TLS handshake, proves that a certificate was not revoked
 * [mosq: bridge_require_ocsp] [RFC 6960, 3.2].
 */
import { createHash, X509Certificate } from 'node:crypto';
import { fieldsOf, isIssuedBy, isSigned } from './certificate-fields.js';
import { DerError } from './der.js';
import { type OcspAnswer, type OcspResponse, readOcspResponse } from './ocsp-response.js';

/** Clocks of a responder and of this machine may differ by so much. */
const CLOCK_LEEWAY_MS = 300_000;
/** An answer that does not say when there will be a new one is good for so long. */
const UNLIMITED_MS = 24 * 3600_000;
/** Certificates that a response may bring along: an authority needs one or two. */
const CERTIFICATES_MAX = 8;

/** id-kp-OCSPSigning: an authority lets the holder of this certificate sign responses for it. */
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';

/** By object identifier, in hexadecimal. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['2b0e03021a', 'sha1'],
  ['608648016503040201', 'sha256'],
  ['608648016503040202', 'sha384'],
  ['608648016503040203', 'sha512'],
]);

export interface OcspQuestion {
  certificate: X509Certificate;
  /** Of the authority that has signed the certificate. */
  issuer: X509Certificate;
  nowMs: number;
}

/** @returns why the response proves nothing, a clause for people; `null` if it is a proof */
export function ocspFault(bytes: Uint8Array, question: OcspQuestion): string | null {
  try {
    return faultOf(readOcspResponse(bytes), question);
  } catch (error) {
    if (error instanceof DerError) return `its OCSP response cannot be used: ${error.message}`;
    throw error;
  }
}

function faultOf(response: OcspResponse, question: OcspQuestion): string | null {
  const { issuer, certificate, nowMs } = question;
  if (!isIssuedBy(certificate, issuer)) return 'the authority of its certificate is not known';
  const answer = response.answers.find((one) => isAbout(one, question));
  if (answer === undefined) return 'its OCSP response is about another certificate';
  if (!signers(response, question).some((signer) => isSigned(response, signer))) {
    return 'its OCSP response is not signed by the authority of its certificate';
  }
  if (answer.status === 'revoked') return 'its certificate has been revoked (OCSP)';
  if (answer.status === 'unknown') return 'its authority does not know its certificate (OCSP)';
  if (answer.thisUpdateMs - CLOCK_LEEWAY_MS > nowMs) {
    return 'its OCSP response is not valid yet: is the clock of this machine right?';
  }
  const endMs = answer.nextUpdateMs ?? answer.thisUpdateMs + UNLIMITED_MS;
  return endMs + CLOCK_LEEWAY_MS < nowMs ? 'its OCSP response has expired' : null;
}

/** A certificate is named by its number and by hashes of its issuer's name and key. */
function isAbout(answer: OcspAnswer, { certificate, issuer }: OcspQuestion): boolean {
  const hash = HASHES.get(answer.hashAlgorithm);
  if (hash === undefined) return false;
  const isHash = (hashed: Uint8Array, bytes: Uint8Array) =>
    createHash(hash).update(bytes).digest().equals(hashed);
  const fields = fieldsOf(certificate);
  return (
    Buffer.compare(answer.serialNumber, fields.serialNumber) === 0 &&
    isHash(answer.issuerNameHash, fields.issuerName) &&
    isHash(answer.issuerKeyHash, fieldsOf(issuer).publicKey)
  );
}

/** The issuer, and the responders that it lets sign [RFC 6960, 4.2.2.2]. */
function signers({ certificates }: OcspResponse, { issuer, nowMs }: OcspQuestion): X509Certificate[] {
  const delegates = certificates
    .slice(0, CERTIFICATES_MAX)
    .map(readCertificate)
    .filter((certificate) => certificate !== null)
    .filter((certificate) => certificate.keyUsage?.includes(OCSP_SIGNING) === true)
    .filter(({ validFrom, validTo }) => Date.parse(validFrom) <= nowMs && nowMs <= Date.parse(validTo))
    .filter((certificate) => isIssuedBy(certificate, issuer));
  return [issuer, ...delegates];
}

function readCertificate(der: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null;
  }
}

/**
 * Takes a client's user name from the certificate that a TLS handshake has verified
 * [mosq: use_identity_as_username, use_subject_as_username].
 */
import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';
import type { TlsIdentity } from '../auth/authenticator.js';
import { isIssuedBy } from './certificate-fields.js';
import type { RevocationFault, RevocationLists } from './revocation-list.js';

/** @returns `undefined` if the client has shown no certificate */
export function certificateIdentity(socket: TLSSocket): TlsIdentity | undefined {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  return {
    kind: 'certificate',
    commonName: firstCommonName(socket),
    subject: subjectText(certificate.subject),
  };
}

function firstCommonName(socket: TLSSocket): string | undefined {
  // Node leaves fields out that its types promise: of a certificate without them, and of a socket that is gone.
  const shown = socket.getPeerCertificate() as { subject?: { CN?: string | string[] } } | null;
  const commonNames = shown?.subject?.CN;
  const [first] = Array.isArray(commonNames) ? commonNames : [commonNames];
  // A NUL could make another name of it in a program that ends strings there.
  return first === undefined || first.includes('\0') ? undefined : first;
}

/**
 * The subject in the order and with the escapes of RFC 2253: `CN=test client,OU=Production,O=Server`.
 * @param subject as Node has it: a line each, the first of the certificate first, escaped but for letters beyond
 * ASCII; `undefined` if it has no parts. @returns '' then
 */
export function subjectText(subject: string | undefined): string {
  if (subject === undefined) return '';
  return subject
    .split('\n')
    .reverse()
    .map((part) => part.replaceAll(' + ', '+').replace(/[^\x00-\x7f]+/g, escapeBytes))
    .join(',');
}

function escapeBytes(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) => `\\${byte.toString(16).toUpperCase().padStart(2, '0')}`)
    .join('');
}

/** Codes of a certificate that is right but for its dates. */
const DATE_FAULTS: ReadonlySet<string> = new Set(['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']);

/** Certificates in a chain: more than any authority uses. */
const CHAIN_MAX = 10;

export interface Trust {
  authorities: readonly X509Certificate[];
  /** [mosq: disable_client_cert_date_checks] */
  anyDate: boolean;
  /** [mosq: crlfile] */
  revocations: RevocationLists | null;
}

/**
 * Why the client's certificate is not good enough: a clause for the log, `null` if it is.
 * @param socket of a server that has asked for a certificate
 */
export function certificateFault(socket: TLSSocket, trust: Trust): string | null {
  if (socket.authorized && trust.revocations === null) return null;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return 'it has shown no certificate (require_certificate)';
  const code = faultCode(socket, certificate, trust);
  if (code === null) return null;
  return `its certificate "${subjectText(certificate.subject)}" ${FAULTS.get(code) ?? `is not accepted (${code})`}`;
}

function faultCode(
  { authorized, authorizationError }: TLSSocket,
  certificate: X509Certificate,
  trust: Trust,
): string | null {
  const code = authorized ? null : String(authorizationError);
  const isDateOnly = trust.anyDate && DATE_FAULTS.has(code ?? '') && leadsTo(certificate, trust.authorities);
  if (code !== null && !isDateOnly) return code;
  return trust.revocations === null
    ? null
    : revocationFault(certificate, trust.revocations, trust.authorities);
}

/**
 * The list of the client's own authority has to be there [mosq: crlfile]; further up, those are looked at that are.
 */
function revocationFault(
  client: X509Certificate,
  revocations: RevocationLists,
  authorities: readonly X509Certificate[],
): RevocationFault | null {
  const now = Date.now();
  let link = client;
  for (let length = 0; length < CHAIN_MAX; length += 1) {
    const isClients = link === client;
    const issuer = issuerOf(link, authorities);
    if (issuer === undefined) return isClients ? 'UNABLE_TO_GET_CRL' : null;
    const fault = isClients || revocations.hasListFor(link) ? revocations.faultOf(link, issuer, now) : null;
    if (fault !== null || issuer.fingerprint256 === link.fingerprint256) return fault;
    link = issuer;
  }
  return null;
}

function issuerOf(
  certificate: X509Certificate,
  authorities: readonly X509Certificate[],
): X509Certificate | undefined {
  const known = authorities.find((authority) => isIssuedBy(certificate, authority));
  if (known !== undefined) return known;
  const { issuerCertificate } = certificate;
  return issuerCertificate !== undefined && isIssuedBy(certificate, issuerCertificate)
    ? issuerCertificate
    : undefined;
}

const NO_AUTHORITY = 'is not signed by an authority that is trusted here (cafile, capath)';

const FAULTS: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'has expired'],
  ['CERT_NOT_YET_VALID', 'is not valid yet'],
  ['CERT_REVOKED', 'has been revoked (crlfile)'],
  ['UNABLE_TO_GET_CRL', 'comes from an authority of which there is no list in crlfile'],
  ['CRL_HAS_EXPIRED', 'cannot be checked: the list in crlfile has expired'],
  ['CRL_NOT_YET_VALID', 'cannot be checked: the list in crlfile is not valid yet'],
  ['INVALID_PURPOSE', 'is not meant for clients'],
  ['UNABLE_TO_GET_ISSUER_CERT', NO_AUTHORITY],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', NO_AUTHORITY],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', NO_AUTHORITY],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', NO_AUTHORITY],
  ['SELF_SIGNED_CERT_IN_CHAIN', NO_AUTHORITY],
]);

/**
 * Whether the certificate leads to an authority. The library names only the last fault of a chain, so behind a date
 * that does not matter another fault may hide that does.
 */
function leadsTo(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let link: X509Certificate | undefined = certificate;
  for (let length = 0; link !== undefined && length < CHAIN_MAX; length += 1) {
    const child: X509Certificate = link;
    if (authorities.some((authority) => authority.ca && isIssuedBy(child, authority))) return true;
    const issuer: X509Certificate | undefined = child.issuerCertificate;
    link = issuer?.ca && isIssuedBy(child, issuer) ? issuer : undefined;
  }
  return false;
}

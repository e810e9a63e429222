/**
 * Lists of revoked certificates [mosq: crlfile] [RFC 5280, 5]. The library can look at a list for every certificate of a
 * chain or for none; `crlfile` usually has that of the clients' own authority only. So they are looked at here.
 */
import type { X509Certificate } from 'node:crypto';
import { fieldsOf, isSigned, type Signed } from './certificate-fields.js';
import { contextTag, DerError, DerReader, Tag } from './der.js';

interface RevocationList extends Signed {
  /** In DER, as hexadecimal digits; the same for serial numbers. */
  issuerName: string;
  thisUpdateMs: number;
  nextUpdateMs: number | undefined;
  serialNumbers: ReadonlySet<string>;
}

/** Why a certificate is not good enough, by the library's names. */
export type RevocationFault = 'CERT_REVOKED' | 'UNABLE_TO_GET_CRL' | 'CRL_HAS_EXPIRED' | 'CRL_NOT_YET_VALID';

export class RevocationLists {
  readonly #lists: readonly RevocationList[];
  /** Issuers that have signed a list, by the list; a signature on a long list takes its time to check. */
  readonly #signers = new WeakMap<RevocationList, string>();

  /**
   * @param blocks the lists, in PEM
   * @throws DerError
   */
  constructor(blocks: readonly string[]) {
    const newestFirst = (a: RevocationList, b: RevocationList) => b.thisUpdateMs - a.thisUpdateMs;
    this.#lists = blocks.map((block) => readList(derOf(block))).sort(newestFirst);
  }

  /** Whether there is a list of the certificate's issuer, whatever it says. */
  hasListFor(certificate: X509Certificate): boolean {
    const issuerName = hex(fieldsOf(certificate).issuerName);
    return this.#lists.some((list) => list.issuerName === issuerName);
  }

  /** @param issuer of the certificate, whose signature on it is checked already */
  faultOf(certificate: X509Certificate, issuer: X509Certificate, nowMs: number): RevocationFault | null {
    const { issuerName, serialNumber } = fieldsOf(certificate);
    const name = hex(issuerName);
    const list = this.#lists.find((one) => one.issuerName === name && this.#isBy(one, issuer));
    if (list === undefined) return 'UNABLE_TO_GET_CRL';
    if (list.serialNumbers.has(hex(serialNumber))) return 'CERT_REVOKED';
    if (list.thisUpdateMs > nowMs) return 'CRL_NOT_YET_VALID';
    return (list.nextUpdateMs ?? nowMs) < nowMs ? 'CRL_HAS_EXPIRED' : null;
  }

  #isBy(list: RevocationList, issuer: X509Certificate): boolean {
    if (this.#signers.get(list) === issuer.fingerprint256) return true;
    if (!isSigned(list, issuer)) return false;
    this.#signers.set(list, issuer.fingerprint256);
    return true;
  }
}

/** issuingDistributionPoint: of which kinds of certificates the list is; a critical extension that may be passed over. */
const DISTRIBUTION_POINT = '551d1c';

function readList(bytes: Uint8Array): RevocationList {
  const outer = new DerReader(bytes);
  const list = outer.enter(Tag.sequence);
  outer.finish();
  const signed = list.element(Tag.sequence);
  const signatureAlgorithm = list.algorithm();
  const signature = list.bits();
  list.finish();
  const fields = new DerReader(signed).enter(Tag.sequence);
  if (fields.nextTag === Tag.integer) fields.content(Tag.integer); // version
  fields.content(Tag.sequence); // algorithm of the signature, once more
  const issuerName = hex(fields.element(Tag.sequence));
  const thisUpdateMs = fields.timeOfCertificates();
  const hasEnd = fields.nextTag === Tag.utcTime || fields.nextTag === Tag.generalizedTime;
  const nextUpdateMs = hasEnd ? fields.timeOfCertificates() : undefined;
  const serialNumbers = new Set<string>();
  const revoked = fields.enterOptional(Tag.sequence);
  while (revoked?.isAtEnd === false) serialNumbers.add(readEntry(revoked.enter(Tag.sequence)));
  refuseCritical(fields.enterOptional(contextTag(0))?.enter(Tag.sequence));
  fields.finish();
  return { signed, signatureAlgorithm, signature, issuerName, thisUpdateMs, nextUpdateMs, serialNumbers };
}

function readEntry(entry: DerReader): string {
  const serialNumber = hex(entry.content(Tag.integer));
  entry.timeOfCertificates();
  refuseCritical(entry.enterOptional(Tag.sequence));
  entry.finish();
  return serialNumber;
}

/** A list of changes only, or of another authority's certificates, says so in a critical extension. */
function refuseCritical(extensions: DerReader | undefined): void {
  while (extensions?.isAtEnd === false) {
    const extension = extensions.enter(Tag.sequence);
    const oid = extension.oid();
    if (extension.nextTag !== Tag.boolean || oid === DISTRIBUTION_POINT) continue;
    throw new DerError('it has an extension that must be understood');
  }
}

function derOf(block: string): Buffer {
  return Buffer.from(block.replaceAll(/-----.*?-----|\s/g, ''), 'base64');
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Parses an OCSP response [RFC 6960, 4.2.1]; `ocsp-proof.ts` decides whether it proves anything. */
import { contextTag, DerError, DerReader, Tag } from './der.js';

export interface OcspResponse {
  /** What is signed: everything the answers say. */
  signed: Uint8Array;
  /** Object identifier, as `DerReader.oid`. */
  signatureAlgorithm: string;
  signature: Uint8Array;
  /** Certificates that came along, in DER. */
  certificates: Uint8Array[];
  answers: OcspAnswer[];
}

/** What the responder says about one certificate. */
export interface OcspAnswer {
  /** Object identifier of the hash in which the issuer is named. */
  hashAlgorithm: string;
  issuerNameHash: Uint8Array;
  issuerKeyHash: Uint8Array;
  serialNumber: Uint8Array;
  status: 'good' | 'revoked' | 'unknown';
  thisUpdateMs: number;
  nextUpdateMs: number | undefined;
}

/** id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1 */
const BASIC_RESPONSE = '2b0601050507300101';

/** OCSPResponseStatus, other than 0, successful. */
const REFUSALS: ReadonlyMap<number, string> = new Map([
  [1, 'malformed request'],
  [2, 'internal error'],
  [3, 'try later'],
  [5, 'signature required'],
  [6, 'unauthorized'],
]);

/** Tags of CertStatus: `good` and `unknown` are empty, `revoked` says when and why. */
const STATUSES: ReadonlyMap<number, OcspAnswer['status']> = new Map([
  [0x80, 'good'],
  [0xa1, 'revoked'],
  [0x82, 'unknown'],
]);

/** @throws DerError */
export function readOcspResponse(bytes: Uint8Array): OcspResponse {
  const outer = new DerReader(bytes);
  const response = outer.enter(Tag.sequence);
  outer.finish();
  const [status = -1] = response.content(Tag.enumerated);
  if (status !== 0) throw new DerError(`the responder only said "${REFUSALS.get(status) ?? status}"`);
  const explicit = response.enter(contextTag(0));
  response.finish();
  const typed = explicit.enter(Tag.sequence);
  explicit.finish();
  if (typed.oid() !== BASIC_RESPONSE) throw new DerError('it is of an unknown kind');
  const basic = new DerReader(typed.content(Tag.octetString));
  typed.finish();
  return readBasicResponse(basic);
}

function readBasicResponse(outer: DerReader): OcspResponse {
  const basic = outer.enter(Tag.sequence);
  outer.finish();
  const signed = basic.element(Tag.sequence);
  const signatureAlgorithm = basic.algorithm();
  const signature = basic.bits();
  const certificates: Uint8Array[] = [];
  const list = basic.enterOptional(contextTag(0))?.enter(Tag.sequence);
  while (list?.isAtEnd === false) certificates.push(list.element(Tag.sequence));
  basic.finish();
  return { signed, signatureAlgorithm, signature, certificates, answers: readAnswers(signed) };
}

function readAnswers(signed: Uint8Array): OcspAnswer[] {
  const data = new DerReader(signed).enter(Tag.sequence);
  data.enterOptional(contextTag(0)); // The version, which has stayed 1.
  // Who the responder is, by name or by key; the signature tells.
  data.enter(data.nextTag === contextTag(1) ? contextTag(1) : contextTag(2));
  data.time(); // When it was made; the answers have times of their own.
  const list = data.enter(Tag.sequence);
  const answers: OcspAnswer[] = [];
  while (!list.isAtEnd) answers.push(readAnswer(list.enter(Tag.sequence)));
  refuseCritical(data.enterOptional(contextTag(1)));
  data.finish();
  return answers;
}

function readAnswer(answer: DerReader): OcspAnswer {
  const id = answer.enter(Tag.sequence);
  const named = {
    hashAlgorithm: id.algorithm(),
    issuerNameHash: id.content(Tag.octetString),
    issuerKeyHash: id.content(Tag.octetString),
    serialNumber: id.content(Tag.integer),
  };
  id.finish();
  const tag = answer.nextTag ?? 0;
  const status = STATUSES.get(tag);
  if (status === undefined) throw new DerError('it has an unknown status');
  answer.content(tag);
  const thisUpdateMs = answer.time();
  const nextUpdateMs = answer.enterOptional(contextTag(0))?.time();
  refuseCritical(answer.enterOptional(contextTag(1)));
  answer.finish();
  return { ...named, status, thisUpdateMs, nextUpdateMs };
}

/** Extensions may be passed over, unless they say that they may not [RFC 6960, 4.4]. */
function refuseCritical(explicit: DerReader | undefined): void {
  const extensions = explicit?.enter(Tag.sequence);
  while (extensions?.isAtEnd === false) {
    const extension = extensions.enter(Tag.sequence);
    extension.oid();
    if (extension.nextTag === Tag.boolean) throw new DerError('it has an extension that must be understood');
  }
}

/** Explains to an operator why a bridge could not connect. */
import type { BridgeAddress } from '../config/option-types.js';
import { DialError } from '../net/dial.js';
import { cLibraryErrorText } from '../system/system-error.js';

const SYSTEM_CLAUSES: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'refuses connections: nothing listens there'],
  ['ECONNRESET', 'breaks the connection off'],
  ['EHOSTUNREACH', 'cannot be reached: no route to the host'],
  ['ENETUNREACH', 'cannot be reached: there is no network'],
  ['ETIMEDOUT', 'does not answer'],
]);

const TLS_CLAUSES: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['CERT_NOT_YET_VALID', 'its certificate is not valid yet: is the clock of this machine right?'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is signed by itself and not in bridge_cafile'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another name'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'no authority in bridge_cafile vouches for its certificate'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'no authority in bridge_cafile vouches for its certificate'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'no authority in bridge_cafile vouches for its certificate'],
]);

/** @returns a clause */
export function dialFailureText(
  error: Error,
  { host, port }: BridgeAddress,
  bindAddress: string | undefined,
): string {
  if (!(error instanceof DialError)) return error.message;
  const cause = error.lastCause;
  const code = cause.code ?? '';
  if (code === 'EADDRNOTAVAIL' && bindAddress !== undefined) {
    return `this machine has no address ${bindAddress} (bridge_bind_address)`;
  }
  if (error.stage === 'lookup') return `the name ${host} does not resolve (${code})`;
  if (error.stage === 'tls') {
    const clause = TLS_CLAUSES.get(code) ?? SYSTEM_CLAUSES.get(code) ?? cause.message;
    return `TLS with ${host}:${port} fails: ${clause}`;
  }
  return `${host}:${port} ${SYSTEM_CLAUSES.get(code) ?? `cannot be reached: ${cLibraryErrorText(cause)}`}`;
}

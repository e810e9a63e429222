/**
 * Makes Node's TLS options of a listener's options and files, with certificates or pre-shared keys. Main does so to
 * check them, the workers to serve with them.
 *
 * The parts are tried one by one, so that the error names the option that is wrong [mosq: TLS options].
 */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { ListenerSettings } from '../config/settings.js';
import { DerError } from './der.js';
import { RevocationLists } from './revocation-list.js';

export type TlsListener = Pick<
  ListenerSettings,
  | 'cafile'
  | 'capath'
  | 'certfile'
  | 'ciphers'
  | 'ciphersTls13'
  | 'crlfile'
  | 'keyfile'
  | 'pskHint'
  | 'requireCertificate'
  | 'tlsVersion'
>;

/** Text of a file, or of the certificates of a folder, by its path. */
export type TlsFiles = ReadonlyMap<string, string>;

/** Mosquitto's default [mosq: ciphers], which includes the ciphers of pre-shared keys. */
const DEFAULT_CIPHERS = 'DEFAULT:!aNULL:!eNULL:!LOW:!EXPORT:!SSLv2:@STRENGTH';
const DEFAULT_SUITES = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';

/** Lowers OpenSSL 3's security level, which does not allow TLS 1.1, if the configuration asks [mosq: tls_version]. */
const WITH_OLD_VERSIONS = ':@SECLEVEL=0';

const MIN_VERSIONS = { 'tlsv1.1': 'TLSv1.1', 'tlsv1.2': 'TLSv1.2', 'tlsv1.3': 'TLSv1.3' } as const;

/**
 * Options for `tls.createServer`, without those that depend on the connection.
 * @returns the error line of the first part that cannot be used
 */
export function tlsOptions(listener: TlsListener, files: TlsFiles): TlsOptions | { fault: string } {
  const options = joined([...partsWithoutFiles(listener), ...partsOfFiles(listener, files)]);
  return 'fault' in options ? options : { ...options, ...handshakeOptions(listener) };
}

/** @returns the error line of the first option that OpenSSL refuses, as far as no file is needed to know it */
export function tlsFaultWithoutFiles(listener: TlsListener): string | null {
  const options = joined(partsWithoutFiles(listener));
  return 'fault' in options ? options.fault : null;
}

function joined(parts: readonly Part[]): SecureContextOptions | { fault: string } {
  let options: SecureContextOptions = {};
  for (const { part, fault, unusable } of parts) {
    options = { ...options, ...part };
    const reason = unusable ?? faultOf(options);
    if (reason === KEY_MISMATCH) return { fault: 'Error: Server certificate/key are inconsistent.' };
    if (reason !== null) return { fault: `${fault} (${reason})` };
  }
  return options;
}

interface Part {
  part: SecureContextOptions;
  /** Mosquitto's line if it does not work. */
  fault: string;
  /** Why it cannot be used, if the library would not notice. */
  unusable?: string | null;
}

const KEY_MISMATCH = 'key values mismatch';

function partsWithoutFiles(listener: TlsListener): Part[] {
  const { pskHint } = listener;
  const ciphers = listener.ciphers ?? DEFAULT_CIPHERS;
  const suites = listener.ciphersTls13 ?? DEFAULT_SUITES;
  const oldVersions = listener.tlsVersion === 'tlsv1.1' ? WITH_OLD_VERSIONS : '';
  return [
    {
      part: {
        minVersion: MIN_VERSIONS[listener.tlsVersion ?? 'tlsv1.2'],
        // The keys belong to ciphers that TLS 1.3 does not have [mosq: psk_hint].
        maxVersion: pskHint === undefined ? 'TLSv1.3' : 'TLSv1.2',
      },
      fault: `Error: Unsupported tls_version "${listener.tlsVersion}".`,
    },
    {
      part: { ciphers: `${ciphers}${oldVersions}` },
      fault: `Error: Unable to set TLS ciphers. Check cipher list "${ciphers}".`,
    },
    {
      part: { ciphers: `${suites}:${ciphers}${oldVersions}` },
      fault: `Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "${suites}".`,
      unusable: suites.split(':').every((suite) => suite.startsWith('TLS_')) ? null : 'no cipher match',
    },
  ];
}

function partsOfFiles({ cafile, capath, certfile, keyfile, crlfile }: TlsListener, files: TlsFiles): Part[] {
  const parts: Part[] = [];
  if (certfile === undefined || keyfile === undefined) return parts;
  // Without a list of authorities Node would trust those of the Web.
  const ca = [cafile, capath].flatMap((file) => (file === undefined ? [] : certificatesIn(files.get(file)!)));
  parts.push({
    part: { ca },
    fault: `Error: Unable to load CA certificates. Check cafile "${cafile ?? capath}".`,
    unusable: cafile === undefined ? null : certificatesFault(files.get(cafile)!),
  });
  if (crlfile !== undefined) {
    parts.push({
      part: {}, // see `revocationListsIn`
      fault: `Error: Unable to load certificate revocation file "${crlfile}". Check crlfile.`,
      unusable: revocationFault(files.get(crlfile)!),
    });
  }
  parts.push(
    {
      part: { cert: files.get(certfile)! },
      fault: `Error: Unable to load server certificate "${certfile}". Check certfile.`,
    },
    {
      part: { key: files.get(keyfile)! },
      fault: `Error: Unable to load server key file "${keyfile}". Check keyfile.`,
    },
  );
  return parts;
}

/** @returns `null` if the library takes the options */
function faultOf(options: SecureContextOptions): string | null {
  try {
    createSecureContext(options);
    return null;
  } catch (error) {
    return opensslReason(error);
  }
}

/** `no start line` of `error:0480006C:PEM routines::no start line`. */
export function opensslReason(error: unknown): string {
  const { reason, message } = error as Error & { reason?: string };
  return reason ?? message;
}

function handshakeOptions({ certfile, pskHint, requireCertificate }: TlsListener): TlsOptions {
  const { SSL_OP_NO_COMPRESSION, SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_TICKET } = constants;
  const asksForCertificate = certfile !== undefined && requireCertificate;
  // A resumed session would not be looked up in the list of revoked certificates, nor tell the identity of its key.
  const secureOptions =
    SSL_OP_NO_COMPRESSION |
    SSL_OP_NO_RENEGOTIATION |
    (asksForCertificate || pskHint !== undefined ? SSL_OP_NO_TICKET : 0);
  return {
    secureOptions,
    honorCipherOrder: true,
    requestCert: asksForCertificate,
    // It is looked at when the handshake is over: then the log can say whose it was.
    rejectUnauthorized: false,
    ...(pskHint !== undefined && { pskIdentityHint: pskHint }),
  };
}

/**
 * The lists of a PEM text that is the `crlfile` of a listener.
 * @throws DerError
 */
export function revocationListsIn(text: string): RevocationLists {
  return new RevocationLists(blocksIn(text, 'X509 CRL'));
}

function revocationFault(text: string): string | null {
  if (blocksIn(text, 'X509 CRL').length === 0) return 'there is no list in it';
  try {
    revocationListsIn(text);
    return null;
  } catch (error) {
    if (error instanceof DerError) return error.message;
    throw error;
  }
}

/** The certificates of a PEM text. */
export function certificatesIn(text: string): string[] {
  return blocksIn(text, '(?:TRUSTED |X509 )?CERTIFICATE');
}

function blocksIn(text: string, label: string): string[] {
  return text.match(new RegExp(`-----BEGIN ${label}-----[^]*?-----END ${label}-----`, 'g')) ?? [];
}

/** @returns why a file that has to have certificates cannot be used, `null` if it can */
function certificatesFault(text: string): string | null {
  const blocks = certificatesIn(text);
  if (blocks.length === 0) return 'there is no certificate in it';
  try {
    for (const block of blocks) new X509Certificate(block);
    return null;
  } catch (error) {
    return opensslReason(error);
  }
}

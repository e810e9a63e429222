/**
 * Makes Node's TLS options of a listener's options and files, with certificates or pre-shared keys. Main does so to
 * check them, the workers to serve with them.
 *
 * The parts are tried one by one, so that the error names the option that is wrong [mosq: TLS options].
 */
import { constants, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { ListenerSettings, Places } from '../config/settings.js';
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

type TlsOption =
  | 'cafile'
  | 'capath'
  | 'certfile'
  | 'ciphers'
  | 'ciphers_tls1.3'
  | 'crlfile'
  | 'keyfile'
  | 'tls_version';

/** What is right for each option. */
const HELP: Readonly<Record<TlsOption, string>> = {
  cafile: "'cafile' names a file of certificates in PEM, -----BEGIN CERTIFICATE-----.",
  capath:
    "'capath' names a folder of certificates in PEM, which have the names that 'openssl rehash' gives them.",
  certfile:
    "'certfile' names the server's certificate in PEM, -----BEGIN CERTIFICATE-----, with those of the authorities between it and a root behind it.",
  ciphers:
    "'ciphers' takes names that 'openssl ciphers' shows, such as ECDHE-RSA-AES256-GCM-SHA384, with ':' between them.",
  'ciphers_tls1.3': `'ciphers_tls1.3' takes cipher suites of TLS 1.3 with ':' between them, by default ${DEFAULT_SUITES}.`,
  crlfile: "'crlfile' names a file with lists of revoked certificates in PEM, -----BEGIN X509 CRL-----.",
  keyfile:
    "'keyfile' names the private key of 'certfile' in PEM, -----BEGIN PRIVATE KEY-----, without a passphrase.",
  tls_version: "'tls_version' takes tlsv1.3, tlsv1.2 or tlsv1.1, of which this OpenSSL may lack the older.",
};

const PAIR_HELP =
  "The key in 'keyfile' belongs to another certificate: 'openssl pkey -pubout' of the key and 'openssl x509 -pubkey' of the certificate show whether they are a pair.";

/** Why a listener cannot have TLS. */
export interface TlsFault {
  /** Mosquitto's line. */
  error: string;
  /** The options that are wrong, or wrong together. */
  options: readonly TlsOption[];
}

/** The fault as lines of the log: what was found, where, and what is right. */
export function tlsFaultLines({ error, options }: TlsFault, { givenAt }: { givenAt: Places }): string[] {
  const places = options.flatMap((option) => givenAt[option] ?? []);
  return [
    error,
    ...(places.length === 0 ? [] : [`Error found at ${places.join(' and ')}.`]),
    options.length === 1 ? HELP[options[0]!] : PAIR_HELP,
  ];
}

/**
 * Options for `tls.createServer`, without those that depend on the connection.
 * @returns the fault of the first part that cannot be used
 */
export function tlsOptions(listener: TlsListener, files: TlsFiles): TlsOptions | { fault: TlsFault } {
  const options = joined([...partsWithoutFiles(listener), ...partsOfFiles(listener, files)]);
  return 'fault' in options ? options : { ...options, ...handshakeOptions(listener) };
}

/** @returns the fault of the first option that OpenSSL refuses, as far as no file is needed to know it */
export function tlsFaultWithoutFiles(listener: TlsListener): TlsFault | null {
  const options = joined(partsWithoutFiles(listener));
  return 'fault' in options ? options.fault : null;
}

function joined(parts: readonly Part[]): SecureContextOptions | { fault: TlsFault } {
  let options: SecureContextOptions = {};
  for (const { option, part, error, unusable } of parts) {
    options = { ...options, ...part };
    const reason = unusable ?? faultOf(options);
    if (reason === KEY_MISMATCH) {
      const inconsistent = 'Error: Server certificate/key are inconsistent.';
      return { fault: { error: inconsistent, options: ['certfile', 'keyfile'] } };
    }
    if (reason !== null) return { fault: { error: `${error} (${reason})`, options: [option] } };
  }
  return options;
}

interface Part {
  option: TlsOption;
  part: SecureContextOptions;
  /** Mosquitto's line if it does not work. */
  error: string;
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
      option: 'tls_version',
      part: {
        minVersion: MIN_VERSIONS[listener.tlsVersion ?? 'tlsv1.2'],
        // The keys belong to ciphers that TLS 1.3 does not have [mosq: psk_hint].
        maxVersion: pskHint === undefined ? 'TLSv1.3' : 'TLSv1.2',
      },
      error: `Error: Unsupported tls_version "${listener.tlsVersion}".`,
    },
    {
      option: 'ciphers',
      part: { ciphers: `${ciphers}${oldVersions}` },
      error: `Error: Unable to set TLS ciphers. Check cipher list "${ciphers}".`,
    },
    {
      option: 'ciphers_tls1.3',
      part: { ciphers: `${suites}:${ciphers}${oldVersions}` },
      error: `Error: Unable to set TLS 1.3 ciphersuites. Check cipher_tls13 list "${suites}".`,
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
    option: cafile === undefined ? 'capath' : 'cafile',
    part: { ca },
    error: `Error: Unable to load CA certificates. Check cafile "${cafile ?? capath}".`,
    unusable: cafile === undefined ? null : certificatesFault(files.get(cafile)!),
  });
  if (crlfile !== undefined) {
    parts.push({
      option: 'crlfile',
      part: {}, // see `revocationListsIn`
      error: `Error: Unable to load certificate revocation file "${crlfile}". Check crlfile.`,
      unusable: revocationFault(files.get(crlfile)!),
    });
  }
  parts.push(
    {
      option: 'certfile',
      part: { cert: files.get(certfile)! },
      error: `Error: Unable to load server certificate "${certfile}". Check certfile.`,
    },
    {
      option: 'keyfile',
      part: { key: files.get(keyfile)! },
      error: `Error: Unable to load server key file "${keyfile}". Check keyfile.`,
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

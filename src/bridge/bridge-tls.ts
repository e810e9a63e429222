/** The `bridge_*` TLS options as Node's TLS takes them. Files are read at each connection. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
} from 'node:tls';
import { isDeepStrictEqual } from 'node:util';
import { appendAll } from '../base/append-all.js';
import { foreignEncoding } from '../base/foreign-encoding.js';
import type { OptionName } from '../config/option-schema.js';
import type { BridgeSettings } from '../config/settings.js';
import type { TlsTarget } from '../net/dial-tls.js';
import { OS_CERTIFICATE_FILES } from '../net/os-certificates.js';
import { opensslReason } from '../net/tls-context.js';
import { cLibraryErrorText } from '../system/system-error.js';

/** The lowest version to take. */
const VERSIONS: Readonly<Record<NonNullable<BridgeSettings['bridgeTlsVersion']>, SecureVersion>> = {
  'tlsv1.1': 'TLSv1.1',
  'tlsv1.2': 'TLSv1.2',
  'tlsv1.3': 'TLSv1.3',
};

/** Ciphers with a pre-shared key, which OpenSSL does not offer unasked. */
const PSK_CIPHERS = 'PSK';

/** Lowers the security level of OpenSSL 3, which does not allow TLS 1.1, if the configuration asks for it. */
const WITH_OLD_VERSIONS = '@SECLEVEL=0';

/** Names under which OpenSSL finds certificates in a directory, such as `f88ed8fa.0`. */
const HASHED_NAME = /^[0-9a-f]{8}\.\d+$/;

/** @returns `undefined` for a bridge without TLS @throws Error whose message is a clause for people */
export async function bridgeTlsTarget(settings: BridgeSettings): Promise<TlsTarget | undefined> {
  const { bridgeIdentity: identity, bridgePsk: psk, bridgeAlpn, bridgeRequireOcsp: requireOcsp } = settings;
  if (!usesTls(settings)) return undefined;
  const isKeyed = psk !== undefined && identity !== undefined;
  const contextOptions = await (isKeyed ? keyedOptions(settings) : certificateOptions(settings));
  const secureContext = contextOf(contextOptions, settings);
  const options = { secureContext, ...(bridgeAlpn !== undefined && { ALPNProtocols: [bridgeAlpn] }) };
  if (!isKeyed) return { options, requireOcsp, anyHostName: settings.bridgeInsecure };
  const key = Buffer.from(psk.length % 2 === 0 ? psk : `0${psk}`, 'hex');
  return { options, requireOcsp, preSharedKey: { identity, key } };
}

function usesTls(settings: BridgeSettings): boolean {
  const { bridgePsk, bridgeCafile, bridgeCapath, bridgeTlsUseOsCerts } = settings;
  return (
    bridgePsk !== undefined || bridgeCafile !== undefined || bridgeCapath !== undefined || bridgeTlsUseOsCerts
  );
}

function hasKey({ bridgePsk, bridgeIdentity }: BridgeSettings): boolean {
  return bridgePsk !== undefined && bridgeIdentity !== undefined;
}

/** @returns error lines if OpenSSL refuses the lists of ciphers of a bridge */
export function cipherFaultLines(settings: BridgeSettings): string[] {
  if (!usesTls(settings)) return [];
  try {
    cipherList(settings, hasKey(settings) ? KEYED : USUAL);
    return [];
  } catch (error) {
    return [
      `Error: Bridge ${settings.name} cannot connect: ${(error as Error).message}.`,
      "'bridge_ciphers' takes names that 'openssl ciphers' shows, 'bridge_ciphers_tls1.3' cipher suites of TLS 1.3, with ':' between them.",
    ];
  }
}

const minVersion = ({ bridgeTlsVersion = 'tlsv1.2' }: BridgeSettings): SecureVersion =>
  VERSIONS[bridgeTlsVersion];

function keyedOptions(settings: BridgeSettings): SecureContextOptions {
  const ciphers = cipherList(settings, KEYED);
  return { minVersion: minVersion(settings), ciphers };
}

async function certificateOptions(settings: BridgeSettings): Promise<SecureContextOptions> {
  const { bridgeCertfile, bridgeKeyfile } = settings;
  const options: SecureContextOptions = {
    minVersion: minVersion(settings),
    ciphers: cipherList(settings, USUAL),
    ca: await authorities(settings),
  };
  if (bridgeCertfile !== undefined) options.cert = await read('bridge_certfile', bridgeCertfile, settings);
  if (bridgeKeyfile !== undefined) options.key = await read('bridge_keyfile', bridgeKeyfile, settings);
  return options;
}

interface KnownContext {
  options: SecureContextOptions;
  context: SecureContext;
}

/** The latest contexts, the newest last. */
const known: KnownContext[] = [];

/** More than there are bridges with TLS on one worker, as a rule. */
const KNOWN_MAX = 16;

/**
 * Makes the context, or takes the one made of the same files before: to read the system's authorities takes a tenth
 * of a second, in which the worker serves nobody, and a bridge may try every second.
 */
function contextOf(options: SecureContextOptions, settings: BridgeSettings): SecureContext {
  const same = known.find((one) => isDeepStrictEqual(one.options, options));
  if (same !== undefined) return same.context;
  const context = makeContext(options, settings);
  known.push({ options, context });
  if (known.length > KNOWN_MAX) known.shift();
  return context;
}

function makeContext(options: SecureContextOptions, settings: BridgeSettings): SecureContext {
  const reason = refusalOf(options);
  if (reason === null) return createSecureContext(options);
  const { ca, cert, key } = options;
  const parts = [
    [{ ca }, ['bridge_cafile', 'bridge_capath']],
    [{ cert }, ['bridge_certfile']],
    [{ key }, ['bridge_keyfile']],
  ] as const;
  const wrong = parts.find(([part]) => refusalOf(part) !== null)?.[1] ?? [
    'bridge_certfile',
    'bridge_keyfile',
  ];
  throw new Error(`its certificates or keys cannot be used: ${reason} (${whereGiven(wrong, settings)})`);
}

/** @returns why OpenSSL does not take them; `null` if it does */
function refusalOf(options: SecureContextOptions): string | null {
  try {
    createSecureContext(options);
    return null;
  } catch (error) {
    return opensslReason(error);
  }
}

/** The options of these that are given, and where, for people. */
function whereGiven(options: readonly OptionName[], { givenAt }: BridgeSettings): string {
  const given = options.filter((option) => givenAt[option] !== undefined);
  return given.map((option) => `${option} at ${givenAt[option]}`).join(', ');
}

const isSuite = (name: string): boolean => name.startsWith('TLS_');

/** What is offered if no option says otherwise. */
const USUAL = {
  /** Of TLS 1.2 and before. */
  ciphers: DEFAULT_CIPHERS.split(':')
    .filter((name) => !isSuite(name))
    .join(':'),
  /** Of TLS 1.3. */
  suites: DEFAULT_CIPHERS.split(':').filter(isSuite).join(':'),
};

/** The same for a bridge with a pre-shared key. */
const KEYED = { ciphers: PSK_CIPHERS, suites: '' };

/**
 * Node takes the suites of TLS 1.3 and the ciphers of older versions as one list, and leaves out a version of which
 * the list has none.
 */
function cipherList(settings: BridgeSettings, usual: typeof USUAL): string {
  const { bridgeCiphers, bridgeCiphersTls13, bridgeTlsVersion } = settings;
  const lists = [bridgeCiphersTls13 ?? usual.suites, bridgeCiphers ?? usual.ciphers];
  if (bridgeTlsVersion === 'tlsv1.1') lists.push(WITH_OLD_VERSIONS);
  const ciphers = lists.filter((list) => list !== '').join(':');
  const reason = refusalOf({ ciphers });
  if (reason === null) return ciphers;
  const where = whereGiven(['bridge_ciphers', 'bridge_ciphers_tls1.3'], settings);
  throw new Error(`OpenSSL refuses the ciphers "${ciphers}": ${reason} (${where})`);
}

async function authorities(settings: BridgeSettings): Promise<Buffer[]> {
  const { bridgeCafile, bridgeCapath, bridgeTlsUseOsCerts } = settings;
  const certificates: Buffer[] = [];
  if (bridgeCafile !== undefined) certificates.push(await read('bridge_cafile', bridgeCafile, settings));
  if (bridgeCapath !== undefined) appendAll(certificates, await readHashed(bridgeCapath, settings));
  if (bridgeTlsUseOsCerts) certificates.push(await osCertificates());
  return certificates;
}

async function readHashed(path: string, settings: BridgeSettings): Promise<Buffer[]> {
  const names = await readdir(path).catch((error) => {
    throw unreadable('bridge_capath', path, error, settings);
  });
  const hashed = names.filter((name) => HASHED_NAME.test(name));
  return Promise.all(hashed.map((name) => read('bridge_capath', join(path, name), settings)));
}

async function osCertificates(): Promise<Buffer> {
  for (const path of OS_CERTIFICATE_FILES) {
    const certificates = path === undefined ? null : await readFile(path).catch(() => null);
    if (certificates !== null) return certificates;
  }
  throw new Error("the system's certificates are nowhere to be found (bridge_tls_use_os_certs)");
}

async function read(option: OptionName, path: string, settings: BridgeSettings): Promise<Buffer> {
  const bytes = await readFile(path).catch((error) => {
    throw unreadable(option, path, error, settings);
  });
  const encoding = foreignEncoding(bytes);
  if (encoding === null) return bytes;
  const where = whereGiven([option], settings);
  throw new Error(`${option} ${path} is in ${encoding}, and has to be in UTF-8 (${where})`);
}

function unreadable(option: OptionName, path: string, error: unknown, settings: BridgeSettings): Error {
  const where = whereGiven([option], settings);
  return new Error(`${option} ${path} cannot be read: ${cLibraryErrorText(error)} (${where})`);
}

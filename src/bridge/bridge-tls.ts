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
  const secureContext = contextOf(await (isKeyed ? keyedOptions(settings) : certificateOptions(settings)));
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

/** @returns why OpenSSL refuses the lists of ciphers of a bridge; `null` if it takes them, or there is no TLS */
export function cipherFaultOf(settings: BridgeSettings): string | null {
  if (!usesTls(settings)) return null;
  try {
    cipherList(settings, hasKey(settings) ? KEYED : USUAL);
    return null;
  } catch (error) {
    return (error as Error).message;
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
  if (bridgeCertfile !== undefined) options.cert = await read('bridge_certfile', bridgeCertfile);
  if (bridgeKeyfile !== undefined) options.key = await read('bridge_keyfile', bridgeKeyfile);
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
function contextOf(options: SecureContextOptions): SecureContext {
  const same = known.find((one) => isDeepStrictEqual(one.options, options));
  if (same !== undefined) return same.context;
  const context = makeContext(options);
  known.push({ options, context });
  if (known.length > KNOWN_MAX) known.shift();
  return context;
}

function makeContext(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (error) {
    throw new Error(`its certificates or keys cannot be used: ${opensslReason(error)}`);
  }
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
  try {
    createSecureContext({ ciphers });
    return ciphers;
  } catch (error) {
    const options = 'bridge_ciphers, bridge_ciphers_tls1.3';
    throw new Error(`the list of ciphers cannot be used: ${(error as Error).message} (${options})`);
  }
}

async function authorities(settings: BridgeSettings): Promise<Buffer[]> {
  const { bridgeCafile, bridgeCapath, bridgeTlsUseOsCerts } = settings;
  const certificates: Buffer[] = [];
  if (bridgeCafile !== undefined) certificates.push(await read('bridge_cafile', bridgeCafile));
  if (bridgeCapath !== undefined) appendAll(certificates, await readHashed(bridgeCapath));
  if (bridgeTlsUseOsCerts) certificates.push(await osCertificates());
  return certificates;
}

async function readHashed(path: string): Promise<Buffer[]> {
  const names = await readdir(path).catch((error) => {
    throw unreadable('bridge_capath', path, error);
  });
  const hashed = names.filter((name) => HASHED_NAME.test(name));
  return Promise.all(hashed.map((name) => read('bridge_capath', join(path, name))));
}

async function osCertificates(): Promise<Buffer> {
  for (const path of OS_CERTIFICATE_FILES) {
    const certificates = path === undefined ? null : await readFile(path).catch(() => null);
    if (certificates !== null) return certificates;
  }
  throw new Error("the system's certificates are nowhere to be found (bridge_tls_use_os_certs)");
}

function read(option: string, path: string): Promise<Buffer> {
  return readFile(path).catch((error) => {
    throw unreadable(option, path, error);
  });
}

function unreadable(option: string, path: string, error: unknown): Error {
  return new Error(`${option} ${path} cannot be read: ${cLibraryErrorText(error)}`);
}

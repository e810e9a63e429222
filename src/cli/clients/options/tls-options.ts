/** The TLS options as Node's TLS takes them. Loaded only when TLS is used. */

import { setEngine } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionOptions, SecureVersion } from 'node:tls';
import { appendAll } from '../../../base/append-all.js';
import type { TlsTarget } from '../../../net/dial-tls.js';
import { OS_CERTIFICATE_FILES } from '../../../net/os-certificates.js';
import type { TlsSettings } from './client-settings.js';
import { SetupError } from './usage-error.js';

/** The lowest TLS version to accept, by the option's value. */
const VERSIONS: ReadonlyMap<string, SecureVersion> = new Map([
  ['tlsv1.2', 'TLSv1.2'],
  ['tlsv1.3', 'TLSv1.3'],
]);

/** @throws SetupError */
export function tlsTarget(tls: TlsSettings): TlsTarget {
  const minVersion = VERSIONS.get(tls.version ?? 'tlsv1.2');
  if (minVersion === undefined) throw invalidOptions();
  const options: ConnectionOptions = { minVersion };
  if (tls.ciphers !== undefined) options.ciphers = tls.ciphers;
  // Node ends the process for a protocol whose length does not go into one byte, or is 0.
  if (tls.alpn !== undefined && !isProtocolName(tls.alpn)) {
    throw new SetupError('Unable to connect (A TLS error occurred).');
  }
  if (tls.alpn !== undefined) options.ALPNProtocols = [tls.alpn];
  const target: TlsTarget = { options, anyHostName: tls.insecure, onKeyLog: keyLog(tls.keyLogFile) };
  if (tls.psk !== undefined) {
    options.ciphers ??= 'PSK';
    target.preSharedKey = { identity: tls.pskIdentity!, key: preSharedKey(tls.psk) };
  } else {
    options.ca = authorities(tls);
    addCertificate(options, tls);
  }
  return target;
}

/** Of ALPN: 1 to 255 bytes. */
function isProtocolName(name: string): boolean {
  const { length } = Buffer.from(name);
  return length > 0 && length <= 0xff;
}

function invalidOptions(): SetupError {
  return new SetupError('Error: Problem setting TLS options, check the options are valid.');
}

/** An odd number of digits is read as if a zero stood before them. */
function preSharedKey(hex: string): Buffer {
  if (!/^[0-9a-f]+$/i.test(hex)) throw new SetupError('Error: Problem setting TLS-PSK options.');
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}

function authorities(tls: TlsSettings): Buffer[] {
  const certificates: Buffer[] = [];
  if (tls.caFile !== undefined) certificates.push(readFile(tls.caFile));
  if (tls.caPath !== undefined) appendAll(certificates, readCertificateFolder(tls.caPath));
  if (tls.useOsCerts || (tls.caFile === undefined && tls.caPath === undefined)) {
    appendAll(certificates, osCertificates());
  }
  return certificates;
}

/** OpenSSL finds certificates in a folder by links named after their hash, such as `f88ed8fa.0`. */
const HASH_LINK = /^[0-9a-f]{8}\.\d+$/;

/** A folder that cannot be read holds none: the connection fails for lack of an authority. */
function readCertificateFolder(path: string): Buffer[] {
  try {
    return readdirSync(path)
      .filter((name) => HASH_LINK.test(name))
      .map((name) => readFileSync(join(path, name)));
  } catch {
    return [];
  }
}

function osCertificates(): Buffer[] {
  for (const path of OS_CERTIFICATE_FILES) {
    try {
      if (path !== undefined) return [readFileSync(path)];
    } catch {
      // Another system's place; the next one may be ours.
    }
  }
  return [];
}

function addCertificate(options: ConnectionOptions, tls: TlsSettings): void {
  const { keyForm = 'pem', engine, certFile, keyFile } = tls;
  if (keyForm !== 'pem' && keyForm !== 'engine') {
    throw new SetupError("Error: Problem setting key form, it must be one of 'pem' or 'engine'.");
  }
  if (tls.engineKeyPasswordSha1 !== undefined) {
    // Node passes no password to an engine.
    throw new SetupError('Error: Problem setting TLS engine key pass sha, is it a 40 character hex string?');
  }
  if (engine !== undefined) loadEngine(engine);
  if (certFile === undefined || keyFile === undefined) return;
  options.cert = readFile(certFile);
  if (keyForm === 'engine' && engine !== undefined) {
    options.privateKeyEngine = engine;
    options.privateKeyIdentifier = keyFile;
  } else {
    options.key = readFile(keyFile);
  }
}

function loadEngine(engine: string): void {
  try {
    setEngine(engine);
  } catch {
    throw new SetupError(`Error: Problem setting TLS engine, is ${engine} a valid engine?`);
  }
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    throw new SetupError('Error: Problem setting TLS options: File not found.');
  }
}

function keyLog(path: string | undefined): TlsTarget['onKeyLog'] {
  return path === undefined ? undefined : (line) => appendFileSync(path, line);
}

/**
 * Main reads certificates, keys, authorities and lists of revoked certificates, and finds out whether the workers
 * will be able to use them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isTls } from '../../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import { tlsOptions } from '../../net/tls-context.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { ExitCode } from '../process/exit-code.js';

type Texts = Map<string, string>;

/** Names as `openssl rehash` makes them in a folder: OpenSSL looks for no others. */
const HASHED_NAME = /^[0-9a-f]{8}\.\d+$/;

/**
 * Reads and checks the files of every listener with TLS, and logs the faults; the texts go into `texts`.
 * @returns 0, or the exit code of a start [mosq: TLS options]
 */
export function readTlsFiles(settings: Settings, texts: Texts, log: Log): number {
  let code = 0;
  for (const listener of settings.listeners) {
    if (!isTls(listener)) continue;
    const faults = readFiles(listener, texts, log);
    if (faults.length === 0) {
      const options = tlsOptions(listener, texts);
      if ('fault' in options) faults.push(options.fault);
    }
    for (const fault of faults) log.write('error', fault);
    if (faults.length > 0) code = ExitCode.listener;
  }
  return code;
}

/** @returns error lines */
function readFiles(listener: ListenerSettings, texts: Texts, log: Log): string[] {
  const { certfile, keyfile, cafile, capath, crlfile } = listener;
  const faults: string[] = [];
  const read = (file: string | undefined, complaint: string): void => {
    if (file === undefined) return;
    try {
      texts.set(file, readFileSync(file, 'utf8'));
    } catch (error) {
      faults.push(`Error: ${complaint.replace('FILE', file)} (${cLibraryErrorText(error)})`);
    }
  };
  read(cafile, 'Unable to load CA certificates. Check cafile "FILE".');
  read(certfile, 'Unable to load server certificate "FILE". Check certfile.');
  read(keyfile, 'Unable to load server key file "FILE". Check keyfile.');
  read(crlfile, 'Unable to load certificate revocation file "FILE". Check crlfile.');
  if (capath !== undefined) {
    try {
      texts.set(capath, readFolder(capath, log));
    } catch (error) {
      faults.push(
        `Error: Unable to load CA certificates. Check capath "${capath}". (${cLibraryErrorText(error)})`,
      );
    }
  }
  return faults;
}

/** @throws the error of the system */
function readFolder(folder: string, log: Log): string {
  const names = readdirSync(folder).filter((name) => HASHED_NAME.test(name));
  if (names.length === 0) {
    log.write(
      'warning',
      `Warning: There are no certificates under hashed names in capath "${folder}"; \`openssl rehash ${folder}\` makes them.`,
    );
  }
  return names.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
}

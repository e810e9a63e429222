/**
 * Main reads certificates, keys, authorities and lists of revoked certificates, and finds out whether the workers
 * will be able to use them.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { foreignEncoding } from '../../base/foreign-encoding.js';
import { isTls } from '../../config/listener-tls.js';
import type { ListenerSettings, Settings } from '../../config/settings.js';
import type { Log } from '../../log/log.js';
import { type TlsFault, tlsFaultLines, tlsOptions } from '../../net/tls-context.js';
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
    for (const line of faults.flatMap((fault) => tlsFaultLines(fault, listener))) log.write('error', line);
    if (faults.length > 0) code = ExitCode.listener;
  }
  return code;
}

function readFiles(listener: ListenerSettings, texts: Texts, log: Log): TlsFault[] {
  const { capath } = listener;
  const faults: TlsFault[] = [];
  const read = (option: 'cafile' | 'certfile' | 'keyfile' | 'crlfile', complaint: string): void => {
    const file = listener[option];
    if (file === undefined) return;
    const refuse = (why: string) => {
      faults.push({ error: `Error: ${complaint.replace('FILE', file)} (${why})`, options: [option] });
    };
    try {
      const bytes = readFileSync(file);
      const encoding = foreignEncoding(bytes);
      if (encoding === null) texts.set(file, bytes.toString('utf8'));
      else refuse(`it is in ${encoding}; iconv -f ${encoding} -t UTF-8 '${file}' writes it in UTF-8`);
    } catch (error) {
      refuse(cLibraryErrorText(error));
    }
  };
  read('cafile', 'Unable to load CA certificates. Check cafile "FILE".');
  read('certfile', 'Unable to load server certificate "FILE". Check certfile.');
  read('keyfile', 'Unable to load server key file "FILE". Check keyfile.');
  read('crlfile', 'Unable to load certificate revocation file "FILE". Check crlfile.');
  if (capath !== undefined) {
    try {
      texts.set(capath, readFolder(capath, log));
    } catch (error) {
      const complaint = `Unable to load CA certificates. Check capath "${capath}".`;
      faults.push({ error: `Error: ${complaint} (${cLibraryErrorText(error)})`, options: ['capath'] });
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

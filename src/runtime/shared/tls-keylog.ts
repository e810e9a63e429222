/** The file that `--tls-keylog` names: what Wireshark needs to read recorded traffic, in NSS's format. */
import { openSync, writeSync } from 'node:fs';
import type { Log } from '../../log/log.js';
import { cLibraryErrorText } from '../../system/system-error.js';

/** Whoever reads it can read the traffic. */
const OWNER_ONLY = 0o600;

/** @returns a descriptor for all threads, `null` if no file is asked for, `undefined` if it cannot be opened */
export function openTlsKeylog(path: string | undefined, log: Log): number | null | undefined {
  if (path === undefined) return null;
  try {
    const fd = openSync(path, 'a', OWNER_ONLY);
    log.write('warning', `Warning: The secrets of all TLS listeners are written to ${path} (--tls-keylog).`);
    return fd;
  } catch (error) {
    log.write('error', `Error: Unable to open the TLS key log ${path}: ${cLibraryErrorText(error)}.`);
    return undefined;
  }
}

/** The file is for a debugging session: if it cannot be written, connections go on. */
export function writeTlsKeylog(fd: number, line: Buffer): void {
  try {
    writeSync(fd, line);
  } catch {}
}

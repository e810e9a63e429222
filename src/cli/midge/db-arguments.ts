/** The command line of `midge db`. */

export const DB_USAGE = `Usage: midge db stats FILE
       midge db check FILE
       midge db import [--dry-run] MOSQUITTO_DB FILE
       midge db export [--dry-run] FILE MOSQUITTO_DB

FILE is a store of Midge's, as it lies at persistence_location: a saved one, or one
that the broker has closed. MOSQUITTO_DB is a mosquitto.db of Mosquitto's.

 stats     what is in a file of either kind.
 check     reads every record of a file of either kind.
 import    makes a store of a mosquitto.db (versions 2 to 6).
 export    writes a mosquitto.db of version 6, which Mosquitto 1.6.11 to 2.1 load.
 --dry-run, -n
           reads everything and tells what would be done, and writes nothing.

A file that exists is never written over.
Exit status: 0 done, 1 the file is damaged or cannot be read or written, 3 wrong use.
`;

export type DbCommand =
  | { kind: 'stats' | 'check'; file: string }
  | { kind: 'import' | 'export'; from: string; to: string; dryRun: boolean };

/** @param args the words after `midge db`. @returns `undefined` if they are wrong */
export function parseDbArguments(args: readonly string[]): DbCommand | undefined {
  const [kind, ...rest] = args;
  const isDryRun = (word: string) => word === '--dry-run' || word === '-n';
  const files = rest.filter((word) => !isDryRun(word));
  if (files.some((word) => word.startsWith('-'))) return undefined;
  const dryRun = rest.some(isDryRun);
  const [first, second] = files;
  if (kind === 'stats' || kind === 'check') {
    return files.length === 1 && !dryRun ? { kind, file: first! } : undefined;
  }
  if (kind === 'import' || kind === 'export') {
    return files.length === 2 ? { kind, from: first!, to: second!, dryRun } : undefined;
  }
  return undefined;
}

#!/usr/bin/env node
/**
 * `mosquitto_db_dump`: what is in a `mosquitto.db`, or in a store of Midge's, as Mosquitto 2.1's command of that name
 * shows it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseFormatError } from '../../mosquitto-db/chunk-reader.js';
import { type DumpKind, dumpDatabase } from '../../mosquitto-db/dump.js';

const USAGE = 'Usage: db_dump [--stats | --client-stats | --json] <mosquitto db filename>\n';

const KINDS: ReadonlyMap<string, DumpKind> = new Map([
  ['--stats', 'stats'],
  ['--client-stats', 'client-stats'],
  ['--json', 'json'],
]);

/** Bytes of the header of a page, in the versions of LMDB. */
const PAGE_HEADER_BYTES = [16, 24];

void dump(process.argv.slice(2)).then((exitCode) => {
  process.exitCode = exitCode;
});

/** @returns the exit code */
async function dump(args: readonly string[]): Promise<number> {
  if (args.length === 1 && args[0] === '--help') {
    process.stdout.write(USAGE);
    return 1;
  }
  const kind = args.length === 2 ? KINDS.get(args[0]!) : 'text';
  const file = args.at(-1);
  if (file === undefined || kind === undefined || args.length > 2) {
    process.stderr.write(USAGE);
    return 1;
  }
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    process.stderr.write(`Error: Unable to open ${file}\n`);
    return 0; // as Mosquitto
  }
  return isStore(bytes) ? dumpStore(file, kind) : print(bytes, kind);
}

/** The mark of an LMDB file stands behind the header of its first page. */
function isStore(bytes: Buffer): boolean {
  return PAGE_HEADER_BYTES.some((at) => bytes.length >= at + 4 && bytes.readUInt32LE(at) === 0xbeefc0de);
}

/** Of a store a `mosquitto.db` is made first, in a folder of its own. */
async function dumpStore(file: string, kind: DumpKind): Promise<number> {
  const { runDbCommand } = await import('./db.js');
  const scratch = mkdtempSync(join(tmpdir(), 'midge-db-dump-'));
  try {
    const exported = join(scratch, 'mosquitto.db');
    const output = { stdout: () => {}, stderr: (text: string) => void process.stderr.write(text) };
    const code = await runDbCommand(['export', file, exported], output);
    return code === 0 ? print(readFileSync(exported), kind) : code;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function print(bytes: Buffer, kind: DumpKind): number {
  try {
    process.stdout.write(dumpDatabase(bytes, kind));
    return 0;
  } catch (error) {
    if (!(error instanceof DatabaseFormatError)) throw error;
    process.stderr.write('Error: Unrecognised file format.\n');
    return 1;
  }
}

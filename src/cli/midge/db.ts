/**
 * `midge db`: shows the content of stores and `mosquitto.db` files, and converts one into the other. It never changes
 * its input: a store is copied first and read in a child process, because it may be damaged. Output files are new.
 */
import {
  chownSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { DatabaseFormatError } from '../../mosquitto-db/chunk-reader.js';
import type { DatabaseContent } from '../../mosquitto-db/content.js';
import { writeDatabase } from '../../mosquitto-db/from-model.js';
import { readDatabase } from '../../mosquitto-db/to-model.js';
import { copyStore } from '../../store/environment.js';
import { migrate } from '../../store/file/migrations.js';
import { SavedFile, syncFile, UnreadableFileError } from '../../store/file/saved-file.js';
import { checkInChild } from '../../store/file/store-child.js';
import { Store } from '../../store/store.js';
import { exportContent, importContent } from '../../store/transfer.js';
import { cLibraryErrorText } from '../../system/system-error.js';
import { type CommandOutput, standardOutput } from './command-output.js';
import { DB_USAGE, parseDbArguments } from './db-arguments.js';

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_WRONG_USE = 3;

/**
 * @param args the words after `midge db`
 * @returns the exit code
 */
export async function runDbCommand(
  args: readonly string[],
  output: CommandOutput = standardOutput,
): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    output.stdout(DB_USAGE);
    return EXIT_DONE;
  }
  const command = parseDbArguments(args);
  if (command === undefined) {
    output.stderr(DB_USAGE);
    return EXIT_WRONG_USE;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'midge-db-'));
  const run = new DbRun(output, scratch);
  try {
    switch (command.kind) {
      case 'stats':
        return await run.stats(command.file);
      case 'check':
        return await run.check(command.file);
      case 'import':
        return await run.import(command.from, command.to, command.dryRun);
      case 'export':
        return await run.export(command.from, command.to, command.dryRun);
    }
  } catch (caught) {
    const error = caught instanceof UnreadableFileError ? caught.cause : caught;
    if (!(error instanceof DbFault) && !isSystemError(error)) throw error;
    output.stderr(`Error: ${error instanceof DbFault ? error.message : cLibraryErrorText(error)}\n`);
    return EXIT_FAILED;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** An error that ends the command with one line. */
class DbFault extends Error {}

/** The content of a file, and the parts that could not be read. */
interface ReadFile {
  format: string;
  content: DatabaseContent;
  problems: string[];
  /** What a mosquitto.db holds that has no place in a store. */
  leftOut: string[];
}

class DbRun {
  readonly #output: CommandOutput;
  readonly #scratch: string;

  constructor(output: CommandOutput, scratch: string) {
    this.#output = output;
    this.#scratch = scratch;
  }

  async stats(file: string): Promise<number> {
    const read = await this.#read(file);
    this.#output.stdout(statsText(read, statSync(file).size));
    return EXIT_DONE;
  }

  async check(file: string): Promise<number> {
    const { problems } = await this.#read(file);
    for (const problem of problems) this.#output.stdout(`${problem}\n`);
    this.#output.stdout(problems.length === 0 ? `${file} is sound.\n` : `${file} is damaged.\n`);
    return problems.length === 0 ? EXIT_DONE : EXIT_FAILED;
  }

  async import(from: string, to: string, dryRun: boolean): Promise<number> {
    if (new SavedFile(from).kind() !== 'mosquitto') throw new DbFault(`${from} is not a mosquitto.db.`);
    const read = await this.#read(from);
    this.#tell(read, to, dryRun);
    if (!dryRun) await this.#writeStore(read.content, to);
    return EXIT_DONE;
  }

  async export(from: string, to: string, dryRun: boolean): Promise<number> {
    if (new SavedFile(from).kind() !== 'other') throw new DbFault(`${from} is not a store of Midge's.`);
    const read = await this.#read(from);
    this.#tell({ ...read, leftOut: leftOutOfExport(read.content) }, to, dryRun);
    if (!dryRun) {
      refuseExisting(to);
      writeFileSync(to, writeDatabase(read.content, Date.now()), { mode: 0o600, flag: 'wx' });
      giveToOwnerOf(from, to);
      await syncFile(to);
    }
    return EXIT_DONE;
  }

  #tell({ content, problems, leftOut }: ReadFile, to: string, dryRun: boolean): void {
    for (const problem of problems) this.#output.stderr(`Warning: skipped: ${problem}\n`);
    for (const what of leftOut) this.#output.stdout(`Left out: ${what}.\n`);
    if (leftOut.length > 0) this.#output.stdout(`${leftOut.length} left out in all.\n`);
    const { retained, sessions, subscriptions, queued } = countContent(content);
    this.#output.stdout(
      `${dryRun ? 'Would write' : 'Writing'} ${to}: ${retained} retained messages, ${sessions} sessions, ` +
        `${subscriptions} subscriptions, ${queued} queued messages.\n`,
    );
  }

  async #read(file: string): Promise<ReadFile> {
    const kind = new SavedFile(file).kind();
    if (kind === 'missing') throw new DbFault(`${file} does not exist.`);
    if (kind === 'empty') throw new DbFault(`${file} is empty.`);
    return kind === 'mosquitto' ? readMosquittoFile(file) : this.#readStore(file);
  }

  async #readStore(file: string): Promise<ReadFile> {
    // A copy of a store that a broker is writing to would be inconsistent.
    if (!new SavedFile(file).isAtRest()) throw new DbFault(`${file} is in use, or its broker was killed.`);
    const copy = join(this.#scratch, 'copy.mdb');
    copyFileSync(file, copy);
    const result = await checkInChild(copy, 'durable');
    if ('reason' in result) throw new DbFault(`${file} cannot be read: ${result.reason}.`);
    const store = new Store({ path: copy, mode: 'durable', now: Date.now });
    try {
      const content = exportContent(store);
      return { format: 'a store of Midge', content, problems: result.report.problems, leftOut: [] };
    } finally {
      await store.close();
    }
  }

  async #writeStore(content: DatabaseContent, to: string): Promise<void> {
    refuseExisting(to);
    const path = join(this.#scratch, 'imported.mdb');
    const store = new Store({ path, mode: 'transient', now: Date.now });
    await migrate(store.environment);
    await importContent(store, content);
    await store.close();
    const folder = mkdtempSync(join(dirname(to), '.midge-db-'));
    try {
      const compact = join(folder, basename(to));
      await copyStore(path, compact);
      await syncFile(compact);
      renameSync(compact, to);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}

function readMosquittoFile(file: string): ReadFile {
  try {
    const { content, report } = readDatabase(readFileSync(file), Date.now());
    const { version, problems, leftOut } = report;
    return { format: `mosquitto.db, version ${version}`, content, problems, leftOut };
  } catch (error) {
    if (error instanceof DatabaseFormatError) throw new DbFault(`${file}: ${error.message}.`);
    throw error;
  }
}

/** What a mosquitto.db has no place for. */
function leftOutOfExport({ retained, sessions }: DatabaseContent): string[] {
  return [
    ...retained
      .filter(({ topic }) => topic.startsWith('$SYS/'))
      .map(({ topic }) => `the retained message of "${topic}" is made anew by the broker`),
    ...sessions
      .filter(({ session }) => session.will !== undefined)
      .map(({ session }) => `the will of "${session.clientId}" has no place in a mosquitto.db`),
  ];
}

/** Root exports for a broker that runs as another user, who has to be able to read it. */
function giveToOwnerOf(from: string, to: string): void {
  const { uid, gid } = statSync(from);
  if (process.getuid?.() === 0) chownSync(to, uid, gid);
}

function refuseExisting(path: string): void {
  if (existsSync(path)) throw new DbFault(`${path} exists already.`);
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

interface ContentCounts {
  retained: number;
  sessions: number;
  subscriptions: number;
  queued: number;
  /** Counts a message once for each queue that holds it. */
  payloadBytes: number;
}

function countContent({ retained, sessions }: DatabaseContent): ContentCounts {
  const queued = sessions.flatMap(({ queue }) => queue);
  const messages = [...retained, ...queued.map(({ message }) => message)];
  return {
    retained: retained.length,
    sessions: sessions.length,
    subscriptions: sessions.reduce((sum, { subscriptions }) => sum + subscriptions.length, 0),
    queued: queued.length,
    payloadBytes: messages.reduce((sum, { payload }) => sum + payload.length, 0),
  };
}

function statsText({ format, content, problems }: ReadFile, fileBytes: number): string {
  const { retained, sessions, subscriptions, queued, payloadBytes } = countContent(content);
  return [
    `format             ${format}`,
    `file bytes         ${fileBytes}`,
    `retained messages  ${retained}`,
    `sessions           ${sessions}`,
    `subscriptions      ${subscriptions}`,
    `queued messages    ${queued}`,
    `payload bytes      ${payloadBytes}`,
    `damaged records    ${problems.length}`,
    '',
  ].join('\n');
}

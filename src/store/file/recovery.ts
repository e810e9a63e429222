/**
 * Finds what a store begins with if the saved state is not known to be sound: the file itself, the previous save, the
 * records that can be rescued, or Mosquitto's database.
 */
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { emptyDatabase } from '../../log/mosquitto-lines.js';
import { DatabaseFormatError } from '../../mosquitto-db/chunk-reader.js';
import type { DatabaseContent } from '../../mosquitto-db/content.js';
import { readDatabase } from '../../mosquitto-db/to-model.js';
import { Store } from '../store.js';
import { importContent } from '../transfer.js';
import { migrate } from './migrations.js';
import { type SavedFile, UnreadableFileError } from './saved-file.js';
import type { CheckReport } from './store-check.js';
import { type Check, type CheckResult, faultOf, rescueInChild } from './store-child.js';

/** Log lines about records that an import leaves out, at most. */
const LEFT_OUT_NAMED = 20;

export interface RecoveryOptions {
  saved: SavedFile;
  /** Milliseconds since the epoch. */
  now: () => number;
  log: (level: 'warning' | 'notice', text: string) => void;
  /** Something of the stored data is wrong or lost. */
  alarm: (text: string) => void;
  check: Check;
}

export class Recovery {
  readonly #options: RecoveryOptions;

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /**
   * Finds the best there is of a saved state that is not known to be sound.
   * @param scratch an empty folder
   * @param hasRotted its content is not what was saved
   * @returns a sound store in it; `undefined` if there is nothing to start from
   * @throws what the file system says if the file cannot be read or copied: that says nothing about its content
   */
  async find(scratch: string, hasRotted = false): Promise<string | undefined> {
    const { saved, log, alarm } = this.#options;
    const kind = saved.kind();
    if (kind === 'missing') return undefined;
    if (kind === 'empty') {
      log('warning', emptyDatabase());
      return undefined;
    }
    if (kind === 'mosquitto') return this.#importMosquittoFile(scratch);
    const copy = join(scratch, 'saved.mdb');
    const result = await this.#checkedCopy(saved.path, copy);
    if (result.verdict === 'sound') {
      if (hasRotted) this.tellOfRot(result.report);
      return copy;
    }
    if (result.verdict === 'unknown') {
      alarm(`The store could not be checked (${result.reason}), and is used as it is.`);
      return copy;
    }
    this.#putAside(`The store is damaged (${faultOf(result)}).`);
    // A store of which only records are damaged is newer than the previous save.
    const ways = [() => this.#copyOfPrevious(scratch), () => this.#rescue(copy, scratch)];
    for (const way of result.verdict === 'partly damaged' ? ways.reverse() : ways) {
      const path = await way();
      if (path !== undefined) return path;
    }
    alarm('Nothing could be read of it: the broker starts without stored data.');
    return undefined;
  }

  /** Of a file whose records read, though it is not what was saved. */
  tellOfRot({ unsealedRecords }: CheckReport): void {
    const { saved, now, alarm } = this.#options;
    const path = saved.datedPath('damaged', now());
    let copy = `a copy is kept as ${path}`;
    try {
      copyFileSync(saved.path, path);
    } catch (error) {
      copy = `a copy cannot be kept: ${(error as Error).message}`;
    }
    const doubt =
      unsealedRecords === 0 ? '' : `, but ${unsealedRecords} have no checksum, so that some may be wrong`;
    alarm(
      `The saved file has rotted: its SHA-256 is not that of what was saved. Its records read${doubt}; ${copy}.`,
    );
  }

  async #checkedCopy(from: string, to: string): Promise<CheckResult> {
    try {
      copyFileSync(from, to);
    } catch (error) {
      throw new UnreadableFileError((error as Error).message, { cause: error });
    }
    return this.#options.check(to, 'durable');
  }

  async #copyOfPrevious(scratch: string): Promise<string | undefined> {
    const { previousPath } = this.#options.saved;
    if (!existsSync(previousPath)) return undefined;
    const copy = join(scratch, 'previous.mdb');
    const result = await this.#checkedCopy(previousPath, copy);
    if (result.verdict !== 'sound' && result.verdict !== 'unknown') return undefined;
    this.#options.alarm('The previous save is used: what came after it is lost.');
    return copy;
  }

  async #rescue(damaged: string, scratch: string): Promise<string | undefined> {
    if (!existsSync(damaged)) return undefined;
    const rescued = join(scratch, 'rescued.mdb');
    const copy = join(scratch, 'damaged.mdb'); // to read it is to open it, which may write
    copyFileSync(damaged, copy);
    await rescueInChild(copy, 'durable', rescued);
    if (!existsSync(rescued)) return undefined;
    const result = await this.#options.check(rescued, 'durable');
    if (result.verdict === 'unknown') return rescued;
    if (result.verdict !== 'sound') return undefined;
    const { retained, sessions } = result.report.records;
    const { queuedMessages } = result.report;
    if (retained + sessions === 0) return undefined;
    this.#options.alarm(
      `Saved from it: ${retained} retained messages, ${sessions} sessions, ${queuedMessages} queued messages.`,
    );
    return rescued;
  }

  async #importMosquittoFile(scratch: string): Promise<string | undefined> {
    const content = this.#readMosquittoFile();
    if (content === undefined) return undefined;
    const path = join(scratch, 'imported.mdb');
    const store = new Store({ path, mode: 'transient', now: this.#options.now });
    await migrate(store.environment);
    await importContent(store, content);
    await store.close();
    return path;
  }

  #readMosquittoFile(): DatabaseContent | undefined {
    const { saved, now, log, alarm } = this.#options;
    try {
      const { content, report } = readDatabase(readFileSync(saved.path), now());
      const { retained, sessions } = content;
      const queued = sessions.reduce((sum, { queue }) => sum + queue.length, 0);
      const counts = `${retained.length} retained messages, ${sessions.length} sessions, ${queued} queued messages`;
      log('notice', `Imported a Mosquitto database of version ${report.version}: ${counts}.`);
      this.#logLeftOut(report.leftOut);
      if (report.problems.length > 0) {
        alarm(`${report.problems.length} of its records were skipped; the first: ${report.problems[0]}.`);
      }
      return content;
    } catch (error) {
      if (!(error instanceof DatabaseFormatError)) throw error;
      this.#putAside(`The Mosquitto database cannot be imported: ${error.message}.`);
      return undefined;
    }
  }

  #logLeftOut(leftOut: readonly string[]): void {
    const { log, saved } = this.#options;
    for (const what of leftOut.slice(0, LEFT_OUT_NAMED)) log('notice', `Not imported: ${what}.`);
    if (leftOut.length <= LEFT_OUT_NAMED) return;
    log(
      'notice',
      `Not imported: ${leftOut.length} in all. "midge db import --dry-run" names them, with the file that is kept as ${saved.path}.imported-DATE.`,
    );
  }

  #putAside(why: string): void {
    const { saved, now, alarm } = this.#options;
    try {
      alarm(`${why} It is kept as ${saved.putAside('damaged', now())}.`);
    } catch (error) {
      alarm(`${why} It cannot be put aside: ${(error as Error).message}.`);
    }
  }
}

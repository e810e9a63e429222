/**
 * Copies the live store in memory to the saved file.
 *
 *   compact copy beside the file → sync → hash → note both files beside the live store
 *   → keep the present file as the previous save → rename → sync the folder → note the new file
 *
 * Clients do not wait for it: the copy is made from a snapshot by another thread. A power cut at any point leaves
 * the old file or the new one, whole; a kill leaves a live store that belongs to either.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Environment } from './environment.js';
import { LiveNote } from './live-note.js';
import { hashOf, type SavedFile, syncFile } from './saved-file.js';

export interface SavedCopy {
  bytes: number;
  /** Where a file of Mosquitto's that was in its place is kept. */
  importedKeptAs: string | undefined;
}

export class LiveSaver {
  readonly #environment: Environment;
  readonly #saved: SavedFile;
  readonly #note: LiveNote;
  readonly #now: () => number;
  #savedTransaction: number | undefined;

  /** @param now milliseconds since the epoch */
  constructor(environment: Environment, saved: SavedFile, now: () => number) {
    this.#environment = environment;
    this.#saved = saved;
    this.#note = new LiveNote(environment.path);
    this.#now = now;
  }

  /**
   * Saves what is committed.
   * @returns `undefined` where nothing has changed since the last time
   * @throws what the file system says; the saved file is then as it was
   */
  async save(): Promise<SavedCopy | undefined> {
    const transaction = this.#environment.lastTransactionId;
    if (transaction === this.#savedTransaction) return undefined;
    mkdirSync(dirname(this.#saved.path), { recursive: true, mode: 0o700 });
    const path = this.#saved.prepareNew();
    try {
      await this.#environment.copyTo(path);
      await syncFile(path);
      const sha256 = await hashOf(path);
      const coming = this.#saved.identityOf(path)!;
      this.#note.write([this.#saved.identity() ?? null, coming]);
      const importedKeptAs = await this.#saved.replace(path, sha256, this.#now());
      this.#note.write([coming]);
      this.#savedTransaction = transaction;
      return { bytes: coming.bytes, importedKeptAs };
    } finally {
      this.#saved.discardNew();
    }
  }
}

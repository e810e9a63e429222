/**
 * Copies the live store in memory to the saved file.
 *
 *   compact copy beside the file → sync → hash → note both files beside the live store
 *   → keep the present file as the previous save → rename → sync the folder → note the new file
 *
 * Clients do not wait for it: the copy is made from a snapshot, of a large store by a process that lets them go first.
 * A power cut at any point leaves the old file or the new one, whole; a kill leaves a live store that belongs to either.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Environment } from './environment.js';
import { LiveNote } from './live-note.js';
import {
  type FileIdentity,
  hashOf,
  type KeptFile,
  type SavedFile,
  sameIdentity,
  syncFile,
} from './saved-file.js';
import { copyInChild } from './store-child.js';

/** A small store is copied before a process has started. */
const COPIED_HERE_MAX_BYTES = 8 * 1024 * 1024;

export interface SavedCopy {
  bytes: number;
  /** What was in its place, where that was no save. */
  kept: KeptFile | undefined;
}

export class LiveSaver {
  readonly #environment: Environment;
  readonly #saved: SavedFile;
  readonly #note: LiveNote;
  readonly #now: () => number;
  readonly #onOwnCopy: (why: Error) => void;
  #savedTransaction: number | undefined;
  /** What the live store was made from, or saved to last. */
  #ours: FileIdentity | undefined;

  /**
   * @param now milliseconds since the epoch
   * @param onOwnCopy told why a large store had to be copied by this process
   */
  constructor(
    environment: Environment,
    saved: SavedFile,
    now: () => number,
    onOwnCopy: (why: Error) => void = () => {},
  ) {
    this.#onOwnCopy = onOwnCopy;
    this.#environment = environment;
    this.#saved = saved;
    this.#note = new LiveNote(environment.path);
    this.#now = now;
    this.#ours = saved.identity();
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
      const sha256 = await this.#copyTo(path);
      const coming = this.#saved.identityOf(path)!;
      const present = this.#saved.identity();
      this.#note.write([present ?? null, coming]);
      const kept = await this.#saved.replace(path, sha256, this.#now(), sameIdentity(present, this.#ours));
      this.#note.write([coming]);
      this.#ours = coming;
      this.#savedTransaction = transaction;
      return { bytes: coming.bytes, kept };
    } finally {
      this.#saved.discardNew();
    }
  }

  /** @returns the SHA-256 of the copy, which is on the disk */
  async #copyTo(path: string): Promise<string> {
    const environment = this.#environment;
    let failure: Error | undefined;
    if (environment.bytes > COPIED_HERE_MAX_BYTES) {
      try {
        return await copyInChild(environment.path, environment.mode, path);
      } catch (error) {
        // No memory for another process, or a full disk: the latter is said by the attempt that follows.
        failure = error as Error;
        environment.forgetDeadReaders();
        rmSync(path, { force: true });
      }
    }
    await environment.copyTo(path);
    await syncFile(path);
    if (failure !== undefined) this.#onOwnCopy(failure);
    return hashOf(path);
  }
}

/**
 * Copies the live store in memory to the saved file.
 *
 *   compact copy beside the file → sync → hash → stamp the live store with both files
 *   → make the present file the previous save → rename → sync the folder → stamp it with the new file
 *
 * Clients do not wait for it: the copy is made from a snapshot by another thread, and the hash, which takes longer, at
 * a tenth of a core. A process of its own at a low priority would delay them longer: its start and its end cost more
 * than the copy (`npm run bench save-latency`).
 *
 * A power cut at any point leaves the old file or the new one, whole; a kill leaves a live store that belongs to either.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Environment } from '../environment.js';
import { LiveStamp } from './live-stamp.js';
import {
  type FileIdentity,
  type FilePutAside,
  hashOf,
  type SavedFile,
  sameIdentity,
  syncFile,
} from './saved-file.js';

/** The shortest pause after a piece of the hash. */
const REST_MS_MIN = 2;
/** The pause after a piece of the hash, as a multiple of the time that the piece took. */
const REST_SHARE = 9;

export interface SavedCopy {
  bytes: number;
  /** What was in its place, if that was no save. */
  putAside: FilePutAside | undefined;
}

export class LiveSaver {
  /** Nobody is served any more: saves, also one under way, take the whole core. */
  isHurried = false;
  readonly #environment: Environment;
  readonly #saved: SavedFile;
  readonly #stamp: LiveStamp;
  readonly #now: () => number;
  #savedTransaction: number | undefined;
  /** What the live store was made from, or saved to last. */
  #ours: FileIdentity | undefined;

  /** @param now milliseconds since the epoch */
  constructor(environment: Environment, saved: SavedFile, now: () => number) {
    this.#environment = environment;
    this.#saved = saved;
    this.#stamp = new LiveStamp(environment.path);
    this.#now = now;
    this.#ours = saved.identity();
  }

  /**
   * Saves what is committed.
   * @returns `undefined` if nothing has changed since the last time, and the file is there as it was left
   * @throws what the file system says; the saved file is then as it was
   */
  async save(): Promise<SavedCopy | undefined> {
    const transaction = this.#environment.lastTransactionId;
    if (transaction === this.#savedTransaction && this.isInPlace) return undefined;
    mkdirSync(dirname(this.#saved.path), { recursive: true, mode: 0o700 });
    const path = this.#saved.prepareNew();
    try {
      await this.#environment.copyTo(path);
      await syncFile(path);
      const sha256 = await hashOf(path, (workedMs) => this.#rest(workedMs));
      const coming = this.#saved.identityOf(path)!;
      const present = this.#saved.identity();
      this.#stamp.write([present ?? null, coming]);
      const putAside = await this.#saved.replace(
        path,
        sha256,
        this.#now(),
        sameIdentity(present, this.#ours),
      );
      this.#stamp.write([coming]);
      this.#ours = coming;
      this.#savedTransaction = transaction;
      return { bytes: coming.bytes, putAside };
    } finally {
      this.#saved.discardNew();
    }
  }

  /** Whether the saved file is the one that was saved last, or that the live store was made from. */
  get isInPlace(): boolean {
    return sameIdentity(this.#saved.identity(), this.#ours);
  }

  async #rest(workedMs: number): Promise<void> {
    if (!this.isHurried) await wait(Math.max(REST_MS_MIN, REST_SHARE * workedMs));
  }
}

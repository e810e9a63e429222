/**
 * A note beside the live store in memory: to which saved file it belongs. After a kill the live store is used only
 * with the very file that it was made from or saved to; who puts back a backup gets the backup.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type FileIdentity, sameIdentity } from './saved-file.js';

export class LiveNote {
  readonly #path: string;

  constructor(livePath: string) {
    this.#path = `${livePath}.note`;
  }

  /**
   * @param files the saved file, or both the present and the coming one while they are exchanged; `null` stands for
   *   no file yet
   */
  write(files: readonly (FileIdentity | null)[]): void {
    writeFileSync(`${this.#path}.new`, JSON.stringify(files), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** Whether the live store belongs to the file that is there now, or to none if there is none. */
  names(file: FileIdentity | undefined): boolean {
    try {
      const files = JSON.parse(readFileSync(this.#path, 'utf8')) as (FileIdentity | null)[];
      return files.some((named) => sameIdentity(named ?? undefined, file));
    } catch {
      return false; // no note, no claim
    }
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

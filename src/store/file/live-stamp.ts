/**
 * The live store's stamp: a file beside it in memory that says which saved file it belongs to. After a kill the live
 * store is used only with the very file that it was made from or saved to; whoever puts back a backup gets the backup.
 *
 * It is one page, which is written over: a save has to succeed even if the memory is full. No kill comes between the
 * bytes of a page, and a power cut leaves no memory.
 */
import { closeSync, constants, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { type FileIdentity, sameIdentity } from './saved-file.js';

const NOTE_BYTES = 4096;

export class LiveStamp {
  readonly #path: string;

  constructor(livePath: string) {
    this.#path = `${livePath}.note`;
  }

  /**
   * @param files the saved file, or both the present and the coming one while they are exchanged; `null` stands for
   *   no file yet
   */
  write(files: readonly (FileIdentity | null)[]): void {
    const text = JSON.stringify(files).padEnd(NOTE_BYTES);
    const descriptor = openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      writeSync(descriptor, text, 0);
    } finally {
      closeSync(descriptor);
    }
  }

  /** Whether the live store belongs to the file that is there now, or to none if there is none. */
  names(file: FileIdentity | undefined): boolean {
    try {
      const files = JSON.parse(readFileSync(this.#path, 'utf8')) as (FileIdentity | null)[];
      return files.some((named) => sameIdentity(named ?? undefined, file));
    } catch {
      return false; // without a stamp it belongs to no file
    }
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

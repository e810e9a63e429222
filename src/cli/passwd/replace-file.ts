/**
 * Replaces a file that holds secrets, so that after a power cut either the old or the new content is there:
 * a temporary file in the same folder, written to the card, then renamed over the old one. Mode and owner stay.
 *
 * Where that cannot be (a file mounted into a container by itself, a folder one may not write to, an owner one may
 * not give it back to) the file is overwritten in place, with a backup beside it until that is done.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Only its owner may read a file made here. */
const SECRET_MODE = 0o600;

/** @throws the error of the file system; `EEXIST` where there is such a file already */
export function createSecretFile(path: string, content: string): void {
  writeNew(path, content, () => {});
  syncFolder(dirname(path));
}

/**
 * Follows symbolic links: the file behind them is replaced.
 *
 * @throws the error of the file system. Where an overwriting in place failed half-way, `message` names the backup.
 */
export function replaceSecretFile(path: string, content: string): void {
  const target = fs.realpathSync(path);
  try {
    replaceAtomically(target, content);
  } catch (error) {
    if (!OVERWRITE_ON.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
    overwriteWithBackup(target, content);
  }
}

/** The folder is closed to us, the file is mounted by itself, or its owner is somebody else. */
const OVERWRITE_ON = new Set(['EACCES', 'EPERM', 'EROFS', 'EBUSY', 'EXDEV']);

function replaceAtomically(target: string, content: string): void {
  const temporary = join(dirname(target), `.${basename(target)}.${randomSuffix()}`);
  const { uid, gid, mode } = fs.statSync(target);
  try {
    writeNew(temporary, content, (fd) => {
      const made = fs.fstatSync(fd);
      if (made.uid !== uid || made.gid !== gid) fs.fchownSync(fd, uid, gid);
      fs.fchmodSync(fd, mode & 0o7777);
    });
    fs.renameSync(temporary, target);
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(dirname(target));
}

/** @param prepare sets mode and owner before anybody can find the content */
function writeNew(path: string, content: string | Uint8Array, prepare: (fd: number) => void): void {
  const fd = fs.openSync(path, 'wx', SECRET_MODE);
  try {
    prepare(fd);
    fs.writeFileSync(fd, content);
    fs.fsyncSync(fd);
  } catch (error) {
    fs.rmSync(path, { force: true });
    throw error;
  } finally {
    fs.closeSync(fd);
  }
}

/** A rename is on the card only when its folder is. */
function syncFolder(folder: string): void {
  try {
    const fd = fs.openSync(folder, 'r');
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  } catch {
    // Some file systems cannot do it, and the new file is in its place already.
  }
}

function overwriteWithBackup(target: string, content: string): void {
  const fd = fs.openSync(target, 'r+');
  try {
    const backup = writeBackup(target, fs.readFileSync(target));
    try {
      fs.writeFileSync(fd, content);
      fs.ftruncateSync(fd, Buffer.byteLength(content));
      fs.fsyncSync(fd);
    } catch (cause) {
      throw new Error(`${(cause as Error).message}. The old content is in ${backup}`, { cause });
    }
    fs.rmSync(backup);
  } finally {
    fs.closeSync(fd);
  }
}

/** Beside the file, or where temporary files go when that folder is closed to us. */
function writeBackup(target: string, content: Uint8Array): string {
  const name = `${basename(target)}.backup.${randomSuffix()}`;
  const beside = join(dirname(target), name);
  try {
    writeNew(beside, content, () => {});
    return beside;
  } catch {
    const elsewhere = join(tmpdir(), name);
    writeNew(elsewhere, content, () => {});
    return elsewhere;
  }
}

function randomSuffix(): string {
  return randomBytes(3).toString('hex');
}

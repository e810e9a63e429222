/**
 * Replaces a file with secrets, so that after a power cut either the old or the new content is there: a temporary file
 * in the same folder is written, synced and renamed over the old one. Mode and owner stay.
 *
 * If this is not possible (the file is a mount point in a container, the folder is not writable, or the owner cannot be
 * restored), the file is overwritten in place, with a backup beside it until that is done.
 */
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** Only its owner may read a file made here. */
const SECRET_MODE = 0o600;

/** @throws the error of the file system; `EEXIST` if the file exists */
export function createSecretFile(path: string, content: string): void {
  writeNew(path, content, () => {});
  syncFolder(dirname(path));
}

/**
 * Follows symbolic links: the file behind them is replaced.
 *
 * @throws the error of the file system. If overwriting in place failed half-way, `message` names the backup.
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

/** Whether the file must be overwritten in place: its folder is not writable, it is a mount point, or not ours. */
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

/** Syncs the folder: only then is a rename on the disk. */
function syncFolder(folder: string): void {
  try {
    const fd = fs.openSync(folder, 'r');
    fs.fsyncSync(fd);
    fs.closeSync(fd);
  } catch {
    // Some file systems cannot sync a folder, and the new file is in its place already.
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

/** A path beside the file, or in the folder for temporary files if the file's folder is not writable. */
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

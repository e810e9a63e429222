/**
 * Main's part of the store: it opens the store first and closes it last, saves it, and leaves the disk such that
 * the next start knows how this one ended.
 */

import { rmSync } from 'node:fs';
import { LOCK_MS_MAX } from '../limits.js';
import { RetainedTails } from '../retained/retained-tails.js';
import { Store, type StoreOptions } from '../store.js';
import { Autosave, type AutosaveOptions } from './autosave.js';
import { LiveSaver, type SavedCopy } from './live-saver.js';
import { type FileIdentity, type FilePutAside, hashOf, sameIdentity, syncFile } from './saved-file.js';
import { type PreparedStore, removeStore } from './startup.js';

export interface StoreLifecycleOptions extends Omit<AutosaveOptions, 'write'> {
  /** Has every worker call `Store.flush`; resolves when they have answered, or are not going to. */
  flushWorkers: () => Promise<unknown>;
  /** For main's own store. */
  store?: Pick<StoreOptions, 'groupCommitMs' | 'onFailure' | 'onRecovery' | 'onDamage'>;
  /** Milliseconds that the end waits for the write lock: a thread that hangs may hold it for ever. */
  lockMsMax?: number;
  /** A save took the place of a file that was no save. */
  onPutAside?: (file: FilePutAside) => void;
  /** The live store lay in the saved file, and that was removed or replaced; a new one is written. */
  onFileLost?: () => void;
  /** It is written: to be opened instead of the lost one. */
  onFileWritten?: () => void;
  /** It cannot be written; the first failure in a row. */
  onFileNotWritten?: (error: Error) => void;
}

export class StoreLifecycle {
  /** Main's own view: for the directory of sessions, for the tails and for figures. */
  readonly store: Store;
  readonly autosave: Autosave;
  readonly #tails: RetainedTails;
  readonly #prepared: PreparedStore;
  readonly #options: StoreLifecycleOptions;
  /** `undefined` unless the live store is in memory and is saved. */
  readonly #saver: LiveSaver | undefined;
  /** The saved file, as the stand-in knows it: another one that has appeared in its place is not to be replaced. */
  #standsInFor: FileIdentity | undefined;
  /** What becomes of the saved file, if it is the live store. */
  #file: 'in place' | 'lost' | 'being written' | 'not written' | 'written' = 'in place';

  constructor(prepared: PreparedStore, options: StoreLifecycleOptions) {
    const { mode, path, saved } = prepared;
    this.#prepared = prepared;
    this.#options = options;
    this.store = new Store({ path, mode, now: options.now, ...options.store });
    this.store.resumeSweeping();
    this.#tails = new RetainedTails(this.store.environment);
    if (mode === 'autosave' && saved !== undefined) {
      this.#saver = new LiveSaver(this.store.environment, saved, options.now);
    }
    this.#standsInFor = saved?.identity();
    this.#keepBallast();
    this.autosave = new Autosave({ ...options, write: () => this.#write() });
    if (prepared.saveSoon) void this.autosave.save();
  }

  /** Once a second: saves if it is time; a stand-in for the store waits for that to be asked for. */
  tick(): void {
    if (this.#prepared.standIn === undefined) this.autosave.tick();
    this.#tails.tick();
    this.#keepBallast();
    if (this.store.environment.isFileLost && this.#file !== 'being written' && this.#file !== 'written')
      void this.#writeLostFile();
  }

  /**
   * The orderly end, after every worker has closed its store.
   * @returns whether everything is saved; if not, a live store in memory stays for the next start, unless it is temporary
   */
  async end(): Promise<boolean> {
    const { mode, path, saved, isTemporary, standIn } = this.#prepared;
    if (this.#saver !== undefined) this.#saver.isHurried = true;
    const { lockMsMax = LOCK_MS_MAX } = this.#options;
    await orLater(this.#tails.stop(), lockMsMax);
    if (this.store.environment.isFileLost && this.#file !== 'written') await this.#writeLostFile();
    const isSaved = (await this.autosave.save()) && (this.#saver === undefined || this.#saver.isInPlace);
    const closed = await orLater(this.store.close(), lockMsMax);
    this.store.environment.room.removeBallast();
    const isOver = mode === 'transient' || isTemporary || standIn !== undefined;
    if (isOver || (mode === 'autosave' && isSaved)) removeStore(path);
    rmSync(`${path}.unchecked`, { force: true });
    this.#prepared.folder?.release();
    const isOnDisk = mode === 'durable' || mode === 'deferred';
    const isWritten = this.#file === 'written';
    if (isOnDisk && closed && this.#file === 'in place') saved?.noteClosed();
    return (isSaved || isWritten) && (closed !== false || isWritten);
  }

  /** The lost file can still be read by those who have it open. */
  async #writeLostFile(): Promise<void> {
    const { onFileLost, onFileWritten, onFileNotWritten, now } = this.#options;
    const saved = this.#prepared.saved!;
    const before = this.#file;
    this.#file = 'being written';
    if (before === 'in place') onFileLost?.();
    try {
      await this.#options.flushWorkers();
      await this.store.flush();
      const path = saved.prepareNew();
      await this.store.environment.copyTo(path);
      await syncFile(path);
      const putAside = await saved.replace(path, await hashOf(path), now(), false);
      if (putAside !== undefined) this.#options.onPutAside?.(putAside);
      this.#file = 'written';
      onFileWritten?.();
    } catch (error) {
      this.#file = 'not written';
      if (before !== 'not written') onFileNotWritten?.(error as Error);
    }
  }

  #keepBallast(): void {
    if (this.#prepared.mode !== 'transient') this.store.environment.room.keepBallast();
  }

  async #write(): Promise<{ bytes: number } | undefined> {
    await this.#options.flushWorkers();
    const flushed = await this.store.flush();
    const copy = await this.#save();
    if (copy?.putAside !== undefined) this.#options.onPutAside?.(copy.putAside);
    if (!flushed) throw new Error('some changes cannot be written to the live store');
    return copy;
  }

  async #save(): Promise<SavedCopy | undefined> {
    const { saved, standIn } = this.#prepared;
    if (standIn && !sameIdentity(saved?.identity(), this.#standsInFor)) return undefined;
    const copy = await this.#saver?.save();
    this.#standsInFor = saved?.identity();
    return copy;
  }
}

/** @returns `undefined` if it does not come about in time */
function orLater<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Main's part of the store: it opens the store first and closes it last, saves it, and leaves the disk such that
 * the next start knows how this one ended.
 */

import { LOCK_MS_MAX } from '../limits.js';
import { RetainedTails } from '../retained/retained-tails.js';
import { Store, type StoreOptions } from '../store.js';
import { Autosave, type AutosaveOptions } from './autosave.js';
import { LiveSaver, type SavedCopy } from './live-saver.js';
import { type FileIdentity, type FilePutAside, sameIdentity } from './saved-file.js';
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
}

export class StoreLifecycle {
  /** Main's own view: for the directory of sessions, for the tails and for figures. */
  readonly store: Store;
  readonly autosave: Autosave;
  readonly #tails: RetainedTails;
  readonly #prepared: PreparedStore;
  readonly #options: StoreLifecycleOptions;
  /** Only if the live store is in memory and kept. */
  readonly #saver: LiveSaver | undefined;
  /** The saved file, as the stand-in knows it: another one that has appeared in its place is not to be replaced. */
  #standsInFor: FileIdentity | undefined;

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
    const isSaved = await this.autosave.save();
    const closed = await orLater(this.store.close(), lockMsMax);
    this.store.environment.room.removeBallast();
    const isOver = mode === 'transient' || isTemporary || standIn !== undefined;
    if (isOver || (mode === 'autosave' && isSaved)) removeStore(path);
    if ((mode === 'durable' || mode === 'deferred') && closed) saved?.noteClosed();
    return isSaved && closed !== false;
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

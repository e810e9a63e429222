/** Main's side of the store: prepares the live file, keeps it open, and puts it away at the end. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Settings } from '../config/settings.js';
import type { Log } from '../log/log.js';
import type { SessionRecord } from '../model/session-record.js';
import type { StorePlace } from '../routing/messages.js';
import { memoryFolders } from '../store/live-folder.js';
import { Store } from '../store/store.js';

export class StoreHost {
  readonly place: StorePlace;
  readonly #store: Store;
  readonly #folder: string;

  private constructor(store: Store, place: StorePlace, folder: string) {
    this.#store = store;
    this.place = place;
    this.#folder = folder;
  }

  /** Opens the store; has to be complete before the first worker starts. */
  static async open(_settings: Settings, _log: Log): Promise<StoreHost> {
    const [memory = tmpdir()] = memoryFolders(process.env);
    const folder = mkdtempSync(join(memory, 'midge-'));
    const place: StorePlace = { path: join(folder, 'live.mdb'), mode: 'transient', groupCommitMs: 0 };
    return new StoreHost(new Store({ ...place, now: Date.now }), place, folder);
  }

  /** The sessions that were stored when the broker ended. */
  sessions(): Generator<SessionRecord> {
    return this.#store.sessions.list();
  }

  /** When all workers have closed theirs. */
  async close(): Promise<void> {
    await this.#store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

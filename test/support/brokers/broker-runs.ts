/** A broker's starts and ends, as far as its store goes: one main thread that prepares, opens, saves and ends. */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { ChangeCounter } from '../../../src/store/file/autosave.js';
import { type PreparedStore, prepareStore, type StartupOptions } from '../../../src/store/file/startup.js';
import { StoreLifecycle } from '../../../src/store/file/store-lifecycle.js';
import { Store } from '../../../src/store/store.js';
import { afterTest } from '../cleanup.js';
import { message, publication, session, temporaryFolder, text } from '../store/stores.js';

/** One place on the disk and one memory, on which brokers run one after the other. */
export class BrokerRuns {
  readonly path: string;
  /** A folder in /dev/shm that is the machine's memory: `reboot` empties it. */
  readonly memory: string;
  readonly log: string[] = [];
  durable = false;
  persistence = true;
  /** As the option of `StoreLifecycle`. */
  lockMsMax = 60_000;
  now = Date.UTC(2026, 10, 23, 15, 10);
  readonly #t: TestContext;

  constructor(t: TestContext, memory = temporaryMemory(t)) {
    this.#t = t;
    this.memory = memory;
    this.path = join(temporaryFolder(t), 'mosquitto.db');
  }

  /** Names of the files at persistence_location. */
  get files(): string[] {
    return readdirSync(dirname(this.path)).sort();
  }

  async start(options: Partial<StartupOptions> = {}): Promise<BrokerRun> {
    const prepared = await prepareStore({
      persistence: this.persistence,
      path: this.path,
      durable: this.durable,
      memoryFolders: [this.memory],
      now: () => this.now,
      log: (level, line) => this.log.push(`${level}: ${line}`),
      ...options,
    });
    return new BrokerRun(this.#t, prepared, () => this.now, this.lockMsMax);
  }

  /** What a reboot leaves of the memory. */
  reboot(): void {
    for (const name of readdirSync(this.memory)) rmSync(join(this.memory, name), { recursive: true });
  }
}

/** Node's only way to a folder in memory. */
function temporaryMemory(t: TestContext): string {
  return temporaryFolder(t, existsSync('/dev/shm') ? '/dev/shm' : undefined);
}

export class BrokerRun {
  readonly prepared: PreparedStore;
  readonly lifecycle: StoreLifecycle;
  /** The only worker's store. */
  readonly worker: Store;
  readonly events: string[] = [];
  #ended = false;
  readonly #written = deferred();

  constructor(t: TestContext, prepared: PreparedStore, now: () => number, lockMsMax: number) {
    this.prepared = prepared;
    this.lifecycle = new StoreLifecycle(prepared, {
      interval: 0,
      onChanges: false,
      changes: new ChangeCounter(),
      now,
      lockMsMax,
      flushWorkers: () => this.worker.flush(),
      onSaved: ({ bytes }) => this.events.push(`saved ${bytes > 0 ? 'bytes' : 'nothing'}`),
      onFailure: (error) => this.events.push(`failed: ${error.message}`),
      onRecovery: () => this.events.push('recovered'),
      onPutAside: ({ path }) => this.events.push(`kept ${path}`),
      onFileLost: () => this.events.push('the file is lost'),
      onFileWritten: () => this.#written.resolve(),
      onFileNotWritten: ({ message }) => this.events.push(`not written: ${message}`),
    });
    this.worker = new Store({ path: prepared.path, mode: prepared.mode, now });
    afterTest(t, () => this.#ended || this.kill());
  }

  /** Resolves when a lost file has been written anew. */
  written(): Promise<void> {
    return this.#written.promise;
  }

  get mode() {
    return this.prepared.mode;
  }

  get alarms(): string[] {
    return this.prepared.alarms;
  }

  /** Stores a retained message and a session with a queued one, both named by `name`. */
  async add(name: string): Promise<void> {
    this.worker.retained.set(publication(`retained/${name}`, name));
    const stored = this.worker.sessions.create(session(name));
    stored.outgoing.append(this.worker.sharedMessage(message('queued', name)), {
      state: 'queued',
      packetId: 0,
      qos: 1,
      retain: false,
      dup: false,
      subscriptionIds: [],
    });
    await this.worker.flush();
  }

  /** The names that `add` was called with, as far as both records are there and whole. */
  names(): string[] {
    this.worker.refresh();
    const names: string[] = [];
    for (const { clientId } of [...this.worker.sessions.list()]) {
      const [queued] = this.worker.sessions.load(clientId)!.stored.outgoing.read(0, 1);
      const retained = this.worker.retained.get(`retained/${clientId}`);
      const whole =
        queued &&
        text(queued.message.payload) === clientId &&
        retained &&
        text(retained.payload()) === clientId;
      if (whole) names.push(clientId);
    }
    return names.sort();
  }

  async end(): Promise<boolean> {
    this.#ended = true;
    await this.worker.close();
    return this.lifecycle.end();
  }

  /**
   * As SIGKILL would: nothing is saved, nothing is tidied up. (LMDB has to be closed in this process, but what is
   * committed is in the file either way; a real SIGKILL has a test of its own.)
   */
  async kill(): Promise<void> {
    this.#ended = true;
    await this.worker.environment.close();
    await this.lifecycle.store.environment.close();
    this.prepared.folder?.release();
  }
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}

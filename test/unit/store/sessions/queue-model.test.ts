/** Queues that share messages, beside the lists that they should be: whatever happens, commits that fail included. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import type { Residence } from '../../../../src/session/session-storage.js';
import type { QueueEntry } from '../../../../src/store/sessions/queue-entry.js';
import type { StoredSession } from '../../../../src/store/sessions/stored-session.js';
import { Store } from '../../../../src/store/store.js';
import { delivery, message, openFillableStore, session, text } from '../../../support/store/stores.js';

const LARGE = 'p'.repeat(300);

const RESIDENCES: readonly Residence[] = ['passing', 'waiting', 'stored'];

const CLIENTS = ['a', 'b', 'c'] as const;

const STEPS = [
  ...['append', 'append', 'append', 'append', 'send', 'note', 'pubrec', 'remove', 'remove', 'remove'],
  ...['flush', 'turn', 'fill the disk', 'make room', 'reopen', 'read', 'kill', 'end'],
] as const;

interface Step {
  what: string;
  pick: number;
}

const anyStep: fc.Arbitrary<Step> = fc.record({ what: fc.constantFrom(...STEPS), pick: fc.nat(1000) });

interface Item {
  sequence: number;
  payload: string;
  state: 'queued' | 'awaiting PUBACK' | 'awaiting PUBREC' | 'awaiting PUBCOMP';
  entry: QueueEntry;
  /** Its entry was not kept by who appended it. */
  isOnDisk: boolean;
  /** Its publisher was told that it is stored. */
  isAcknowledged: boolean;
}

/** One session, and what should be in its queue. */
class Model {
  readonly clientId: string;
  session: StoredSession;
  list: Item[] = [];
  /** Sequences of messages that were removed, which is stored. */
  readonly gone = new Set<number>();

  constructor(store: Store, clientId: string) {
    this.clientId = clientId;
    this.session = store.sessions.create(session(clientId));
  }

  get queued(): Item[] {
    return this.list.filter(({ state }) => state === 'queued');
  }

  /** A message, with an entry to change it by. */
  take(pick: number, among: readonly Item[]): Item | undefined {
    const item = among[pick % Math.max(1, among.length)];
    if (item?.isOnDisk) item.entry = this.session.outgoing.read(item.sequence - 1, 1)[0]!;
    if (item !== undefined) item.isOnDisk = false;
    return item;
  }

  remove(store: Store, item: Item): void {
    const mark = store.mark();
    item.entry.remove();
    this.list = this.list.filter((other) => other !== item);
    store.whenSettled(mark, () => this.gone.add(item.sequence));
  }

  checkReading(): void {
    const { outgoing } = this.session;
    assert.deepEqual(described(outgoing.read(0, 1000)), this.queued.map(describe));
    const half = this.list[this.list.length >> 1];
    if (half === undefined) return;
    const after = this.queued.filter(({ sequence }) => sequence > half.sequence);
    assert.deepEqual(described(outgoing.read(half.sequence, 3)), after.slice(0, 3).map(describe));
    for (const item of this.queued) item.isOnDisk = true; // read again before it is used
  }

  /** @param store opened after an orderly end */
  takeUp(store: Store): void {
    const { stored, outgoing } = store.sessions.load(this.clientId)!;
    if (stored.record.isSending) {
      for (const item of this.list) if (item.state === 'awaiting PUBACK') item.state = 'queued';
    }
    this.session = stored;
    this.gone.clear(); // an empty queue begins at 1 again
    assert.equal(outgoing.waiting, this.queued.length);
    const entries = [...outgoing.inFlight, ...stored.outgoing.read(0, 1000)];
    entries.sort((a, b) => a.sequence - b.sequence);
    assert.deepEqual(described(entries), this.list.map(describe));
    this.list.forEach((item, index) => {
      item.entry = entries[index]!;
      item.isOnDisk = false;
    });
  }

  /** What the next start would find if the process were killed now. */
  checkKilled(store: Store): void {
    const loaded = store.sessions.load(this.clientId);
    if (loaded === undefined) {
      assert.deepEqual(
        this.list.filter(({ isAcknowledged }) => isAcknowledged),
        [],
      );
      return;
    }
    const entries = [...loaded.outgoing.inFlight, ...loaded.stored.outgoing.read(0, 1000)];
    const found = entries.map(({ sequence }) => sequence).sort((a, b) => a - b);
    assert.equal(new Set(found).size, found.length);
    for (const { sequence, isAcknowledged } of this.list) {
      if (isAcknowledged) assert.ok(found.includes(sequence), `${sequence} is lost`);
    }
    for (const sequence of found) assert.ok(!this.gone.has(sequence), `${sequence} is back`);
  }
}

function describe({ sequence, state, payload }: Item): string {
  return `${sequence} ${state} ${state === 'awaiting PUBCOMP' ? '' : payload}`;
}

function described(entries: readonly QueueEntry[]): string[] {
  return entries.map(({ sequence, state, message: { payload } }) => `${sequence} ${state} ${text(payload)}`);
}

/** The store with the queues and their models. */
class Run {
  readonly #t: TestContext;
  #store: Store;
  #disk: { isFull: boolean };
  readonly #models: Model[];
  #count = 0;

  constructor(t: TestContext) {
    this.#t = t;
    ({ store: this.#store, disk: this.#disk } = openFillableStore(t));
    this.#models = CLIENTS.map((clientId) => new Model(this.#store, clientId));
  }

  async take({ what, pick }: Step): Promise<void> {
    const model = this.#models[pick % CLIENTS.length]!;
    const choice = Math.floor(pick / CLIENTS.length);
    switch (what) {
      case 'append':
        return this.#append(choice);
      case 'send': {
        const item = model.take(choice, model.queued);
        if (item === undefined) return;
        item.state = choice % 2 === 0 ? 'awaiting PUBACK' : 'awaiting PUBREC';
        return item.entry.update({ state: item.state, packetId: 1 });
      }
      case 'note': {
        const item = model.take(choice, model.queued);
        if (item === undefined) return;
        item.state = 'awaiting PUBACK';
        return item.entry.updateLater(item.state, 1);
      }
      case 'pubrec': {
        const item = model.take(
          choice,
          model.list.filter(({ state }) => state === 'awaiting PUBREC'),
        );
        if (item === undefined) return;
        item.state = 'awaiting PUBCOMP';
        return item.entry.update({ state: item.state });
      }
      case 'remove': {
        const item = model.take(choice, model.list);
        return item && model.remove(this.#store, item);
      }
      case 'end':
        model.session.end();
        Object.assign(model, new Model(this.#store, model.clientId));
        return;
      case 'flush':
        await this.#store.flush();
        return;
      case 'turn':
        void this.#store.flush();
        return turn();
      case 'fill the disk':
        this.#disk.isFull = true;
        return;
      case 'make room':
        this.#disk.isFull = false;
        return;
      case 'reopen':
        return this.#reopen(pick % 2 === 0);
      case 'read':
        return model.checkReading();
      case 'kill':
        return this.#kill();
    }
  }

  /** One message, for some of them. */
  #append(choice: number): void {
    this.#count += 1;
    const payload = `${this.#count} ${choice % 2 === 0 ? LARGE : ''}`;
    const kept = this.#store.sharedMessage(message('t', payload));
    const items: Item[] = [];
    const mark = this.#store.mark();
    for (const [i, model] of this.#models.entries()) {
      if (((choice >> i) & 1) === 1) continue;
      const residence = RESIDENCES[(choice + i) % RESIDENCES.length]!;
      const entry = model.session.outgoing.append(kept, delivery(), residence);
      const { sequence } = entry;
      const isOnDisk = residence === 'stored';
      const item: Item = { sequence, payload, state: 'queued', entry, isOnDisk, isAcknowledged: false };
      model.list.push(item);
      items.push(item);
    }
    this.#store.whenSettled(mark, () => {
      for (const item of items) item.isAcknowledged = true;
    });
  }

  /** The broker ends in order, with clients or without, and starts again. */
  async #reopen(isSending: boolean): Promise<void> {
    this.#disk.isFull = false;
    for (const { session: one, list } of this.#models) {
      for (const { entry } of list) entry.writeUpdates();
      one.update({ isSending });
    }
    assert.equal(await this.#store.close(), true);
    const { path } = this.#store.environment;
    ({ store: this.#store, disk: this.#disk } = openFillableStore(this.#t, { path }));
    this.#store.resumeSweeping();
    for (const model of this.#models) model.takeUp(this.#store);
  }

  async #kill(): Promise<void> {
    const { path, mode } = this.#store.environment;
    const next = new Store({ path, mode, now: () => 1_000_000 });
    for (const model of this.#models) model.checkKilled(next);
    await next.close();
  }

  /** All messages reach their receivers, and nothing is left. */
  async end(): Promise<void> {
    this.#disk.isFull = false;
    await this.#store.flush();
    await this.#kill();
    for (const model of this.#models) model.checkReading();
    for (const model of this.#models) {
      while (model.list.length > 0) model.remove(this.#store, model.take(0, model.list)!);
    }
    for (let i = 0; i < 3; i += 1) await this.#store.flush(); // messages follow their references
    await this.#store.sessions.sweepingFinished();
    for (let i = 0; i < 3; i += 1) await this.#store.flush();
    const { environment } = this.#store;
    for (const table of ['queue', 'messages', 'references', 'deliveries', 'garbage'] as const) {
      assert.equal(environment.entryCount(table), 0, table);
    }
    await this.#store.close();
  }
}

test('queues are the lists that they should be, whatever happens', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async (steps) => {
      const run = new Run(t);
      for (const step of steps) await run.take(step);
      await run.end();
    }),
    { numRuns: Number(process.env.RUNS ?? 60) },
  );
});

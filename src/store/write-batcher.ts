/**
 * The write-behind layer of one thread: changes to the store are collected while they are made and written as one
 * transaction, at most one at a time.
 *
 *        add ─────────► dirty ──flush──► writing ──commit──► settled
 *                         │                 │
 *        cancel ──────────┴─► settled       └──commit failed──► dirty, tried again
 *
 * When a flush happens depends on who waits. A change somebody waits for is written as soon as no other commit is
 * under way; so commits group by themselves under load and take a fraction of a millisecond without. A `patient`
 * change gets the whole grouping window, because it is likely to be cancelled in it: a QoS 1 message on its way
 * to a connected client needs no record once that client has acknowledged it. A change nobody waits for follows
 * the last commit at the distance of that window.
 *
 * Who finds in memory what an earlier change made, and acknowledges because of it, has to wait for that change: `relyOn`
 * makes it one of the things that `whenSettled` waits for. Each change has a position, and commits keep their order.
 *
 * A failed commit (disk full) loses nothing: its changes become dirty again and are retried, what waits for them
 * goes on waiting, and `onFailure` and `onRecovery` tell about it.
 */
import { appendAll } from '../base/append-all.js';
import { assert } from '../base/assert.js';
import { RETRY_MS, RETRY_MS_MAX } from './limits.js';

/** One record that is to be written or removed. Holds its latest value; encodes it when it is written. */
export abstract class Change {
  /** To be written with the next flush. */
  dirty = false;
  /** Handed to LMDB, commit not yet known. */
  writing = false;
  /** May wait for the grouping window. */
  patient = false;
  waiters: Waiter[] | null = null;

  /** Rough size in memory. */
  abstract readonly weight: number;

  /** Bytes that it writes at the most, roughly. */
  get bytes(): number {
    return this.weight;
  }

  /** Whether it writes something that is new, and does not only change or remove what is there. */
  get grows(): boolean {
    return true;
  }

  /** Puts or removes; called within one turn for all changes of a transaction. */
  abstract write(): void;

  /** What was written last is committed. A later value may be dirty already. */
  abstract committed(): void;

  get settled(): boolean {
    return !this.dirty && !this.writing;
  }
}

/** Collects several changes of a transaction and writes them together. */
export interface LastWriter {
  writeLast(): void;
}

/** A caller that waits until a number of changes are settled. */
interface Waiter {
  remaining: number;
  callback: () => void;
}

export interface WriteBatcherOptions {
  /**
   * Milliseconds a change may wait for others if nobody waits for it, or if it is likely to be cancelled.
   * Infinite: nothing is written but by `flush`, or when it grows beyond `dirtyBytesMax`, and nobody waits: an
   * acknowledgement means no more than "in memory".
   */
  windowMs: number;
  /** Milliseconds between a change somebody waits for and its flush: 0, or more to spare a memory card. */
  waitedWindowMs: number;
  /** Milliseconds until a failed commit is tried again, the first time; twice as long each time after that. */
  retryMs?: number;
  /** Commits prove nothing, because the store stands in for another one: what is added is never settled. */
  neverSettles?: boolean;
  /** The changes in memory that make a flush necessary, whoever waits. */
  dirtyBytesMax?: number;
  /** A commit failed, the first one in a row. */
  onFailure?: (error: Error) => void;
  /** The first commit that succeeded after failures. */
  onRecovery?: () => void;
}

type FlushWaiter = (committed: boolean) => void;

/** The part of the environment that the batcher needs. */
export interface Committer {
  /** What is put in this turn's "immediates" comes into a transaction that begins in this turn, not in the next. */
  prepare(): void;
  /**
   * Before a transaction of so many changes and bytes.
   * @throws if it would not find room: nothing of it may be put then
   */
  ensureRoom(changes: number, bytes: number, grows: boolean): void;
  /** Resolves when everything put in this turn is committed; rejects when that failed. */
  committed(): Promise<void>;
  /** Lets this thread read what it has committed. */
  refresh(): void;
}

const DIRTY_BYTES_MAX = 16 * 1024 * 1024;

/** Cancelled changes that may stay in memory. */
const CANCELLED_MAX = 1000;

/** Larger transactions are split if they may be: each change holds native memory until the commit. */
const CHANGES_PER_COMMIT_MAX = 50_000;

/** Into pieces of about so many changes they may be split: if there is little room, each is written by itself. */
const CHANGES_A_PIECE = 64;

export class WriteBatcher {
  readonly #committer: Committer;
  readonly #options: Required<WriteBatcherOptions>;
  /** Whether changes are written by themselves, and acknowledgements wait for that. */
  readonly #timed: boolean;
  #dirty: Change[] = [];
  #dirtyBytes = 0;
  /** Places in `#dirty` at which it may be split into transactions. */
  #cuts: number[] = [];
  /** How many changes were added before the first one of `#dirty`. */
  #position = 0;
  /** All changes up to this position are committed or cancelled. */
  #settledPosition = 0;
  #reliances: Reliance[] = [];
  /** How many of `#dirty` have been cancelled, about. */
  #cancelled = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  /** When `#timer` fires, on the clock of `performance.now()`. */
  #timerAt = Number.POSITIVE_INFINITY;
  #lastFlushAt = Number.NEGATIVE_INFINITY;
  #commit: Promise<void> | undefined;
  #commitStartedAt = 0;
  #urgent = false;
  /** Commits failed in a row. */
  #failures = 0;
  #closed = false;
  #flushWaiters: FlushWaiter[] = [];
  /** Who writes when all changes of the transaction have had their turn. */
  #lastWriters: LastWriter[] = [];
  /** Number of the transaction being collected; changes use it to write something once a transaction. */
  #batchNumber = 1;
  #commits = 0;
  #written = 0;

  constructor(committer: Committer, options: WriteBatcherOptions) {
    this.#committer = committer;
    this.#timed = options.windowMs < Number.POSITIVE_INFINITY;
    this.#options = {
      retryMs: RETRY_MS,
      neverSettles: false,
      dirtyBytesMax: DIRTY_BYTES_MAX,
      onFailure: () => {},
      onRecovery: () => {},
      ...options,
    };
  }

  /** Transactions committed. */
  get commits(): number {
    return this.#commits;
  }

  /** The upper bound of `commits` at the moment when all that is dirty or being written now is committed. */
  get commitsDue(): number {
    const underWay = this.#commit === undefined ? 0 : 1;
    return this.#commits + underWay + (this.#dirty.length === 0 ? 0 : this.#cuts.length + 1);
  }

  /** Changes that these transactions held. */
  get written(): number {
    return this.#written;
  }

  /** Changes that were added and not handed to LMDB yet; some may have been cancelled. */
  get dirty(): number {
    return this.#dirty.length;
  }

  get batchNumber(): number {
    return this.#batchNumber;
  }

  /** Whether commits fail at present. */
  get failing(): boolean {
    return this.#failures > 0;
  }

  /** Milliseconds since the commit under way began, 0 if none is: a writer that hangs shows here. */
  get commitAgeMs(): number {
    return this.#commit === undefined ? 0 : performance.now() - this.#commitStartedAt;
  }

  /**
   * Adds a change to the next transaction. One that is dirty already is listed again, so that `whenSettled` waits for
   * it.
   * @param patient whether it is likely to be cancelled soon
   */
  add(change: Change, patient = false): void {
    assert(!this.#closed, 'a change after the store was closed');
    if (change.dirty) {
      change.patient &&= patient;
      if (!this.#timed) return; // nobody waits for it, it need not be listed again
    } else {
      change.dirty = true;
      change.patient = patient;
      this.#dirtyBytes += change.weight;
    }
    this.#dirty.push(change);
    this.#schedule(change.patient);
  }

  /** The position of the change that was added last. Those of earlier changes are lower. */
  get position(): number {
    return this.#position + this.#dirty.length;
  }

  /**
   * Whoever waits for the changes of this turn waits for the earlier change at this position, too, because what is
   * acknowledged relies on it.
   * @param position 0 for what was committed before this process began
   */
  relyOn(position: number): void {
    if (!this.#timed || position <= this.#settledPosition) return;
    const reliance = new Reliance(position);
    this.#reliances.push(reliance);
    this.#dirty.push(reliance);
  }

  /** Calls `last` when all changes of the transaction being written have had their turn, as part of it. */
  atEnd(last: LastWriter): void {
    this.#lastWriters.push(last);
  }

  /** The change need not be written any more; who waits for it need not wait. */
  cancel(change: Change): void {
    if (!change.dirty) return;
    change.dirty = false;
    this.#dirtyBytes -= change.weight;
    assert(this.#dirtyBytes >= 0, 'what is dirty weighs as much when it is cancelled as when it was added');
    const { waiters } = change;
    change.waiters = null;
    if (waiters !== null) settle(waiters);
    if (!this.#timed) this.#forgetCancelled();
  }

  /**
   * Cancels changes because of others that are added in this turn. Who waits for the former waits for the transaction of
   * the latter.
   */
  supersede(changes: Iterable<Change>): void {
    const waiters: Waiter[] = [];
    for (const change of changes) {
      if (change.dirty && change.waiters !== null) appendAll(waiters, change.waiters);
      if (change.dirty) change.waiters = null;
      this.cancel(change);
    }
    if (waiters.length === 0) return;
    this.#dirty.push(new Reminder(waiters));
    this.#scheduleUrgent();
  }

  /**
   * Marks a point of time within the current turn of the event loop:
   *
   *     const mark = batcher.mark();
   *     …changes…
   *     if (batcher.changedSince(mark)) batcher.whenSettled(mark, acknowledge); else acknowledge();
   *
   * That way what changes nothing costs no closure. What is changed between two marks is in one transaction.
   */
  mark(): number {
    if (this.#dirty.length - (this.#cuts.at(-1) ?? 0) >= CHANGES_A_PIECE) this.#cuts.push(this.#dirty.length);
    return this.#dirty.length;
  }

  /** The same in the middle of changes that belong together: they stay in one transaction. */
  markWithin(): number {
    return this.#dirty.length;
  }

  /** All changes up to now belong together: they are written in one transaction. */
  join(): void {
    this.#cuts = [];
  }

  /** Whether there is something to wait for since `mark`. */
  changedSince(mark: number): boolean {
    return this.#timed && this.#dirty.length > mark;
  }

  /** Calls back once all that changed since `mark` is committed or cancelled; at once if that is so already. */
  whenSettled(mark: number, callback: () => void): void {
    assert(!this.#timed || mark <= this.#dirty.length, 'a mark is used in the turn in which it was made');
    const waiter: Waiter = { remaining: 0, callback };
    let patient = true;
    if (this.#timed) {
      for (let i = mark; i < this.#dirty.length; i += 1) {
        const change = this.#dirty[i]!;
        if (!change.dirty) continue;
        wait(waiter, change);
        patient &&= change.patient;
      }
    }
    if (waiter.remaining === 0) callback();
    else if (!patient) this.#scheduleUrgent();
  }

  /**
   * Writes what is dirty now, without waiting for a window.
   * @returns whether it is committed; if not it stays dirty and is tried again
   */
  flush(): Promise<boolean> {
    if (this.#dirty.length === 0 && this.#commit === undefined) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.#flushWaiters.push(resolve);
      this.#startCommit();
    });
  }

  /**
   * Writes everything and takes no more changes.
   * @returns whether everything is committed; what is not is lost with the thread
   */
  async close(): Promise<boolean> {
    let committed = true;
    while (committed && (this.#dirty.length > 0 || this.#commit !== undefined))
      committed = await this.flush();
    this.#closed = true;
    this.#clearSchedule();
    return committed;
  }

  /** Where flushes are half an hour apart, what was cancelled would pile up. */
  #forgetCancelled(): void {
    this.#cancelled += 1;
    if (this.#cancelled < CANCELLED_MAX || this.#cancelled * 2 < this.#dirty.length) return;
    this.#dirty = this.#dirty.filter(({ dirty }) => dirty);
    this.#cuts = [];
    this.#cancelled = 0;
  }

  #schedule(patient: boolean): void {
    if (this.#commit !== undefined || this.#immediate !== undefined || this.failing) return;
    if (!this.#timed) {
      if (this.#dirtyBytes > this.#options.dirtyBytesMax) this.#scheduleUrgent();
      return;
    }
    const now = performance.now();
    const { windowMs } = this.#options;
    this.#scheduleAt(patient ? now + windowMs : Math.max(now, this.#lastFlushAt + windowMs), now);
  }

  #scheduleUrgent(): void {
    if (this.failing) return;
    this.#urgent = true;
    if (this.#commit !== undefined) return;
    const { waitedWindowMs } = this.#options;
    if (waitedWindowMs > 0) {
      const now = performance.now();
      this.#scheduleAt(now + waitedWindowMs, now);
    } else {
      if (this.#immediate !== undefined) return;
      this.#immediate = setImmediate(() => this.#startCommit());
      this.#committer.prepare();
    }
  }

  #scheduleAt(at: number, now: number): void {
    if (this.#immediate !== undefined || this.#timerAt <= at) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#startCommit(), at - now);
  }

  #clearSchedule(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#urgent = false;
  }

  #startCommit(): void {
    if (this.#commit !== undefined) return;
    this.#clearSchedule();
    let count = 0;
    try {
      count = this.#findRoom();
    } catch (error) {
      this.#tryLater(error as Error);
      return;
    }
    const batch = this.#takeBatch(count);
    const position = this.#position;
    // What is left over is the next transaction's, and so are those who wait for everything.
    const flushWaiters = this.#dirty.length > 0 ? [] : this.#flushWaiters.splice(0);
    if (batch.length === 0) {
      this.#recover(); // what failed has been cancelled
      this.#settleReliances(position);
      for (const resolve of flushWaiters) resolve(true);
      return;
    }
    if (batch.every((change) => change instanceof Reminder)) this.#committer.prepare();
    const waiters = this.#writeBatch(batch);
    this.#lastFlushAt = this.#commitStartedAt = performance.now();
    this.#commit = this.#committer.committed().then(
      () => this.#succeed(batch, waiters, flushWaiters, position),
      (error: Error) => this.#fail(batch, waiters, flushWaiters, error),
    );
  }

  /**
   * @returns how much of `#dirty` the next transaction takes: as much as may be, or a piece if there is no room for more
   * @throws what the committer says if there is no room for that either
   */
  #findRoom(): number {
    const first = this.#cuts[0] ?? this.#dirty.length;
    let most = this.#dirty.length;
    if (most > CHANGES_PER_COMMIT_MAX)
      most = this.#cuts.findLast((cut) => cut <= CHANGES_PER_COMMIT_MAX) ?? first;
    try {
      this.#ensureRoom(most);
      return most;
    } catch (error) {
      if (first >= most) throw error;
    }
    this.#ensureRoom(first);
    return first;
  }

  #ensureRoom(count: number): void {
    let changes = 0;
    let bytes = 0;
    let grows = false;
    for (let i = 0; i < count; i += 1) {
      const change = this.#dirty[i]!;
      if (!change.dirty) continue;
      changes += 1;
      bytes += change.bytes;
      grows ||= change.grows;
    }
    if (changes > 0) this.#committer.ensureRoom(changes, bytes, grows);
  }

  /** The dirty changes that go into the next transaction, each once. */
  #takeBatch(count: number): Change[] {
    const batch: Change[] = [];
    assert(count <= this.#dirty.length, 'a transaction ends within what is dirty');
    while (this.#cuts[0] !== undefined && this.#cuts[0] <= count) this.#cuts.shift();
    for (let i = 0; i < count; i += 1) {
      const change = this.#dirty[i]!;
      if (!change.dirty || change instanceof Reliance) continue;
      change.dirty = false;
      this.#dirtyBytes -= change.weight;
      batch.push(change);
    }
    if (count === this.#dirty.length) this.#dirty = [];
    else this.#dirty.splice(0, count);
    this.#position += count;
    this.#moveCuts(-count);
    assert(this.#dirtyBytes >= 0, 'what is dirty weighs as much when it is written as when it was added');
    return batch;
  }

  #moveCuts(by: number): void {
    for (let i = 0; i < this.#cuts.length; i += 1) this.#cuts[i]! += by;
  }

  /** @returns who waits for the transaction */
  #writeBatch(batch: Change[]): Waiter[] {
    const waiters: Waiter[] = [];
    for (const change of batch) {
      assert(!change.writing, 'one transaction at a time: no change is written twice at once');
      change.writing = true;
      change.write();
      if (change.waiters !== null) {
        for (const waiter of change.waiters) waiters.push(waiter);
        change.waiters = null;
      }
    }
    for (const last of this.#lastWriters) last.writeLast();
    this.#lastWriters = [];
    this.#batchNumber += 1;
    return waiters;
  }

  #succeed(batch: Change[], waiters: Waiter[], flushWaiters: FlushWaiter[], position: number): void {
    this.#commit = undefined;
    this.#commits += 1;
    this.#written += batch.length;
    this.#committer.refresh();
    for (const change of batch) {
      change.writing = false;
      change.committed();
    }
    this.#recover();
    settle(waiters);
    this.#settleReliances(position);
    for (const resolve of flushWaiters) resolve(true);
    this.#continue();
  }

  #recover(): void {
    if (!this.failing) return;
    this.#failures = 0;
    this.#options.onRecovery();
  }

  /** All changes up to `position` are committed or cancelled. */
  #settleReliances(position: number): void {
    if (this.#options.neverSettles) return;
    this.#settledPosition = position;
    if (this.#reliances.length === 0) return;
    const settled = this.#reliances.filter((reliance) => reliance.position <= position);
    this.#reliances = this.#reliances.filter((reliance) => reliance.position > position);
    for (const reliance of settled) {
      reliance.dirty = false;
      const { waiters } = reliance;
      reliance.waiters = null;
      if (waiters !== null) settle(waiters);
    }
  }

  #continue(): void {
    if (this.#flushWaiters.length > 0) this.#startCommit();
    else if (this.#urgent) this.#scheduleUrgent();
    else if (this.#dirty.length > 0) this.#schedule(false);
  }

  #fail(batch: Change[], waiters: Waiter[], flushWaiters: FlushWaiter[], error: Error): void {
    this.#commit = undefined;
    for (const change of batch) {
      change.writing = false;
      if (change.dirty) continue; // changed again since: its new value is what counts
      change.dirty = true;
      this.#dirtyBytes += change.weight;
    }
    const reminders = waiters.length > 0 ? [new Reminder(waiters)] : [];
    this.#moveCuts(batch.length + reminders.length);
    this.#position -= batch.length + reminders.length;
    this.#dirty = [...batch, ...reminders, ...this.#dirty];
    this.#tryLater(error);
    for (const resolve of flushWaiters) resolve(false);
  }

  #tryLater(error: Error): void {
    if (!this.failing) this.#options.onFailure(error);
    const delay = Math.min(this.#options.retryMs * 2 ** this.#failures, RETRY_MS_MAX);
    this.#failures += 1;
    const now = performance.now();
    this.#scheduleAt(now + delay, now);
    for (const resolve of this.#flushWaiters.splice(0)) resolve(false);
  }
}

/** Stands behind the changes of a failed transaction, and calls those who waited once all of them are committed. */
class Reminder extends Change {
  override readonly weight = 0;

  constructor(waiters: Waiter[]) {
    super();
    this.dirty = true;
    this.waiters = waiters;
  }

  override get grows(): boolean {
    return false;
  }

  override write(): void {}

  override committed(): void {}
}

/** Stands for an earlier change that an acknowledgement relies on, until that change is settled. Is never written. */
class Reliance extends Change {
  override readonly weight = 0;
  readonly position: number;

  constructor(position: number) {
    super();
    this.position = position;
    this.dirty = true;
  }

  override write(): void {}

  override committed(): void {}
}

function wait(waiter: Waiter, change: Change): void {
  waiter.remaining += 1;
  // An array that begins with its first element has no room for sixteen more.
  if (change.waiters === null) change.waiters = [waiter];
  else change.waiters.push(waiter);
}

function settle(waiters: Waiter[]): void {
  for (const waiter of waiters) {
    waiter.remaining -= 1;
    if (waiter.remaining === 0) waiter.callback();
  }
}

/**
 * The second index of retained messages: their topics with the last level first, for filters such as `+/+/x`.
 *
 * Neighbours in it have nothing to do with each other, so that each new topic costs a page of its own: more than all
 * the rest of its message. Topics come in bursts, as when a house starts up, and somebody waits for them to be stored.
 * So a transaction only lists the topics that are new or gone, all in one record (`stale-tails.ts`), and when it has
 * become quiet main, which has little else to do, works the lists off in the order of the index. Until then a walk
 * looks at the lists as well.
 *
 * At all times: a topic that has a message is in the index or in a list. A list says that its topics have to be looked
 * at, not what is to be done, so it does no harm to work one off twice.
 *
 * A thread that replaces a message relies on what it saw before its commit: that the topic is there, and so in the
 * index. Another one may clear the topic in between. So the list with a topic that is gone rests for longer than such a
 * commit takes (`retained-store.ts` looks after those that take longer), and is worked off once more.
 */

import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { asBuffer } from '../../base/as-buffer.js';
import { assert } from '../../base/assert.js';
import { NO_BYTES } from '../../base/no-bytes.js';
import type { Environment } from '../environment.js';
import { isCutKey, retainedKey, retainedTailKey } from '../keys.js';
import { TAIL_REST_MS } from '../limits.js';
import { topicsOf } from './stale-tails.js';

/**
 * Bytes of lists after which they are worked off though more arrive: walks have to look at all of them, which takes
 * about a tenth of a second for so many.
 */
const STALE_BYTES_MAX = 4 * 1024 * 1024;

/** Ticks for which lists wait for quiet at the most: a new topic now and then must not keep the others waiting. */
const WAIT_TICKS_MAX = 10;

/** Ticks until it is tried again after a failure: the disk is full, say. */
const FAILED_TICKS = 30;

/** Topics worked off in one go, in the order of the index. */
const TOPICS_A_GO = 5000;

/** Topics in one transaction, during which other threads cannot write. */
const TOPICS_A_TRANSACTION = 250;

interface StaleList {
  key: Buffer;
  topics: string[];
  hasRested: boolean;
}

/** What brings the index in line; one in a process. */
export class RetainedTails {
  readonly #environment: Environment;
  /** When each of the lists was seen first, by its key, on the clock of `performance.now()`. */
  #seen = new Map<string, number>();
  /** Bytes of all lists at the last tick. */
  #bytes = 0;
  /** Ticks since which there have been lists. */
  #waited = 0;
  /** Ticks that are left out. */
  #pause = 0;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /**
   * Once a second: works off the lists, those of an earlier run of the broker included. It waits for a second in which
   * nothing is listed, but not for long, nor if much is listed.
   */
  tick(): void {
    if (this.#pause > 0) this.#pause -= 1;
    else if (this.#running === undefined && this.#isDue()) this.#start();
  }

  #isDue(): boolean {
    let bytes = 0;
    try {
      bytes = this.#staleBytes();
    } catch {
      this.#pause = FAILED_TICKS;
    }
    const isQuiet = bytes === this.#bytes;
    this.#bytes = bytes;
    this.#waited = bytes === 0 ? 0 : this.#waited + 1;
    return bytes > 0 && (isQuiet || this.#waited > WAIT_TICKS_MAX || bytes > STALE_BYTES_MAX);
  }

  /** Resolves when nothing is left to do. */
  async finished(): Promise<void> {
    this.#start();
    for (await this.#running; !this.#stopped && this.#seen.size > 0; await this.#running) {
      await delay(TAIL_REST_MS);
      this.#start();
    }
  }

  /** Stops after the current step; the rest is done after the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  #start(): void {
    this.#waited = 0;
    if (!this.#stopped) this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && (await this.#workOff()));
    } catch {
      this.#pause = FAILED_TICKS; // the lists are still there
    }
    this.#running = undefined;
  }

  /** @returns whether there may be more */
  async #workOff(): Promise<boolean> {
    const lists = this.#read();
    if (lists.length === 0) return false;
    const topics = new Set(lists.flatMap((list) => list.topics));
    const sorted = [...topics]
      .map((topic) => ({ topic, key: retainedTailKey(topic) }))
      .sort((a, b) => a.key.compare(b.key));
    const gone = new Set<string>();
    assert(sorted.length > 0, 'a list has topics');
    for (let i = 0; i < sorted.length; i += TOPICS_A_TRANSACTION) {
      if (this.#stopped) return false;
      const some = sorted.slice(i, i + TOPICS_A_TRANSACTION);
      const isLast = i + TOPICS_A_TRANSACTION >= sorted.length;
      await this.#environment.inTransaction(
        () => {
          this.#bringInLine(some, gone);
          if (isLast) this.#removeLists(lists, gone);
        },
        some.length + lists.length,
        bytesOf(some),
      );
      await turn(); // others first
    }
    assert(gone.size <= topics.size, 'a topic that is gone was in a list');
    return true;
  }

  #staleBytes(): number {
    this.#environment.refresh();
    let bytes = 0;
    for (const { value } of this.#environment.tables.tailNotes.getRange({})) bytes += value.length;
    return bytes;
  }

  /** Some of the lists that are new or have rested. */
  #read(): StaleList[] {
    const lists: StaleList[] = [];
    const seen = new Map<string, number>();
    const now = performance.now();
    let topicCount = 0;
    this.#environment.refresh();
    for (const { key, value } of this.#environment.tables.tailNotes.getRange({})) {
      if (topicCount >= TOPICS_A_GO) return lists;
      const name = asBuffer(key).toString('hex');
      const seenAt = this.#seen.get(name);
      seen.set(name, seenAt ?? now);
      if (seenAt === undefined) this.#seen.set(name, now);
      else if (now - seenAt < TAIL_REST_MS) continue;
      const topics = topicsOf(value);
      topicCount += topics.length;
      lists.push({ key: Buffer.from(key), topics, hasRested: seenAt !== undefined });
    }
    this.#seen = seen;
    return lists;
  }

  /**
   * Within the write transaction: what is read stays true until what is written is committed.
   * @param gone gets the topics that have no message
   */
  #bringInLine(topics: readonly { topic: string; key: Buffer }[], gone: Set<string>): void {
    const { retained, retainedTails } = this.#environment.tables;
    for (const { topic, key } of topics) {
      if (retained.doesExist(retainedKey(topic))) {
        this.#environment.put(retainedTails, key, tailValue(key, topic));
      } else {
        gone.add(topic);
        this.#environment.remove(retainedTails, key);
      }
    }
  }

  #removeLists(lists: readonly StaleList[], gone: ReadonlySet<string>): void {
    for (const { key, topics, hasRested } of lists) {
      if (!hasRested && topics.some((topic) => gone.has(topic))) continue;
      this.#environment.remove(this.#environment.tables.tailNotes, key);
      this.#seen.delete(key.toString('hex'));
    }
  }
}

function bytesOf(topics: readonly { key: Buffer }[]): number {
  return topics.reduce((bytes, { key }) => bytes + 2 * key.length, 0);
}

/** The topic itself if its key does not have all of it. */
export function tailValue(tailKey: Buffer, topic: string): Buffer {
  return isCutKey(tailKey) ? Buffer.from(topic) : NO_BYTES;
}

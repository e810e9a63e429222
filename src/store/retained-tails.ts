/**
 * The second index of retained messages: their topics with the last level first, for filters such as `+/+/x`.
 *
 * Neighbours in it have nothing to do with each other, so that each new topic costs a page of its own: more than all
 * the rest of its message. Topics come in bursts, as when a house starts up, and somebody waits for them to be stored.
 * So a transaction only notes the topics that are new or gone, all in one record, and when it has become quiet the
 * notes are worked off in the order of the index. Until then a walk looks at the notes as well.
 *
 * At all times: a topic that has a message is in the index or in a note. A note says that its topics have to be looked
 * at, not what is to be done, so it does no harm to work one off twice, and any thread may do it.
 *
 * A thread that replaces a message relies on what it saw before its commit: that the topic is there, and so in the
 * index. Another one may clear the topic in between. So the note of a topic that is gone rests for longer than such a
 * commit takes (`retained-store.ts` looks after those that take longer), and is worked off once more.
 */
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { asBuffer } from '../base/as-buffer.js';
import { topicMatchesFilter } from '../topic/topic-filter.js';
import type { Environment } from './environment.js';
import { isCutKey, MessageIds, retainedKey, retainedTailKey } from './keys.js';
import type { LastWriter, WriteBatcher } from './write-batcher.js';

/** Milliseconds until notes are worked off: more are likely to follow. */
const DELAY_MS = 1000;

/** Milliseconds for which a note with topics that are gone rests, from when a thread saw it first. */
const REST_MS = 1000;

/** Topics noted after which they are worked off at once: walks have to look at all of them. */
const NOTED_MAX = 50_000;

/** Topics worked off in one go, in the order of the index. */
const TOPICS_A_GO = 5000;

/** Topics in one transaction, during which other threads cannot write. */
const TOPICS_A_TRANSACTION = 250;

const NOTHING = Buffer.alloc(0);

/** Between the topics of a note; no topic has it. */
const SEPARATOR = '\0';

interface Note {
  key: Buffer;
  topics: string[];
  hasRested: boolean;
}

export class RetainedTails implements LastWriter {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  readonly #keys = new MessageIds();
  /** Of the transaction being written. */
  #topics: string[] = [];
  /** How many topics have been noted since they were last worked off. */
  #noted = 0;
  /** When this thread saw each of the notes first, by its key, on the clock of `performance.now()`. */
  #seen = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(environment: Environment, batcher: WriteBatcher) {
    this.#environment = environment;
    this.#batcher = batcher;
  }

  /** The topic is new or gone; part of the transaction being written. */
  note(topic: string): void {
    if (this.#topics.length === 0) this.#batcher.atEnd(this);
    this.#topics.push(topic);
  }

  /** The same for some; part of the transaction of this turn. */
  noteAll(topics: readonly string[]): void {
    const note = Buffer.from(topics.join(SEPARATOR));
    this.#environment.put(this.#environment.tables.tailNotes, this.#keys.next(), note);
    this.#noted += topics.length;
    if (this.#noted > NOTED_MAX) this.#startAfter(0);
    else if (this.#timer === undefined) this.#startAfter(DELAY_MS);
  }

  writeLast(): void {
    this.noteAll(this.#topics);
    this.#topics = [];
  }

  /** The noted topics that match a filter: they may have a message that the index does not know. */
  noted(filter: string): string[] {
    const found = new Set<string>();
    for (const { value } of this.#environment.tables.tailNotes.getRange({})) {
      for (const topic of topicsOf(value)) if (topicMatchesFilter(topic, filter)) found.add(topic);
    }
    return [...found];
  }

  /** Takes up what an earlier run of the broker left. For one thread only. */
  resume(): void {
    this.#start();
  }

  /** Resolves when nothing is left to do. */
  async finished(): Promise<void> {
    this.#start();
    for (await this.#running; !this.#stopped && this.#seen.size > 0; await this.#running) {
      await delay(REST_MS);
      this.#start();
    }
  }

  /** Stops after the current step; the rest is done after the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#noted = 0;
    this.#running ??= this.#run();
  }

  #startAfter(ms: number): void {
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => this.#start(), ms).unref();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped && (await this.#workOff()));
    } catch {
      // A full disk, say: the notes are still there.
    }
    this.#running = undefined;
    if (this.#seen.size > 0) this.#startAfter(REST_MS);
  }

  /** @returns whether there may be more */
  async #workOff(): Promise<boolean> {
    const notes = this.#read();
    if (notes.length === 0) return false;
    const topics = new Set(notes.flatMap((note) => note.topics));
    const sorted = [...topics]
      .map((topic) => ({ topic, key: retainedTailKey(topic) }))
      .sort((a, b) => a.key.compare(b.key));
    const gone = new Set<string>();
    for (let i = 0; i < sorted.length; i += TOPICS_A_TRANSACTION) {
      if (this.#stopped) return false;
      const some = sorted.slice(i, i + TOPICS_A_TRANSACTION);
      const isLast = i + TOPICS_A_TRANSACTION >= sorted.length;
      await this.#environment.inTransaction(() => {
        this.#bringInLine(some, gone);
        if (isLast) this.#removeNotes(notes, gone);
      });
      await turn(); // others first
    }
    return true;
  }

  /** Some of the notes that are new to this thread or have rested. */
  #read(): Note[] {
    const notes: Note[] = [];
    const seen = new Map<string, number>();
    const now = performance.now();
    let topicCount = 0;
    this.#environment.refresh();
    for (const { key, value } of this.#environment.tables.tailNotes.getRange({})) {
      if (topicCount >= TOPICS_A_GO) return notes;
      const name = asBuffer(key).toString('hex');
      const seenAt = this.#seen.get(name);
      seen.set(name, seenAt ?? now);
      if (seenAt === undefined) this.#seen.set(name, now);
      else if (now - seenAt < REST_MS) continue;
      const topics = topicsOf(value);
      topicCount += topics.length;
      notes.push({ key: Buffer.from(key), topics, hasRested: seenAt !== undefined });
    }
    this.#seen = seen; // without those that other threads have removed
    return notes;
  }

  /**
   * Within the write transaction: what is read stays true until what is written is committed.
   * @param gone gets the topics that have no message
   */
  #bringInLine(topics: readonly { topic: string; key: Buffer }[], gone: Set<string>): void {
    const { retained, retainedTails } = this.#environment.tables;
    for (const { topic, key } of topics) {
      if (!retained.doesExist(retainedKey(topic))) {
        gone.add(topic);
        this.#environment.remove(retainedTails, key);
      } else if (!retainedTails.doesExist(key)) {
        this.#environment.put(retainedTails, key, tailValue(key, topic));
      }
    }
  }

  #removeNotes(notes: readonly Note[], gone: ReadonlySet<string>): void {
    for (const { key, topics, hasRested } of notes) {
      if (!hasRested && topics.some((topic) => gone.has(topic))) continue;
      this.#environment.remove(this.#environment.tables.tailNotes, key);
      this.#seen.delete(key.toString('hex'));
    }
  }
}

/** The topic itself where its key does not have all of it. */
export function tailValue(tailKey: Buffer, topic: string): Buffer {
  return isCutKey(tailKey) ? Buffer.from(topic) : NOTHING;
}

/** All topics that are noted. */
export function notedTopics({ tables }: Environment): Set<string> {
  const topics = new Set<string>();
  for (const { value } of tables.tailNotes.getRange({}))
    for (const topic of topicsOf(value)) topics.add(topic);
  return topics;
}

function topicsOf(note: Uint8Array): string[] {
  return Buffer.from(note.buffer, note.byteOffset, note.length).toString().split(SEPARATOR);
}

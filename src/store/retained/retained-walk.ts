/**
 * Finds the retained messages that a topic filter matches, touching little else. A walk goes through the topics
 * in the order of their keys (`keys.ts`) and, if a topic cannot match, jumps to the next one that could:
 *
 *   filter a/+/c   keys of three levels   a/b/a  → behind: jump to a/b/c
 *                                         a/b/c  → found
 *                                         a/b/d  → past it: jump over the rest of a/b
 *
 * Where more levels at the end of the filter are literal than at its beginning, the walk goes over the tails, in
 * which the last level comes first; `+/+/x` then reads its matches and nothing else. What the tails do not know yet is
 * read from the lists of stale tails (`stale-tails.ts`).
 *
 * A walk may be long. `next` does a bounded part of it and the following call goes on where it stopped, so that a
 * subscription to a million messages neither holds up a thread nor holds a snapshot of the store.
 */
import { Publication } from '../../mqtt/publication.js';
import { topicMatchesFilter } from '../../topic/topic-filter.js';
import type { Environment, Table } from '../environment.js';
import { isCutKey, LEVEL_END, prefixEnd, retainedKey, topicOfKey } from '../keys.js';
import { TOPIC_KEY_LENGTH_MAX } from '../limits.js';

/** The keys that one call of `next` may touch: about a millisecond's work. */
const TOUCHES_MAX = 512;

/** Keys that are looked at to find out which of the two indexes has fewer for a filter. */
const PROBES_MAX = 256;

/** Going to the next key costs an eighth of a jump: so many steps are tried before one. */
const STEPS_BEFORE_JUMP = 8;

const DOLLAR = 0x24;

/** What a walk needs of the store. */
export interface WalkSource {
  environment: Environment;
  /** Reads what is on disk under a key of `retained`. @returns false if there is nothing, or it has expired */
  readStored(key: Buffer, into: Publication): boolean;
  /** Topics that match and may be missing in the tails. */
  staleTopics(filter: string): string[];
  /** @returns false if it has expired */
  read(record: Buffer, into: Publication): boolean;
  /** The topic of a key that is cut. */
  topicOfCutKey(key: Buffer, tails: boolean): string | undefined;
}

export interface WalkOptions {
  /** Records newer than what is on disk, of topics that match; `null` = the topic was cleared. */
  unsettled: ReadonlyMap<string, Buffer | null>;
  /** Walk all topics, whatever begins with `$` included; the filter is `#`. */
  everything?: boolean;
}

export class RetainedWalk {
  readonly #source: WalkSource;
  readonly #filter: string;
  readonly #plan: WalkPlan;
  readonly #unsettled: Buffer[];
  #nextUnsettled = 0;
  /** Topics to look at that the tails may not have. */
  readonly #stale: string[];
  #nextStale = 0;
  /** Topics whose state on disk is old. */
  readonly #skipped: Set<string>;
  /** Number of levels of the topics that are being walked; `undefined` when all are done. */
  #levels: number | undefined;
  /** The first key that was not looked at; `null` = begin at the first of `#levels` levels. */
  #position: Buffer | null = null;
  #touched = 0;
  /** The message found last: one object for all. */
  readonly #message = new Publication();

  constructor(source: WalkSource, filter: string, { unsettled, everything = false }: WalkOptions) {
    this.#source = source;
    this.#filter = filter;
    this.#plan = planWalk(source.environment, filter, everything);
    this.#unsettled = [...unsettled.values()].filter((record) => record !== null);
    this.#skipped = new Set(unsettled.keys());
    this.#stale = this.#plan.tails
      ? source.staleTopics(filter).filter((topic) => !this.#skipped.has(topic))
      : [];
    for (const topic of this.#stale) this.#skipped.add(topic);
    this.#levels = this.#plan.levelsMin;
  }

  /** Keys looked at so far. */
  get touched(): number {
    return this.#touched;
  }

  get done(): boolean {
    return (
      this.#nextUnsettled === this.#unsettled.length &&
      this.#nextStale === this.#stale.length &&
      this.#levels === undefined
    );
  }

  /**
   * Goes on with the walk: finds at most `limit` messages; fewer, even none, do not mean that it is done.
   * @param found is given an object that describes the next message soon, in bytes that LMDB's next read overwrites
   */
  next(limit: number, found: (message: Publication) => void): void {
    let room = limit - this.#takeUnsettled(limit, found);
    this.#source.environment.refresh();
    room -= this.#takeStale(room, found);
    const touchedMax = this.#touched + TOUCHES_MAX;
    while (this.#levels !== undefined && room > 0 && this.#touched < touchedMax) {
      room -= this.#walkLevels(this.#levels, room, touchedMax, found);
      if (this.#position === null) this.#levels = this.#nextLevels(this.#levels);
    }
  }

  #takeUnsettled(limit: number, found: (message: Publication) => void): number {
    const begin = this.#nextUnsettled;
    const end = Math.min(this.#unsettled.length, begin + limit);
    for (let i = begin; i < end; i += 1) {
      this.#nextUnsettled = i + 1;
      if (this.#source.read(this.#unsettled[i]!, this.#message)) found(this.#message);
    }
    this.#touched += end - begin;
    return end - begin;
  }

  #takeStale(limit: number, found: (message: Publication) => void): number {
    const begin = this.#nextStale;
    const end = Math.min(this.#stale.length, begin + limit);
    for (let i = begin; i < end; i += 1) {
      this.#nextStale = i + 1;
      const topic = this.#stale[i]!;
      if (this.#plan.guardDollar && topic.startsWith('$')) continue; // [MQTT-4.7.2-1]
      if (this.#source.readStored(retainedKey(topic), this.#message)) found(this.#message);
    }
    this.#touched += end - begin;
    return end - begin;
  }

  /**
   * Walks the topics of one number of levels. Leaves `#position` where it had to stop.
   * @returns how many it has found
   */
  #walkLevels(
    levels: number,
    limit: number,
    touchedMax: number,
    found: (message: Publication) => void,
  ): number {
    const { table } = this.#plan;
    const range = rangeOf(this.#plan, levels);
    const cursor = new TableCursor(table, this.#position ?? range.start, range.end);
    let count = 0;
    this.#position = null;
    while (cursor.key !== undefined) {
      if (count >= limit || this.#touched + cursor.touched >= touchedMax) {
        this.#position = cursor.key;
        break;
      }
      const candidate = nextCandidate(this.#plan, cursor.key, range.prefixLength);
      if (candidate === null) {
        if (this.#read(cursor.key)) {
          count += 1;
          found(this.#message);
        }
        cursor.step();
      } else {
        cursor.goTo(candidate);
      }
    }
    cursor.close();
    this.#touched += cursor.touched;
    return count;
  }

  /** @returns whether `#message` is one that was found */
  #read(key: Buffer): boolean {
    const { tails, guardDollar } = this.#plan;
    const cut = isCutKey(key);
    // If nothing has to be known of the topic, it is not put together.
    if (!cut && !tails && this.#skipped.size === 0) return this.#source.readStored(key, this.#message);
    const topic = cut ? this.#source.topicOfCutKey(key, tails) : topicOfKey(key, tails);
    if (topic === undefined || this.#skipped.has(topic)) return false;
    if (guardDollar && topic.startsWith('$')) return false; // [MQTT-4.7.2-1]
    if (cut && !this.#plan.everything && !topicMatchesFilter(topic, this.#filter)) return false;
    return this.#source.readStored(tails ? retainedKey(topic) : key, this.#message);
  }

  /** The next larger number of levels of which there are topics. */
  #nextLevels(levels: number): number | undefined {
    if (!this.#plan.hash) return undefined;
    const cursor = new TableCursor(this.#plan.table, Buffer.from([levels + 1]), undefined);
    const next = cursor.key?.[0];
    cursor.close();
    this.#touched += cursor.touched;
    return next;
  }
}

/** How to walk for a filter. */
interface WalkPlan {
  table: Table;
  /** Whether the levels of keys and of `pattern` are in reverse order. */
  tails: boolean;
  /** The filter's levels without a `#` at the end; `null` = `+`. */
  pattern: (Buffer | null)[];
  /** How many levels at the beginning of `pattern` are literal. */
  literals: number;
  /** Whether the filter ends in `#`: topics may have more levels than `pattern`. */
  hash: boolean;
  levelsMin: number;
  /** Whether every key of a range matches: nothing after the literal beginning is literal again. */
  wholeRange: boolean;
  /** Whether topics that begin with `$` do not match. */
  guardDollar: boolean;
  everything: boolean;
}

function planWalk({ tables }: Environment, filter: string, everything: boolean): WalkPlan {
  const levels = filter.split('/');
  const hash = levels[levels.length - 1] === '#';
  if (hash) levels.pop();
  const pattern = levels.map((level) => (level === '+' ? null : Buffer.from(level)));
  const first = pattern[0] ?? null;
  const leading = literalsAtStart(pattern);
  const trailing = hash ? 0 : literalsAtStart(pattern.toReversed());
  const isTie = trailing === leading && leading > 0 && leading < pattern.length;
  const tails = isTie ? tailsAreFewer(tables, pattern, leading) : trailing > leading;
  const literals = tails ? trailing : leading;
  const ordered = tails ? pattern.toReversed() : pattern;
  return {
    table: tails ? tables.retainedTails : tables.retained,
    tails,
    pattern: ordered,
    literals,
    hash,
    levelsMin: Math.max(1, pattern.length),
    wholeRange: ordered.slice(literals).every((level) => level === null),
    guardDollar: first === null && !everything,
    everything,
  };
}

/**
 * Whether fewer keys end like a filter than begin like it: `x/+/y` where there are many topics below `x`, but few that
 * end in `y`. If both are many, the beginning decides.
 */
function tailsAreFewer(tables: Environment['tables'], pattern: (Buffer | null)[], literals: number): boolean {
  const fromStart = rangeOf({ pattern, literals }, pattern.length);
  const fromEnd = rangeOf({ pattern: pattern.toReversed(), literals }, pattern.length);
  const starts = new TableCursor(tables.retained, fromStart.start, fromStart.end);
  const ends = new TableCursor(tables.retainedTails, fromEnd.start, fromEnd.end);
  while (starts.key !== undefined && ends.key !== undefined && starts.touched < PROBES_MAX) {
    starts.step();
    ends.step();
  }
  const fewer = ends.key === undefined && starts.key !== undefined;
  starts.close();
  ends.close();
  return fewer;
}

function literalsAtStart(pattern: (Buffer | null)[]): number {
  const count = pattern.indexOf(null);
  return count < 0 ? pattern.length : count;
}

interface KeyRange {
  start: Buffer;
  end: Buffer;
  /** Where in a key the first level follows that is not literal. */
  prefixLength: number;
}

/** The keys with `levels` levels that begin with the plan's literal levels. */
function rangeOf({ pattern, literals }: Pick<WalkPlan, 'pattern' | 'literals'>, levels: number): KeyRange {
  const parts: Uint8Array[] = [Buffer.from([levels])];
  for (let i = 0; i < literals; i += 1) {
    parts.push(pattern[i]!);
    if (i + 1 < levels) parts.push(SEPARATOR);
  }
  const prefix = Buffer.concat(parts);
  const start = prefix.subarray(0, TOPIC_KEY_LENGTH_MAX);
  // A topic that is literal to its end is one key; longer ones that only begin like it are not meant.
  const exact = literals === levels && start.length === prefix.length;
  return {
    start,
    end: exact ? Buffer.concat([start, SEPARATOR]) : prefixEnd(start),
    prefixLength: prefix.length,
  };
}

const SEPARATOR = Buffer.from([LEVEL_END]);
const AFTER_SEPARATOR = Buffer.from([LEVEL_END + 1]);

/**
 * Where the walk has to go from a key.
 * @returns `null` if the key itself is one to read, otherwise a larger one: nothing between them matches
 */
function nextCandidate(plan: WalkPlan, key: Buffer, prefixLength: number): Buffer | null {
  if (isCutKey(key)) return null; // to be decided by the whole topic
  if (plan.guardDollar && !plan.tails && key[1] === DOLLAR) return Buffer.from([key[0]!, DOLLAR + 1]);
  if (plan.wholeRange) return null;
  const { pattern, literals } = plan;
  let levelStart = prefixLength;
  for (let i = literals; i < pattern.length; i += 1) {
    const found = key.indexOf(LEVEL_END, levelStart);
    const levelEnd = found < 0 ? key.length : found;
    const wanted = pattern[i];
    if (wanted !== null && wanted !== undefined) {
      const order = key.compare(wanted, 0, wanted.length, levelStart, levelEnd);
      if (order < 0)
        return Buffer.concat([key.subarray(0, levelStart), wanted]).subarray(0, TOPIC_KEY_LENGTH_MAX);
      if (order > 0) return Buffer.concat([key.subarray(0, levelStart - 1), AFTER_SEPARATOR]);
    }
    levelStart = levelEnd + 1;
  }
  return null;
}

/** Goes through a table's keys in their order, by steps and jumps. */
class TableCursor {
  key: Buffer | undefined;
  touched = 0;
  readonly #table: Table;
  readonly #end: Buffer | undefined;
  #iterator: Iterator<Uint8Array>;

  /** @param end the first key that is not wanted any more */
  constructor(table: Table, start: Buffer, end: Buffer | undefined) {
    this.#table = table;
    this.#end = end;
    this.#iterator = this.#iterate(start);
    this.step();
  }

  step(): void {
    const { value, done } = this.#iterator.next();
    this.touched += 1;
    this.key = done ? undefined : (value as Buffer);
  }

  /** Goes to the first key that is not less than `target`. */
  goTo(target: Buffer): void {
    for (let steps = 0; steps < STEPS_BEFORE_JUMP; steps += 1) {
      this.step();
      if (this.key === undefined || this.key.compare(target) >= 0) return;
    }
    this.close();
    this.#iterator = this.#iterate(target);
    this.step();
  }

  close(): void {
    this.#iterator.return?.();
  }

  #iterate(start: Buffer): Iterator<Uint8Array> {
    const range = this.#end === undefined ? { start } : { start, end: this.#end };
    return this.#table.getKeys(range)[Symbol.iterator]();
  }
}

/**
 * Reads a whole store, record by record, and saves what reads of a damaged one. Both may end the process: LMDB has
 * no checksums, and a wrong page can lead it anywhere. So they run in a process of their own
 * (`store-check-program.ts`).
 */

import { asBuffer } from '../../base/as-buffer.js';
import { type Environment, TABLE_NAMES, type Table, type TableName } from '../environment.js';
import {
  MESSAGE_ID_LENGTH,
  prefixEnd,
  queueKeyOf,
  referenceKey,
  retainedKey,
  retainedTailKey,
  SESSION_KEY_LENGTH,
  sequenceOf,
  sessionsKey,
} from '../keys.js';
import { decodeMessage } from '../message-records.js';
import { DamagedRecordError, SEALED } from '../record-bytes.js';
import { tailValue } from '../retained/retained-tails.js';
import { staleTopics } from '../retained/stale-tails.js';
import { QueueReader, sharedIdsOf, withoutMissing } from '../sessions/queue-records.js';
import { decodeSession, decodeSubscription } from '../sessions/session-records.js';
import { LAYOUT, layoutOf, migrate, UnknownLayoutError } from './migrations.js';

export interface CheckReport {
  /** Records of each table that read. */
  records: Record<TableName, number>;
  /** Messages in all queues, as far as they read: a record may hold several. */
  queuedMessages: number;
  /** What does not read, in words; at most `PROBLEMS_MAX` of them. */
  problems: string[];
  damagedRecords: number;
  /** Records without a checksum, as earlier versions wrote them: damage to them may not show. */
  unsealedRecords: number;
}

const PROBLEMS_MAX = 10;

const CHECKED_KEY = Buffer.from('checked');

/**
 * Reads every record, and writes one: that reads the list of free pages, where damage shows only then. Where there
 * is damage already nothing is written, so that the file is put aside as it was found.
 * @throws what LMDB says of a broken structure, if the process survives it
 */
export async function checkStore(environment: Environment): Promise<CheckReport> {
  const layout = layoutOf(environment);
  if (layout !== undefined && layout > LAYOUT) throw new UnknownLayoutError(`store layout ${layout}`);
  const report: CheckReport = {
    records: noRecords(),
    queuedMessages: 0,
    problems: [],
    damagedRecords: 0,
    unsealedRecords: 0,
  };
  const damaged = (what: string) => {
    report.damagedRecords += 1;
    if (report.problems.length < PROBLEMS_MAX) report.problems.push(what);
  };
  const stale = staleTopics(environment);
  for (const name of TABLE_NAMES) {
    const check = RECORD_CHECKS[name];
    for (const { key, value } of environment.tables[name].getRange({})) {
      try {
        check(asBuffer(key), asBuffer(value), environment, stale);
        if (name === 'queue') report.queuedMessages += messagesIn(value);
        report.records[name] += 1;
        if (SEALED_TABLES.includes(name) && value[0] !== SEALED) report.unsealedRecords += 1;
      } catch (error) {
        if (!(error instanceof DamagedRecordError)) throw error;
        damaged(`${name}: ${error.message}`);
      }
    }
    const counted = environment.entryCount(name);
    if (report.damagedRecords === 0 && counted !== report.records[name]) {
      damaged(`${name}: ${report.records[name]} records, ${counted} counted`);
    }
  }
  const hasRecords = Object.values(report.records).some((count) => count > 0);
  if (layout === undefined && hasRecords) damaged('meta: no layout');
  if (report.damagedRecords > 0) return report;
  environment.ensureRoom(2, CHECKED_KEY.length);
  environment.put(environment.tables.meta, CHECKED_KEY, Buffer.alloc(0));
  await environment.committed();
  environment.remove(environment.tables.meta, CHECKED_KEY);
  await environment.committed();
  return report;
}

const SEALED_TABLES: readonly TableName[] = ['sessions', 'subscriptions', 'queue', 'messages', 'retained'];

/** @param stale topics whose tails may be missing */
type RecordCheck = (key: Buffer, value: Buffer, environment: Environment, stale: ReadonlySet<string>) => void;

const RECORD_CHECKS: Record<TableName, RecordCheck> = {
  meta: () => {},
  sessions: (key, value) => expectKey(key, sessionsKey(decodeSession(value).session.clientId)),
  subscriptions: (_key, value) => void decodeSubscription(value),
  queue: (key, value, { tables }) => {
    const ids = sharedIdsOf(value, sequenceOf(key));
    if (ids.some(({ id }) => !tables.messages.doesExist(id))) {
      throw new DamagedRecordError('its message is missing');
    }
  },
  messages: (_key, value) => void decodeMessage(value),
  references: () => {},
  retained: (key, value, { tables }, stale) => {
    const { topic } = decodeMessage(value);
    expectKey(key, retainedKey(topic));
    if (!stale.has(topic) && !tables.retainedTails.doesExist(retainedTailKey(topic)))
      throw new DamagedRecordError('its tail is missing');
  },
  retainedTails: () => {},
  garbage: () => {},
  deliveries: () => {},
  tailNotes: () => {},
  damaged: () => {},
};

function messagesIn(record: Uint8Array): number {
  let messages = 0;
  for (const reader = new QueueReader(record, 0); reader.next(); ) messages += 1;
  return messages;
}

function expectKey(key: Buffer, expected: Buffer): void {
  if (!key.equals(expected)) throw new DamagedRecordError('a key that does not fit its record');
}

function noRecords(): Record<TableName, number> {
  return Object.fromEntries(TABLE_NAMES.map((name) => [name, 0])) as Record<TableName, number>;
}

/** Records between two commits: what is lost if the process ends on the way. */
const RECORDS_PER_COMMIT = 200;

/** What the rescue of a record has at hand. */
interface RescueContext {
  target: Environment;
  writer: RescueWriter;
  /** The sessions that were rescued, by `sessionOf`. */
  sessions: ReadonlySet<string>;
}

/**
 * How the records of a table are rescued: each that reads is copied, in the stage that begins when the records of
 * the stages before are committed; or they are not, for the reason given.
 */
type RecordRescue =
  | {
      stage: (typeof RESCUE_STAGES)[number];
      copy: (key: Buffer, value: Buffer, context: RescueContext) => void;
    }
  | { left: string };

/** What is worth most comes first: each table may be the one at which the process ends. */
const RESCUE_STAGES = [1, 2, 3, 4] as const;

const RECORD_RESCUES: Record<TableName, RecordRescue> = {
  meta: { left: 'the target has the layout of today' },
  retained: {
    stage: 1,
    copy: (_key, value, { writer }) => {
      const { topic } = decodeMessage(value);
      const tailKey = retainedTailKey(topic);
      writer.put('retained', retainedKey(topic), value);
      writer.put('retainedTails', tailKey, tailValue(tailKey, topic));
    },
  },
  retainedTails: { left: 'made of the retained messages' },
  tailNotes: { left: 'all tails are there' },
  sessions: {
    stage: 2,
    copy: (_key, value, { writer }) =>
      writer.put('sessions', sessionsKey(decodeSession(value).session.clientId), value),
  },
  messages: {
    stage: 3,
    copy: (key, value, { writer }) => {
      decodeMessage(value);
      if (key.length === MESSAGE_ID_LENGTH) writer.put('messages', key, value);
    },
  },
  subscriptions: {
    stage: 4,
    copy: (key, value, { writer, sessions }) => {
      decodeSubscription(value);
      if (sessions.has(sessionOf(key))) writer.put('subscriptions', key, value);
    },
  },
  queue: {
    stage: 4,
    copy: (key, value, { target, writer, sessions }) => {
      const first = sequenceOf(key);
      const record = withoutMissing(value, first, (id) => !target.tables.messages.doesExist(id));
      if (record === null || !sessions.has(sessionOf(key))) return;
      for (const { sequence, id } of sharedIdsOf(record, first)) {
        writer.put('references', referenceKey(id, queueKeyOf(key, sequence)), Buffer.alloc(0));
      }
      writer.put('queue', key, record);
    },
  },
  references: { left: 'made of the queues' },
  deliveries: {
    stage: 4,
    copy: (key, value, { writer, sessions }) => {
      if (sessions.has(sessionOf(key))) writer.put('deliveries', key, value);
    },
  },
  garbage: { left: 'nothing of an ended session is copied' },
  damaged: { left: 'nobody can read these records' },
};

/**
 * Copies what reads from a damaged store to another one, so that the other one is whole in itself. Run a second
 * time with `backwards`, on the same target, it also gets what lies behind the place at which the first run ended.
 */
export async function rescueStore(
  damaged: Environment,
  target: Environment,
  backwards: boolean,
): Promise<void> {
  await migrate(target);
  const writer = new RescueWriter(target);
  for (const stage of RESCUE_STAGES) {
    const context = { target, writer, sessions: knownSessions(target.tables.sessions) };
    for (const name of TABLE_NAMES) {
      const rescue = RECORD_RESCUES[name];
      if ('left' in rescue || rescue.stage !== stage) continue;
      const copy = (key: Buffer, value: Buffer) => rescue.copy(key, value, context);
      await copyReadable(damaged.tables[name], copy, writer, backwards);
    }
    await writer.commit();
  }
  for (const key of target.tables.messages.getKeys({})) {
    const references = target.tables.references.getKeysCount({ start: key, end: prefixEnd(key), limit: 1 });
    if (references === 0) target.remove(target.tables.messages, Buffer.from(key));
  }
  await writer.commit();
}

async function copyReadable(
  table: Table,
  copy: (key: Buffer, value: Buffer) => void,
  writer: RescueWriter,
  backwards: boolean,
): Promise<void> {
  try {
    for (const { key, value } of table.getRange({ reverse: backwards, snapshot: true })) {
      try {
        copy(Buffer.from(key), Buffer.from(value));
      } catch (error) {
        if (!(error instanceof DamagedRecordError)) throw error;
      }
      if (writer.pending >= RECORDS_PER_COMMIT) await writer.commit();
    }
  } catch {
    // The structure ends here; what was read up to here counts, and the other tables may still read.
  }
}

class RescueWriter {
  pending = 0;
  #bytes = 0;
  readonly #target: Environment;

  constructor(target: Environment) {
    this.#target = target;
  }

  put(name: TableName, key: Buffer, value: Buffer): void {
    this.#bytes += key.length + value.length;
    this.#target.ensureRoom(this.pending + 1, this.#bytes);
    this.#target.put(this.#target.tables[name], key, value);
    this.pending += 1;
  }

  async commit(): Promise<void> {
    this.pending = 0;
    this.#bytes = 0;
    await this.#target.committed();
    this.#target.refresh();
  }
}

function knownSessions(sessions: Table): Set<string> {
  const keys = new Set<string>();
  for (const { value } of sessions.getRange({})) keys.add(decodeSession(value).key.toString('hex'));
  return keys;
}

function sessionOf(key: Buffer): string {
  return key.toString('hex', 0, SESSION_KEY_LENGTH);
}

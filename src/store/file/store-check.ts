/**
 * Reads a whole store, record by record, and saves what reads of a damaged one. Both may end the process: LMDB has
 * no checksums, and a wrong page can lead it anywhere. So they run in a process of their own
 * (`store-check-program.ts`).
 */

import { asBuffer } from '../../base/as-buffer.js';
import type { Environment, Table, TableName } from '../environment.js';
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
import { DamagedRecordError } from '../record-bytes.js';
import { tailValue } from '../retained/retained-tails.js';
import { notedTopics } from '../retained/tail-notes.js';
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
}

const PROBLEMS_MAX = 10;

const CHECKED_KEY = Buffer.from('checked');

/**
 * Reads every record, and writes one: that reads the list of free pages, where damage shows only then. Where there
 * is damage already nothing is written, so that the file is put aside as it was found.
 * @throws what LMDB says where the structure is broken, if the process survives it
 */
export async function checkStore(environment: Environment): Promise<CheckReport> {
  const layout = layoutOf(environment);
  if (layout !== undefined && layout > LAYOUT) throw new UnknownLayoutError(`store layout ${layout}`);
  const report: CheckReport = { records: noRecords(), queuedMessages: 0, problems: [], damagedRecords: 0 };
  const damaged = (what: string) => {
    report.damagedRecords += 1;
    if (report.problems.length < PROBLEMS_MAX) report.problems.push(what);
  };
  const noted = notedTopics(environment);
  for (const name of Object.keys(report.records) as TableName[]) {
    const check = RECORD_CHECKS[name];
    for (const { key, value } of environment.tables[name].getRange({})) {
      try {
        check(asBuffer(key), asBuffer(value), environment, noted);
        if (name === 'queue') report.queuedMessages += messagesIn(value);
        report.records[name] += 1;
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
  environment.put(environment.tables.meta, CHECKED_KEY, Buffer.alloc(0));
  await environment.committed();
  environment.remove(environment.tables.meta, CHECKED_KEY);
  await environment.committed();
  return report;
}

/** @param noted topics whose tails may be missing */
type RecordCheck = (key: Buffer, value: Buffer, environment: Environment, noted: ReadonlySet<string>) => void;

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
  retained: (key, value, { tables }, noted) => {
    const { topic } = decodeMessage(value);
    expectKey(key, retainedKey(topic));
    if (!noted.has(topic) && !tables.retainedTails.doesExist(retainedTailKey(topic)))
      throw new DamagedRecordError('its tail is missing');
  },
  retainedTails: () => {},
  garbage: () => {},
  deliveries: () => {},
  tailNotes: () => {},
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
  return {
    meta: 0,
    sessions: 0,
    subscriptions: 0,
    queue: 0,
    messages: 0,
    references: 0,
    retained: 0,
    retainedTails: 0,
    garbage: 0,
    deliveries: 0,
    tailNotes: 0,
  };
}

/** Records between two commits: what is lost where the process ends on the way. */
const RECORDS_PER_COMMIT = 200;

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
  const each = (name: TableName, copy: (key: Buffer, value: Buffer) => void) =>
    copyReadable(damaged.tables[name], copy, writer, backwards);

  await each('retained', (_key, value) => {
    const { topic } = decodeMessage(value);
    const tailKey = retainedTailKey(topic);
    writer.put('retained', retainedKey(topic), value);
    writer.put('retainedTails', tailKey, tailValue(tailKey, topic));
  });
  await each('sessions', (_key, value) => {
    writer.put('sessions', sessionsKey(decodeSession(value).session.clientId), value);
  });
  await writer.commit();
  const sessions = knownSessions(target.tables.sessions);
  await each('messages', (key, value) => {
    decodeMessage(value);
    if (key.length === MESSAGE_ID_LENGTH) writer.put('messages', key, value);
  });
  await writer.commit();
  await each('subscriptions', (key, value) => {
    decodeSubscription(value);
    if (sessions.has(sessionOf(key))) writer.put('subscriptions', key, value);
  });
  await each('queue', (key, value) => {
    const first = sequenceOf(key);
    const record = withoutMissing(value, first, (id) => !target.tables.messages.doesExist(id));
    if (record === null || !sessions.has(sessionOf(key))) return;
    for (const { sequence, id } of sharedIdsOf(record, first)) {
      writer.put('references', referenceKey(id, queueKeyOf(key, sequence)), Buffer.alloc(0));
    }
    writer.put('queue', key, record);
  });
  await each('deliveries', (key, value) => {
    if (sessions.has(sessionOf(key))) writer.put('deliveries', key, value);
  });
  await writer.commit();
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
  readonly #target: Environment;

  constructor(target: Environment) {
    this.#target = target;
  }

  put(name: TableName, key: Buffer, value: Buffer): void {
    this.#target.put(this.#target.tables[name], key, value);
    this.pending += 1;
  }

  async commit(): Promise<void> {
    this.pending = 0;
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

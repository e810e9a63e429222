/**
 * A stored session that workers die over is set aside: all its records go into a file beside the store as they are,
 * then it ends. The file has a line of JSON for each record: its table, its key in hexadecimal, its bytes in base64.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import type { Environment, TableName } from '../environment.js';
import { prefixEnd, sequenceOf, sessionsKey } from '../keys.js';
import { DamagedRecordError } from '../record-bytes.js';
import { sharedIdsOf } from './queue-records.js';

/** Tables whose keys begin with the session's number. */
const OWN_TABLES: readonly TableName[] = ['subscriptions', 'queue', 'deliveries'];

/**
 * Writes the file, which must not be there yet.
 * @param key the session's number
 * @returns how many records it has
 * @throws what the file system says
 */
export function writeSetAside(environment: Environment, clientId: string, key: Buffer, path: string): number {
  const file = openSync(path, 'wx', 0o600);
  let count = 0;
  const write = (table: TableName, recordKey: Uint8Array, value: Uint8Array): void => {
    const line = {
      table,
      key: Buffer.from(recordKey).toString('hex'),
      value: Buffer.from(value).toString('base64'),
    };
    writeSync(file, `${JSON.stringify(line)}\n`);
    count += 1;
  };
  try {
    writeSync(file, `${JSON.stringify({ setAside: 'session', clientId })}\n`);
    const { tables } = environment;
    const ownKey = sessionsKey(clientId);
    write('sessions', ownKey, tables.sessions.getBinary(ownKey)!);
    for (const table of OWN_TABLES) {
      for (const record of tables[table].getRange({ start: key, end: prefixEnd(key) })) {
        write(table, record.key, record.value);
        if (table !== 'queue') continue;
        for (const id of sharedMessages(record.value, sequenceOf(record.key))) {
          const message = tables.messages.getBinary(id);
          if (message !== undefined) write('messages', id, message);
        }
      }
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return count;
}

function sharedMessages(record: Uint8Array, first: number): Buffer[] {
  try {
    return sharedIdsOf(record, first).map(({ id }) => id);
  } catch (error) {
    if (error instanceof DamagedRecordError) return [];
    throw error;
  }
}

/**
 * Records that do not read are set aside: they are moved to a table of their own, where nobody comes upon them again,
 * and where they can be counted and looked at.
 */
import type { Environment, TableName } from './environment.js';
import type { DamagedRecordError } from './record-bytes.js';

/** A damaged record, and the table and key under which it was found. */
export interface LocatedRecord {
  table: TableName;
  key: Uint8Array;
  value: Uint8Array;
}

/** Hears of a record that does not read; the store goes on without it. A record whose key is not known stays in its table. */
export type DamageListener = (error: DamagedRecordError, located?: LocatedRecord) => void;

export class DamagedRecords {
  readonly #environment: Environment;
  /** Tables and keys of those that are being moved. */
  readonly #moving = new Set<string>();

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  /** @returns false if it is being set aside already */
  setAside({ table, key, value }: LocatedRecord): boolean {
    const name = `${table} ${Buffer.from(key).toString('hex')}`;
    if (this.#moving.has(name)) return false;
    this.#moving.add(name);
    const copy = { table, key: Buffer.from(key), value: Buffer.from(value.subarray(0, value.length)) };
    setImmediate(() => {
      this.#move(copy)
        .catch(() => {}) // it will be found again
        .finally(() => this.#moving.delete(name));
    });
    return true;
  }

  /** Another thread may just have replaced it: only within the transaction it is known whether it is still there. */
  async #move({ table, key, value }: { table: TableName; key: Buffer; value: Buffer }): Promise<void> {
    const { tables } = this.#environment;
    await this.#environment.inTransaction(
      () => {
        const present = tables[table].getBinary(key);
        if (present === undefined || !value.equals(present)) return;
        this.#environment.put(tables.damaged, Buffer.concat([Buffer.from(`${table}\0`), key]), value);
        this.#environment.remove(tables[table], key);
      },
      2,
      2 * value.length,
    );
  }
}

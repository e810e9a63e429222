/**
 * Removes what ended sessions leave: subscriptions, queues, references, notes. In steps, because a queue may hold a
 * million messages, and each step is a transaction of moderate size. Until it is done the session's number stays
 * in the `garbage` table, where the next start finds it.
 */

import { setImmediate as turn } from 'node:timers/promises';
import { appendAll } from '../../base/append-all.js';
import type { Environment, Table } from '../environment.js';
import { prefixEnd, queueKeyOf, sequenceOf } from '../keys.js';
import { DamagedRecordError } from '../record-bytes.js';
import { Change, type WriteBatcher } from '../write-batcher.js';
import { sharedIdsOf } from './queue-records.js';
import type { SharedMessages } from './shared-messages.js';

/** So few that there is room for a step on a full disk, too (`room.ts`): it makes room. */
const RECORDS_PER_STEP = 200;

export class SessionSweeper {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  readonly #sharedMessages: SharedMessages;
  #pending: Buffer[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;
  /** Shared messages are to be looked through. */
  #unusedLeft = false;

  constructor(environment: Environment, batcher: WriteBatcher, sharedMessages: SharedMessages) {
    this.#environment = environment;
    this.#batcher = batcher;
    this.#sharedMessages = sharedMessages;
  }

  /** Begins to remove what the session left; it is in the `garbage` table already. */
  sweep(sessionKey: Buffer): void {
    this.#pending.push(sessionKey);
    this.#running ??= this.#run();
  }

  /** Takes up what an earlier run of the broker left. For one thread only. */
  resume(): void {
    this.#unusedLeft = true;
    for (const key of this.#environment.tables.garbage.getKeys({})) this.#pending.push(Buffer.from(key));
    this.#running ??= this.#run();
  }

  /** Resolves when nothing is left to do. */
  async finished(): Promise<void> {
    await this.#running;
  }

  /** The step under way is with the batcher, to be written or not; the rest is done after the next start. */
  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    if (this.#unusedLeft) await this.#removeUnused();
    for (let key = this.#pending.shift(); key !== undefined; key = this.#pending.shift()) {
      const { queue, deliveries, subscriptions, garbage } = this.#environment.tables;
      const finished =
        (await this.#removeAll(queue, key)) &&
        (await this.#removeAll(deliveries, key)) &&
        (await this.#removeAll(subscriptions, key));
      if (!finished) break;
      this.#batcher.add(new Removal(this.#environment, garbage, [key]));
    }
    this.#pending = [];
    this.#running = undefined;
  }

  /** A kill may have come between the last reference to a message and the message itself. */
  async #removeUnused(): Promise<void> {
    const { messages } = this.#environment.tables;
    let start = Buffer.from([0]);
    for (let keys: Buffer[] = []; !this.#stopped; ) {
      this.#environment.refresh();
      keys = [...messages.getKeys({ start, limit: RECORDS_PER_STEP })].map((key) => Buffer.from(key));
      for (const key of keys) this.#sharedMessages.removeUnused(key);
      if (keys.length === 0) break;
      start = Buffer.concat([keys[keys.length - 1]!, Buffer.from([0])]);
      await turn(); // others first
    }
    this.#unusedLeft = false;
  }

  /** @returns whether it came to the end */
  async #removeAll(table: Table, prefix: Buffer): Promise<boolean> {
    const end = prefixEnd(prefix);
    for (let start = prefix; ; ) {
      if (this.#stopped) return false;
      this.#environment.refresh();
      const keys: Buffer[] = [];
      const references: Reference[] = [];
      for (const { key, value } of table.getRange({ start, end, limit: RECORDS_PER_STEP })) {
        keys.push(key as Buffer);
        if (table === this.#environment.tables.queue)
          appendAll(references, referencesOf(key as Buffer, value));
      }
      if (keys.length === 0) return true;
      await this.#write(new Removal(this.#environment, table, keys, references, this.#sharedMessages));
      start = Buffer.concat([keys[keys.length - 1]!, Buffer.from([0])]);
    }
  }

  async #write(step: Removal): Promise<void> {
    const mark = this.#batcher.mark();
    this.#batcher.add(step);
    await new Promise<void>((resolve) => this.#batcher.whenSettled(mark, resolve));
    await turn(); // others first
  }
}

interface Reference {
  messageId: Buffer;
  queueKey: Buffer;
}

/** Removes a number of records with what they refer to. */
class Removal extends Change {
  override readonly weight: number;
  readonly #environment: Environment;
  readonly #table: Table;
  readonly #keys: Buffer[];
  readonly #references: Reference[];
  readonly #sharedMessages: SharedMessages | undefined;

  constructor(
    environment: Environment,
    table: Table,
    keys: Buffer[],
    references: Reference[] = [],
    sharedMessages?: SharedMessages,
  ) {
    super();
    this.#environment = environment;
    this.#table = table;
    this.#keys = keys;
    this.#references = references;
    this.#sharedMessages = sharedMessages;
    this.weight = 64 * keys.length;
  }

  override get grows(): boolean {
    return false;
  }

  /** Neighbours, some in a page. */
  override get bytes(): number {
    return 1024 * this.#keys.length;
  }

  override write(): void {
    for (const key of this.#keys) this.#environment.remove(this.#table, key);
    for (const { messageId, queueKey } of this.#references) {
      this.#sharedMessages?.removeReference(messageId, queueKey);
    }
  }

  override committed(): void {
    for (const { messageId } of this.#references) this.#sharedMessages?.removeUnused(messageId);
  }
}

/** What a record of the queue refers to. */
function referencesOf(key: Buffer, record: Uint8Array): Reference[] {
  try {
    return sharedIdsOf(record, sequenceOf(key)).map(({ sequence, id }) => ({
      messageId: id,
      queueKey: queueKeyOf(key, sequence),
    }));
  } catch (error) {
    if (error instanceof DamagedRecordError) return [];
    throw error;
  }
}

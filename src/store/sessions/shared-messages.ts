/**
 * Messages that several queues share are stored once, beside the queues, with one reference a queue. When the last
 * reference is gone the message is removed.
 *
 * References are records and not a count, because the queues that share a message may belong to different
 * threads after a restart: two threads that lower one count could both read the old number. Each removes its own
 * reference, and looks after its commit whether any is left; the later one finds none.
 */
import { NO_BYTES } from '../../base/no-bytes.js';
import type { Publication } from '../../mqtt/publication.js';
import type { LocatedRecord } from '../damaged-records.js';
import type { Environment, Table } from '../environment.js';
import { MessageIds, prefixEnd, referenceKey } from '../keys.js';
import { REPEATED_BYTES_MAX } from '../limits.js';
import { decodeMessage, encodeMessage } from '../message-records.js';
import { DamagedRecordError } from '../record-bytes.js';
import { Change, type WriteBatcher } from '../write-batcher.js';

/**
 * A message on its way into one or more queues. The caller makes one object for all the queues, by which the store
 * knows that they share the message.
 */
export class SharedMessage {
  /** In bytes that stay until all of them are written. */
  publication: Publication;
  /** Queues that have it and have not been written yet. */
  unwritten = 0;
  /** The shared record's id; `null` while it is not known whether there will be one. */
  id: Buffer | null = null;
  /** The transaction in which the shared record is. */
  writtenIn = 0;

  constructor(publication: Publication) {
    this.publication = publication;
  }
}

export class SharedMessages {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  readonly #messages: Table;
  readonly #references: Table;
  readonly #ids = new MessageIds();

  constructor(environment: Environment, batcher: WriteBatcher) {
    this.#environment = environment;
    this.#batcher = batcher;
    this.#messages = environment.tables.messages;
    this.#references = environment.tables.references;
  }

  /**
   * Decides where a message about to be written goes.
   * @returns the shared record's id; `null` if each queue had better have the message itself
   */
  share(shared: SharedMessage): Buffer | null {
    if (shared.id === null && shared.unwritten > 1 && !isSmall(shared.publication))
      shared.id = this.#ids.next();
    return shared.id;
  }

  /** Writes the reference, and the message if this transaction does not have it yet. */
  write(shared: SharedMessage, id: Buffer, queueKey: Buffer): void {
    if (shared.writtenIn !== this.#batcher.batchNumber) {
      shared.writtenIn = this.#batcher.batchNumber;
      this.#environment.put(this.#messages, id, encodeMessage(shared.publication));
    }
    this.#environment.put(this.#references, referenceKey(id, queueKey), NO_BYTES);
  }

  /** @throws {DamagedRecordError} */
  read(id: Buffer): Publication {
    const record = this.#messages.getBinary(id);
    if (record === undefined) throw new DamagedRecordError(`message ${id.toString('hex')} is missing`);
    return decodeMessage(record);
  }

  /** The record of a message that does not read; `undefined` if it is missing. */
  locate(id: Buffer): LocatedRecord | undefined {
    const value = this.#messages.getBinary(id);
    return value && { table: 'messages', key: id, value };
  }

  /** Removes a reference, as part of the transaction; `removeUnused` has to follow its commit. */
  removeReference(id: Buffer, queueKey: Buffer): void {
    this.#environment.remove(this.#references, referenceKey(id, queueKey));
  }

  /** Removes the message if nothing refers to it any more. */
  removeUnused(id: Buffer): void {
    const references = this.#references.getKeysCount({ start: id, end: prefixEnd(id), limit: 1 });
    if (references === 0) this.#batcher.add(new MessageRemoval(this.#environment, id));
  }
}

class MessageRemoval extends Change {
  override readonly weight = 64;
  readonly #environment: Environment;
  readonly #id: Buffer;

  constructor(environment: Environment, id: Buffer) {
    super();
    this.#environment = environment;
    this.#id = id;
  }

  override get grows(): boolean {
    return false;
  }

  override write(): void {
    this.#environment.remove(this.#environment.tables.messages, this.#id);
  }

  override committed(): void {}
}

function isSmall({
  topicStart,
  topicEnd,
  propertiesStart,
  propertiesEnd,
  payloadLength,
}: Publication): boolean {
  return topicEnd - topicStart + propertiesEnd - propertiesStart + payloadLength <= REPEATED_BYTES_MAX;
}

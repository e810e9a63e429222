/**
 * Which receivers have a QoS 2 message that another thread keeps until its release is complete.
 *
 * A message that one thread received and another one stores for its subscribers passes two transactions, and a kill
 * may come between them: then the publisher releases it once more. So who stores it notes, in the same transaction,
 * for which receiver; and whoever keeps the message removes all its notes, in the transaction that removes it.
 */
import { NO_BYTES } from '../../base/no-bytes.js';
import type { Environment } from '../environment.js';
import { deliveryNoteKey, prefixEnd } from '../keys.js';
import { Change, type WriteBatcher } from '../write-batcher.js';

export class DeliveryNotes {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  /** Keys of notes that are not committed yet. */
  readonly #uncommitted = new Set<string>();

  constructor(environment: Environment, batcher: WriteBatcher) {
    this.#environment = environment;
    this.#batcher = batcher;
  }

  has(messageId: string, receiver: string): boolean {
    const key = deliveryNoteKey(messageId, receiver);
    return this.#uncommitted.has(key.toString('hex')) || this.#environment.tables.deliveries.doesExist(key);
  }

  add(messageId: string, receiver: string): void {
    const key = deliveryNoteKey(messageId, receiver);
    const name = key.toString('hex');
    this.#uncommitted.add(name);
    this.#batcher.add(new Note(this.#environment, key, () => this.#uncommitted.delete(name)));
  }

  /** Removes all notes about a message, as part of the transaction. */
  removeAll(messageKey: Buffer): void {
    const { deliveries } = this.#environment.tables;
    for (const key of deliveries.getKeys({ start: messageKey, end: prefixEnd(messageKey) })) {
      this.#environment.remove(deliveries, Buffer.from(key));
    }
  }
}

class Note extends Change {
  override readonly weight = 200;
  readonly #environment: Environment;
  readonly #key: Buffer;
  readonly #onCommitted: () => void;

  constructor(environment: Environment, key: Buffer, onCommitted: () => void) {
    super();
    this.#environment = environment;
    this.#key = key;
    this.#onCommitted = onCommitted;
  }

  override write(): void {
    this.#environment.put(this.#environment.tables.deliveries, this.#key, NO_BYTES);
  }

  override committed(): void {
    this.#onCommitted();
  }
}

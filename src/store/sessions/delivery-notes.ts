/**
 * Notes of which receivers have a QoS 2 message that another thread stores until its release is complete.
 *
 * A message that one thread received and another one stores for its subscribers passes two transactions. After a kill
 * between them the publisher releases it once more. So the thread of the subscribers writes, in the transaction that
 * stores the message for a receiver, a note of that receiver; the thread of the publisher removes all notes in the
 * transaction that removes the message.
 */
import { NO_BYTES } from '../../base/no-bytes.js';
import type { Environment } from '../environment.js';
import { deliveryNoteKey, prefixEnd } from '../keys.js';
import { Change, type WriteBatcher } from '../write-batcher.js';

export class DeliveryNotes {
  readonly #environment: Environment;
  readonly #batcher: WriteBatcher;
  /** Positions of notes that are not committed yet, by their keys. */
  readonly #uncommitted = new Map<string, number>();

  constructor(environment: Environment, batcher: WriteBatcher) {
    this.#environment = environment;
    this.#batcher = batcher;
  }

  /** If the note is not committed yet, what is acknowledged in this turn waits for it. */
  has(messageId: string, receiver: string): boolean {
    const key = deliveryNoteKey(messageId, receiver);
    const position = this.#uncommitted.get(key.toString('hex'));
    if (position !== undefined) {
      this.#batcher.relyOn(position);
      return true;
    }
    return this.#environment.tables.deliveries.doesExist(key);
  }

  add(messageId: string, receiver: string): void {
    const key = deliveryNoteKey(messageId, receiver);
    const name = key.toString('hex');
    this.#batcher.add(new Note(this.#environment, key, () => this.#uncommitted.delete(name)));
    this.#uncommitted.set(name, this.#batcher.position);
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

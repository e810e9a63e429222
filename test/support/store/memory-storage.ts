/** What a session keeps, in memory: so that a test can take the session up again from it, as after a crash. */
import type { Publication } from '../../../src/mqtt/publication.js';
import type {
  DeliveryFields,
  MessageStorage,
  SessionStorage,
  StoredContents,
  StoredDelivery,
} from '../../../src/session/session-storage.js';

export class MemoryStorage implements SessionStorage {
  readonly outgoing: MemoryQueue;
  readonly incoming: MemoryQueue;
  readonly #changed: () => void;

  readonly #relyOn: () => void;

  /**
   * @param changed is told of every change
   * @param relyOn is told if an acknowledgement relies on an earlier one
   */
  constructor(changed = (): void => {}, relyOn = (): void => {}) {
    this.#changed = changed;
    this.#relyOn = relyOn;
    this.outgoing = new MemoryQueue(changed, relyOn);
    this.incoming = new MemoryQueue(changed, relyOn);
  }

  update(): void {
    this.#changed();
  }

  subscribe(): void {
    this.#changed();
  }

  unsubscribe(): void {
    this.#changed();
  }

  relyOnSubscriptions(): void {
    this.#relyOn();
  }

  end(): void {
    this.#changed();
  }

  /** As the store gives it back. @param mayHaveSent there was a client since it was last taken up */
  contents(mayHaveSent: boolean): StoredContents {
    for (const entry of mayHaveSent ? this.outgoing.entries : []) {
      if (entry.state === 'awaiting PUBACK') entry.update({ state: 'queued', packetId: 0 });
    }
    const waiting = this.outgoing.entries.filter(({ state }) => state === 'queued');
    return {
      inFlight: this.outgoing.entries.filter(({ state }) => state !== 'queued'),
      waiting: waiting.filter(({ qos }) => qos > 0).length,
      waitingQos0: waiting.filter(({ qos }) => qos === 0).length,
      waitingBytes: waiting.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0),
      lastSequence: this.outgoing.lastSequence,
      received: [...this.incoming.entries],
    };
  }
}

class MemoryQueue implements MessageStorage {
  readonly entries: StoredDelivery[] = [];
  readonly changed: () => void;
  lastSequence = 0;

  readonly relyOnRemovals: () => void;

  constructor(changed: () => void, relyOn: () => void) {
    this.changed = changed;
    this.relyOnRemovals = relyOn;
  }

  append(publication: Publication, delivery: DeliveryFields): StoredDelivery {
    this.lastSequence += 1;
    const entry = new MemoryEntry(this, this.lastSequence, publication.toOwned(), delivery);
    this.entries.push(entry);
    this.changed();
    return entry;
  }

  read(sequence: number, limit: number): StoredDelivery[] {
    const queued = this.entries.filter((entry) => entry.state === 'queued' && entry.sequence > sequence);
    return queued.slice(0, limit);
  }
}

class MemoryEntry implements StoredDelivery {
  readonly sequence: number;
  readonly publication: Publication;
  readonly qos: DeliveryFields['qos'];
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
  /** Nothing here ever goes to other workers. */
  readonly wasForwarded = false;
  state: DeliveryFields['state'];
  packetId: number;
  dup: boolean;
  readonly #queue: MemoryQueue;
  /** Lost with a crash, unless it is saved before. */
  #noted: { state: DeliveryFields['state']; packetId: number } | null = null;

  constructor(queue: MemoryQueue, sequence: number, publication: Publication, delivery: DeliveryFields) {
    this.#queue = queue;
    this.sequence = sequence;
    this.publication = publication;
    this.qos = delivery.qos;
    this.retain = delivery.retain;
    this.subscriptionIds = delivery.subscriptionIds;
    this.state = delivery.state;
    this.packetId = delivery.packetId;
    this.dup = delivery.dup;
  }

  get payloadBytes(): number {
    return this.publication.payloadLength;
  }

  update(change: Partial<Pick<DeliveryFields, 'state' | 'packetId' | 'dup'>>): void {
    Object.assign(this, change);
    this.#queue.changed();
  }

  relyOn(): void {
    this.#queue.relyOnRemovals();
  }

  updateLater(state: DeliveryFields['state'], packetId: number): void {
    this.#noted = { state, packetId };
  }

  writeUpdates(): void {
    if (this.#noted !== null) this.update(this.#noted);
    this.#noted = null;
  }

  nameForOthers(): string {
    return `${this.sequence}`;
  }

  remove(): void {
    const { entries } = this.#queue;
    const at = entries.indexOf(this);
    if (at < 0) throw new Error('removed twice');
    entries.splice(at, 1);
    this.#queue.changed();
  }
}

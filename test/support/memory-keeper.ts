/** What a session keeps, in memory: so that a test can take the session up again from it, as after a crash. */
import type { StoredMessage } from '../../src/model/message.js';
import type { Publication } from '../../src/mqtt/publication.js';
import type {
  KeptContents,
  KeptDelivery,
  KeptEntry,
  MessageKeeper,
  SessionKeeper,
} from '../../src/session/keeper.js';

export class MemoryKeeper implements SessionKeeper {
  readonly outgoing: MemoryQueue;
  readonly incoming: MemoryQueue;
  readonly #changed: () => void;

  /** @param changed is told of every change */
  constructor(changed = (): void => {}) {
    this.#changed = changed;
    this.outgoing = new MemoryQueue(changed);
    this.incoming = new MemoryQueue(changed);
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

  end(): void {
    this.#changed();
  }

  /** As the store gives it back. */
  contents(): KeptContents {
    const waiting = this.outgoing.entries.filter(({ state }) => state === 'queued');
    return {
      inFlight: this.outgoing.entries.filter(({ state }) => state !== 'queued'),
      waiting: waiting.filter(({ qos }) => qos > 0).length,
      waitingQos0: waiting.filter(({ qos }) => qos === 0).length,
      waitingBytes: waiting.reduce((sum, { payloadBytes }) => sum + payloadBytes, 0),
      received: [...this.incoming.entries],
    };
  }
}

class MemoryQueue implements MessageKeeper {
  readonly entries: KeptEntry[] = [];
  readonly changed: () => void;
  #lastSequence = 0;

  constructor(changed: () => void) {
    this.changed = changed;
  }

  append(publication: Publication, delivery: KeptDelivery): KeptEntry {
    this.#lastSequence += 1;
    const entry = new MemoryEntry(this, this.#lastSequence, publication.toStored(), delivery);
    this.entries.push(entry);
    this.changed();
    return entry;
  }

  read(sequence: number, limit: number): KeptEntry[] {
    const queued = this.entries.filter((entry) => entry.state === 'queued' && entry.sequence > sequence);
    return queued.slice(0, limit);
  }
}

class MemoryEntry implements KeptEntry {
  readonly sequence: number;
  readonly message: StoredMessage;
  readonly qos: KeptDelivery['qos'];
  readonly retain: boolean;
  readonly subscriptionIds: readonly number[];
  /** Nothing here ever goes to other workers. */
  readonly wasReleased = false;
  state: KeptDelivery['state'];
  packetId: number;
  dup: boolean;
  readonly #queue: MemoryQueue;

  constructor(queue: MemoryQueue, sequence: number, message: StoredMessage, delivery: KeptDelivery) {
    this.#queue = queue;
    this.sequence = sequence;
    this.message = message;
    this.qos = delivery.qos;
    this.retain = delivery.retain;
    this.subscriptionIds = delivery.subscriptionIds;
    this.state = delivery.state;
    this.packetId = delivery.packetId;
    this.dup = delivery.dup;
  }

  get payloadBytes(): number {
    return this.message.payload.length;
  }

  update(change: Partial<Pick<KeptDelivery, 'state' | 'packetId' | 'dup'>>): void {
    Object.assign(this, change);
    this.#queue.changed();
  }

  release(): string {
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

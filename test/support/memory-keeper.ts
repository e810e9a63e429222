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
  readonly outgoing = new MemoryQueue();
  readonly incoming = new MemoryQueue();

  update(): void {}
  subscribe(): void {}
  unsubscribe(): void {}
  end(): void {}

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
  #lastSequence = 0;

  append(publication: Publication, delivery: KeptDelivery): KeptEntry {
    this.#lastSequence += 1;
    const entry = new MemoryEntry(this.entries, this.#lastSequence, publication.toStored(), delivery);
    this.entries.push(entry);
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
  state: KeptDelivery['state'];
  packetId: number;
  dup: boolean;
  readonly #entries: KeptEntry[];

  constructor(entries: KeptEntry[], sequence: number, message: StoredMessage, delivery: KeptDelivery) {
    this.#entries = entries;
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
  }

  remove(): void {
    const at = this.#entries.indexOf(this);
    if (at < 0) throw new Error('removed twice');
    this.#entries.splice(at, 1);
  }
}

/** A store that forgets with its process: for a broker core that runs alone, as in tests. */
import type { Publication } from '../mqtt/publication.js';
import { RetainedTree } from '../topic/retained-tree.js';
import type { BrokerStore, RetainedCursor, RetainedMessages } from './ports.js';

export class MemoryStore implements BrokerStore {
  readonly knowsSessions = true;
  readonly retained: RetainedMessages = new RetainedInMemory();
  readonly memoryBytes = 0;

  mark(): number {
    return 0;
  }

  markWithin(): number {
    return 0;
  }

  changedSince(): boolean {
    return false;
  }

  whenSettled(_mark: number, callback: () => void): void {
    callback();
  }

  isNewTo(): boolean {
    return true;
  }

  whenRetained(callback: () => void): void {
    callback();
  }

  refresh(): void {}

  createSession(): null {
    return null;
  }

  relyOnEnd(_clientId: string): void {}
}

class RetainedInMemory implements RetainedMessages {
  readonly #tree = new RetainedTree<Publication>();

  get count(): number {
    return this.#tree.size;
  }

  get memoryBytes(): number {
    let bytes = 0;
    this.#tree.all(({ topic, payloadLength }) => {
      bytes += topic.length + payloadLength;
    });
    return bytes;
  }

  payloadLengthOf(topic: string): number {
    return this.#tree.get(topic)?.payloadLength ?? -1;
  }

  set(message: Publication): void {
    this.#tree.set(message.toOwned());
  }

  clear(topic: string): void {
    this.#tree.delete(topic);
  }

  match(filter: string): RetainedCursor {
    return retainedCursor(this.#tree, filter);
  }

  sweep(now: number): RetainedCursor {
    const messages: Publication[] = [];
    this.#tree.all((message) => messages.push(message));
    return listCursor(messages, (message, found) => {
      if (!this.#removeExpired(message, now)) found(message);
    });
  }

  #removeExpired({ topic, expiresAt }: Publication, now: number): boolean {
    return expiresAt !== 0 && expiresAt <= now && this.#tree.delete(topic);
  }
}

/** What matches at this moment, to be read in pieces. */
export function retainedCursor(tree: RetainedTree<Publication>, filter: string): RetainedCursor {
  const matched: Publication[] = [];
  tree.match(filter, (message) => matched.push(message));
  return listCursor(matched, (message, found) => found(message));
}

function listCursor(
  messages: readonly Publication[],
  each: (message: Publication, found: (message: Publication) => void) => void,
): RetainedCursor {
  let at = 0;
  return {
    get done() {
      return at === messages.length;
    },
    get touched() {
      return at;
    },
    next: (limit, found) => {
      const end = Math.min(messages.length, at + limit);
      while (at < end) {
        at += 1;
        each(messages[at - 1]!, found);
      }
    },
  };
}

/**
 * A worker thread or a process that writes to a store as fast as it can, and tells what was acknowledged. Every
 * number it writes is set as a retained message and put into the queue of a session of its own; some are taken out
 * of the queue again.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { StoreMode } from '../../../src/model/store-mode.js';
import { Publication } from '../../../src/mqtt/publication.js';
import type { QueueEntry } from '../../../src/store/sessions/queue-entry.js';
import { Store } from '../../../src/store/store.js';
import { delivery, message, session } from './stores.js';

export interface WriterOptions {
  path: string;
  mode: StoreMode;
  /** Names the writer's session and topics. */
  name: string;
}

/** What a writer tells, in the order in which it happened. */
export type WriterNews =
  | { kind: 'ready' }
  /** The number is retained and queued for certain. */
  | { kind: 'kept'; number: number }
  /** It is out of the queue for certain. */
  | { kind: 'removed'; number: number }
  | { kind: 'failing'; error: string }
  | { kind: 'recovered' }
  | { kind: 'stopped' };

/** How many numbers are written before the event loop turns. */
const BURST = 20;

/** Whether the writer takes the number out of the queue some time after it put it in. */
export function isRemovedLater(number: number): boolean {
  return number % 5 === 0;
}

/** How long a number that is removed later stays, in numbers. */
const STAYS = 35;

export class StoreWriter {
  readonly #store: Store;
  readonly #name: string;
  readonly #tell: (news: WriterNews) => void;
  #stopping = false;

  constructor(options: WriterOptions, tell: (news: WriterNews) => void) {
    this.#store = new Store({
      ...options,
      now: Date.now,
      onFailure: (error) => tell({ kind: 'failing', error: error.message }),
      onRecovery: () => tell({ kind: 'recovered' }),
    });
    this.#name = options.name;
    this.#tell = tell;
  }

  stop(): void {
    this.#stopping = true;
  }

  async run(): Promise<void> {
    const stored = this.#store.sessions.create(session(this.#name));
    await this.#store.flush();
    this.#tell({ kind: 'ready' });
    const removedLater: QueueEntry[] = [];
    for (let number = 1; !this.#stopping; number += 1) {
      const mark = this.#store.mark();
      const kept = message(
        `numbers/${this.#name}/${number}`,
        String(number).padStart(1 + (number % 700), '0'),
      );
      this.#store.retained.set(Publication.fromStored(kept));
      const entry = stored.outgoing.append(this.#store.sharedMessage(kept), delivery());
      this.#store.whenSettled(mark, () => this.#tell({ kind: 'kept', number }));
      if (isRemovedLater(number)) removedLater.push(entry);
      if (removedLater[0] && removedLater[0].sequence + STAYS < number) this.#remove(removedLater.shift()!);
      if (number % BURST === 0) await new Promise(setImmediate);
    }
    await this.#store.close();
    this.#tell({ kind: 'stopped' });
  }

  #remove(entry: QueueEntry): void {
    const mark = this.#store.mark();
    entry.remove();
    this.#store.whenSettled(mark, () => this.#tell({ kind: 'removed', number: entry.sequence }));
  }
}

if (parentPort !== null) {
  const port = parentPort;
  const writer = new StoreWriter(workerData as WriterOptions, (news) => port.postMessage(news));
  port.on('message', () => {
    writer.stop();
    port.close();
  });
  await writer.run();
} else if (process.send !== undefined) {
  const writer = new StoreWriter(JSON.parse(process.argv[2]!) as WriterOptions, (news) =>
    process.send!(news),
  );
  process.on('message', () => writer.stop());
  await writer.run();
  process.disconnect();
}

/**
 * A worker's links to the others: their filters come in, batches go both ways, and a worker that starts serves clients
 * once it knows the filters of all others.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { assertNever } from '../../base/assert.js';
import type { Broker } from '../../broker/broker.js';
import { receiveRecords } from '../../broker/records-path.js';
import { Link } from '../../routing/link.js';
import type { LinkMessage } from '../../routing/messages.js';
import type { Interest } from '../../routing/route-table.js';
import { RecordFlag } from '../../routing/wire.js';

export interface LinkEffects {
  /** Some link has room again. */
  relieve(): void;
  /** It knows all others, and they it: once. */
  ready(): void;
}

export class WorkerLinks {
  readonly #worker: number;
  readonly #broker: Broker;
  readonly #effects: LinkEffects;
  readonly #ports = new Map<number, MessagePort>();
  /** Links whose other side has not sent all its filters yet. */
  readonly #catchingUp = new Set<number>();
  /** All other workers have this worker's filters. */
  #isKnown = false;
  #isComplete = false;

  /** @param worker the number of the one whose links these are */
  constructor(worker: number, broker: Broker, effects: LinkEffects) {
    this.#worker = worker;
    this.#broker = broker;
    this.#effects = effects;
  }

  /** Links to the workers that run already. */
  open(peers: readonly { worker: number; port: MessagePort }[]): void {
    for (const { worker, port } of peers) {
      this.#catchingUp.add(worker);
      this.#add(worker, port);
    }
  }

  /** Makes the others send the messages that they hold for this worker's stored sessions, before anybody publishes. */
  introduce(): void {
    const { cluster, routes } = this.#broker;
    cluster.introduce(routes.interests(), () => {
      this.#isKnown = true;
      this.#completeWhenCaughtUp();
    });
  }

  /** A worker begins. */
  add(worker: number, port: MessagePort): void {
    this.#tellEverything(this.#add(worker, port));
  }

  /** The link to a worker that begins: a new one, or the one to the worker in whose place it comes. */
  #add(worker: number, port: MessagePort): Link {
    const { cluster } = this.#broker;
    const held = cluster.link(worker);
    held?.attach(port);
    const link = held ?? new Link(worker, port, this.#broker.flushList, () => this.#effects.relieve());
    cluster.add(link);
    this.#ports.set(worker, port);
    port.on('message', (message: LinkMessage) => this.#receiveFrom(link, message));
    return link;
  }

  /** The worker died: messages for its stored sessions are held for its replacement. */
  remove(worker: number): void {
    const link = this.#broker.cluster.link(worker)!;
    const port = this.#ports.get(worker)!;
    // What it had sent may not have arrived, and its publishers may have been told that it is on its way.
    for (let left = receiveMessageOnPort(port); left !== undefined; left = receiveMessageOnPort(port)) {
      this.#receiveFrom(link, left.message as LinkMessage);
    }
    port.close();
    this.#ports.delete(worker);
    this.#broker.routes.forgetUnlessDurable(worker);
    this.#broker.cluster.hold(worker);
    this.#effects.relieve();
    this.#catchingUp.delete(worker);
    this.#completeWhenCaughtUp();
  }

  /** Sends a new worker this one's filters, the `$SYS` tree, and the messages that were held for it. */
  #tellEverything(link: Link): void {
    const { worker } = link;
    const changes = this.#broker.routes.interests();
    link.control({ kind: 'interest', sequence: 0, changes, isAll: true });
    // Each retained message comes from one worker only: the one with the lowest number.
    const others = [...this.#ports.keys()].filter((other) => other !== worker);
    if (others.every((other) => other > this.#worker)) {
      this.#broker.sysRetained.all((message) => link.publish(message, RecordFlag.setRetained, ''));
    }
    link.control({ kind: 'caught-up' });
    link.open();
  }

  #receiveBatch(link: Link, records: Uint8Array, awaited: number): void {
    const { store, cluster } = this.#broker;
    const mark = store.mark();
    let missing = 1;
    let isSettled = false;
    let verdict: 'stored' | 'lost' = 'stored';
    const answer = () => {
      if (missing === 0 && isSettled) link.control({ kind: verdict, batch: awaited });
    };
    const done = () => {
      missing -= 1;
      if (missing > 0) return;
      link.workedOff(records.length);
      answer();
    };
    const lost = () => {
      verdict = 'lost';
    };
    const failed = () => {
      lost();
      done();
    };
    // A shared group may pass a message on to a third worker: then this batch is complete when that worker has it.
    receiveRecords(this.#broker, records, false, lost, (worker) => {
      missing += cluster.whenStored(1 << worker, done, failed);
    });
    if (awaited !== 0) {
      // In this turn: a third worker answers in a later one, in which the mark means something else.
      store.whenSettled(mark, () => {
        isSettled = true;
        answer();
      });
    }
    done();
  }

  #receiveFrom(link: Link, message: LinkMessage): void {
    const { store } = this.#broker;
    store.refresh();
    switch (message.kind) {
      case 'batch':
        this.#receiveBatch(link, message.records, message.awaited);
        return;
      case 'stored':
        link.stored(message.batch);
        return;
      case 'lost':
        link.lost(message.batch);
        return;
      case 'interest':
        this.#noteInterest(link.worker, message.changes, message.isAll);
        // Retained messages that this worker took before have to be in sight of the one that asks.
        store.whenRetained(() => link.control({ kind: 'confirmed', sequence: message.sequence }));
        return;
      case 'confirmed':
        this.#broker.cluster.confirmed(link.worker, message.sequence);
        return;
      case 'credit':
        link.credit(message.bytes);
        return;
      case 'caught-up':
        this.#catchingUp.delete(link.worker);
        this.#completeWhenCaughtUp();
        return;
      default:
        assertNever(message);
    }
  }

  #noteInterest(worker: number, changes: Interest[], isAll: boolean): void {
    const { routes } = this.#broker;
    if (isAll) routes.replaceRemote(worker, changes);
    else for (const change of changes) routes.setRemote(worker, change);
  }

  #completeWhenCaughtUp(): void {
    if (this.#isComplete || this.#catchingUp.size > 0 || !this.#isKnown) return;
    this.#isComplete = true;
    this.#effects.ready();
  }
}

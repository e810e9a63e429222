/**
 * The other workers, seen from one: the links to them, what they were told of this worker's interests, and who
 * still has to confirm it.
 *
 * The guarantee behind it: once SUBACK is sent, a message published afterwards on any connection of any worker is
 * delivered. So a SUBSCRIBE ends in `barrier`: its changes go to every worker, and SUBACK waits until each has
 * confirmed them. Links keep their order, so everything that a worker had sent before it confirmed, retained
 * messages included, has arrived by then.
 */
import { assert } from '../base/assert.js';
import { RingQueue } from '../base/ring-queue.js';
import type { Publication } from '../mqtt/publication.js';
import { isSysTopic } from '../topic/topic-name.js';
import type { Link } from './link.js';
import type { Interest } from './route-table.js';
import { RecordFlag } from './wire.js';

/** Workers at the most: interest is a bit mask. */
export const WORKERS_MAX = 32;

interface Barrier {
  sequence: number;
  done: () => void;
}

export class Cluster {
  readonly #links: (Link | null)[] = new Array(WORKERS_MAX).fill(null);
  /** Bit n: there is a link to worker n, be it held. */
  #present = 0;
  /** Bit n: worker n lives. */
  #living = 0;
  #sequence = 0;
  /** The last sequence that each worker has confirmed, or that it need not: what was said before it came. */
  readonly #confirmed: number[] = new Array(WORKERS_MAX).fill(0);
  /** What is not confirmed by all, in the order in which it was said. */
  readonly #barriers = new RingQueue<Barrier>();

  /** The worker at the other end of the link lives. */
  add(link: Link): void {
    assert(link.worker >= 0 && link.worker < WORKERS_MAX, 'a worker has a bit in the masks');
    assert((this.#living & (1 << link.worker)) === 0, 'a worker is added once, until it dies');
    this.#links[link.worker] = link;
    this.#present |= 1 << link.worker;
    this.#living |= 1 << link.worker;
    this.#confirmed[link.worker] = this.#sequence;
  }

  /** A worker died: no barrier waits for it any more, and messages for it wait for its successor. */
  hold(worker: number): void {
    this.#living &= ~(1 << worker);
    this.#links[worker]?.hold();
    this.#finishBarriers();
  }

  /** An exception has left half a message in a batch for another worker. */
  get isBroken(): boolean {
    return this.#links.some((link) => link?.isPacking);
  }

  link(worker: number): Link | null {
    return this.#links[worker] ?? null;
  }

  /** Tells every worker of changed interests; nobody waits for it. */
  announce(changes: Interest[]): void {
    if (changes.length > 0) this.barrier(changes, () => {});
  }

  /** Tells every worker, and calls `done` when all have confirmed; at once where there are none. */
  barrier(changes: Interest[], done: () => void, isAll = false): void {
    if (this.#living === 0) {
      done();
      return;
    }
    this.#sequence += 1;
    this.#barriers.push({ sequence: this.#sequence, done });
    const message = { kind: 'interest', sequence: this.#sequence, changes, isAll } as const;
    for (const link of this.#links) link?.control(message);
  }

  /** As `barrier`, first thing in a worker's life: `interests` are all that it has. */
  introduce(interests: Interest[], done: () => void): void {
    this.barrier(interests, done, true);
  }

  confirmed(worker: number, sequence: number): void {
    assert(sequence <= this.#sequence, 'a worker confirms only what it was sent');
    if (sequence > this.#confirmed[worker]!) this.#confirmed[worker] = sequence;
    this.#finishBarriers();
  }

  /**
   * Calls `stored` once for each worker of the mask to which something was sent in this turn when that is stored
   * there, or `failed` if the worker dies before.
   * @returns how many calls there will be
   */
  whenStored(mask: number, stored: () => void, failed: () => void): number {
    let count = 0;
    for (let left = mask & this.#present; left !== 0; left &= left - 1) {
      if (this.#links[31 - Math.clz32(left & -left)]!.whenStored(stored, failed)) count += 1;
    }
    return count;
  }

  /** Some link of the mask cannot take more at the moment. */
  congested(mask: number): boolean {
    for (let left = mask & this.#present; left !== 0; left &= left - 1) {
      if (this.#links[31 - Math.clz32(left & -left)]!.congested) return true;
    }
    return false;
  }

  /**
   * Sends a message to the workers of the mask (hot path); every worker gets a retained one of `$SYS`.
   * @returns how many workers did not get a QoS 0 message because their link is congested
   */
  forward(publication: Publication, mask: number): number {
    let dropped = 0;
    // Only the broker's own tree is in each worker's memory; other retained messages are in the store.
    const retained = publication.retain && isSysTopic(publication.topic) ? RecordFlag.setRetained : 0;
    const targets = (mask & this.#present) | (retained === 0 ? 0 : this.#living);
    for (let left = targets; left !== 0; left &= left - 1) {
      const bit = left & -left;
      const link = this.#links[31 - Math.clz32(bit)]!;
      if (link.congested && publication.qos === 0 && retained === 0) dropped += 1;
      else link.publish(publication, retained | ((mask & bit) === 0 ? 0 : RecordFlag.deliver), '');
    }
    return dropped;
  }

  /**
   * Sends a message to one worker, for a member of the shared group there.
   * @param asked bit n: worker n was asked before, and has no member that may read it
   * @returns 1 if a QoS 0 message was dropped because the link is congested, else 0
   */
  forwardToGroup(publication: Publication, worker: number, groupKey: string, asked = 0): number {
    const link = this.#links[worker];
    if (link?.congested && publication.qos === 0) return 1;
    link?.publish(publication, RecordFlag.group, groupKey, asked);
    return 0;
  }

  /** A worker confirms in the order in which it was told, so what all have confirmed is at the head. */
  #finishBarriers(): void {
    let confirmed = this.#sequence;
    for (let left = this.#living; left !== 0; left &= left - 1) {
      confirmed = Math.min(confirmed, this.#confirmed[31 - Math.clz32(left & -left)]!);
    }
    while (this.#barriers.length > 0 && this.#barriers.peek()!.sequence <= confirmed) {
      this.#barriers.shift()!.done();
    }
  }
}

/**
 * The way from one worker to another: a message port over which publishes travel in packed batches, one message
 * a turn of the event loop, and control messages in their order among them.
 *
 * Credits bound it: what was sent and not yet worked off on the other side is counted, and beyond
 * `WINDOW_BYTES` the link is `congested`. Then publishers of QoS 1 and 2 are no longer read from and messages of
 * QoS 0 are dropped and counted, so that a slow worker cannot make this one's memory grow.
 *
 *   open ──worker dies──► held ──port to its successor──► attached ──told what it has to know──► open
 *
 * While it is held, batches for the dead worker's stored sessions wait, unacknowledged, and the link counts as
 * congested: each publisher of QoS 1 and 2 adds at most what it had sent already.
 */
import type { MessagePort } from 'node:worker_threads';
import { assert } from '../base/assert.js';
import { type ByteSink, type FlushList, OutgoingBuffer } from '../mqtt/outgoing-buffer.js';
import type { Publication } from '../mqtt/publication.js';
import type { Batch, LinkMessage } from './messages.js';
import { packRecord } from './wire.js';

/** Bytes on their way to one worker at the most, before publishers are held back. */
export const WINDOW_BYTES = 4 * 1024 * 1024;

/** Work done is reported when it amounts to this much: a few reports a window. */
const CREDIT_BYTES = WINDOW_BYTES / 8;

interface Waiting {
  batch: number;
  stored: () => void;
  failed: () => void;
}

export class Link implements ByteSink {
  /** The number of the worker at the other end. */
  readonly worker: number;
  /** Still true after an exception: half a record is in the batch, and nobody could read what follows it. */
  isPacking = false;
  #port: Pick<MessagePort, 'postMessage'> | null;
  /** Batches for the successor of the worker that died; `null` = the link is open. */
  #held: Batch[] | null = null;
  readonly #out: OutgoingBuffer;
  readonly #relieved: () => void;
  #outstanding = 0;
  #owed = 0;
  /** Numbers the batches. */
  #batch = 1;
  /** Who waits until the batch being collected, or an earlier one, is stored at the other end, in their order. */
  #waiting: Waiting[] = [];
  #congested = false;

  /** @param relieved called when a congested link has room again */
  constructor(
    worker: number,
    port: Pick<MessagePort, 'postMessage'>,
    flushList: FlushList,
    relieved: () => void,
  ) {
    this.worker = worker;
    this.#port = port;
    this.#out = new OutgoingBuffer(this, flushList);
    this.#relieved = relieved;
  }

  get congested(): boolean {
    return this.#congested;
  }

  /**
   * Adds a publish to the batch.
   * @param what `RecordFlag` bits
   * @param asked for a group: the workers that were asked for a member before
   */
  publish(publication: Publication, what: number, groupKey: string, asked = 0): void {
    this.isPacking = true;
    packRecord(this.#out, publication, what, groupKey, asked | (1 << this.worker));
    this.isPacking = false;
  }

  /**
   * Calls back when the batch being collected is stored at the other end, or never will be. Each batch is
   * confirmed by itself.
   * @returns false if there is nothing in it and nothing to wait for, as when a shared group's message went
   * to a member elsewhere
   */
  whenStored(stored: () => void, failed: () => void): boolean {
    if (this.#out.chunk === null) return false;
    this.#waiting.push({ batch: this.#batch, stored, failed });
    return true;
  }

  /** The other end has stored this batch. Earlier ones may take longer: they may have more to store. */
  stored(batch: number): void {
    for (const { stored } of this.#takeWaiting(batch)) stored();
  }

  /** The other end had to pass something of this batch on, to a worker that died before it was stored there. */
  lost(batch: number): void {
    for (const { failed } of this.#takeWaiting(batch)) failed();
  }

  #takeWaiting(batch: number): Waiting[] {
    const first = this.#waiting.findIndex((waiting) => waiting.batch === batch);
    assert(first >= 0, 'a batch is confirmed once, and only if somebody waits for it');
    let end = first;
    while (this.#waiting[end]?.batch === batch) end += 1;
    return this.#waiting.splice(first, end - first);
  }

  /** The other end is gone: whether it has stored what was sent, nobody knows. */
  hold(): void {
    this.#port = null;
    if (this.#held !== null) return;
    this.#held = [];
    this.#outstanding = 0;
    this.#owed = 0;
    this.#congested = true;
    const unsent = this.#waiting.findIndex(({ batch }) => batch === this.#batch);
    const sent = this.#waiting.splice(0, unsent < 0 ? this.#waiting.length : unsent);
    for (const { failed } of sent) failed();
  }

  /** Another worker has taken the place of the one that died. What was held waits for `open`. */
  attach(port: Pick<MessagePort, 'postMessage'>): void {
    assert(this.#port === null, 'the worker that died is gone before its replacement comes');
    this.#port = port;
  }

  /** The successor gets what was held for it. */
  open(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const message of held) this.#post(message);
    this.#congested = this.#outstanding > WINDOW_BYTES;
    if (!this.#congested) this.#relieved();
  }

  /** Sends a control message behind everything published before it; nobody gets one for a dead worker. */
  control(message: LinkMessage): void {
    this.#out.flush();
    this.#port?.postMessage(message);
  }

  /** The other side has handled this number of bytes. */
  credit(bytes: number): void {
    this.#outstanding -= bytes;
    assert(this.#outstanding >= 0, 'the other side works off no more than it was sent');
    if (this.#congested && this.#outstanding <= WINDOW_BYTES / 2) {
      this.#congested = false;
      this.#relieved();
    }
  }

  /** This side has worked off a batch that the other side sent. */
  workedOff(bytes: number): void {
    this.#owed += bytes;
    if (this.#owed < CREDIT_BYTES) return;
    this.control({ kind: 'credit', bytes: this.#owed });
    this.#owed = 0;
  }

  /** The batch is copied to its exact size: a posted slice would carry the whole chunk along. */
  write(chunk: Buffer, length: number): boolean {
    const records = new Uint8Array(length);
    records.set(chunk.subarray(0, length));
    const awaited = this.#waiting.at(-1)?.batch === this.#batch;
    const batch: Batch = { kind: 'batch', records, awaited: awaited ? this.#batch : 0 };
    this.#outstanding += length;
    if (this.#held === null) this.#post(batch);
    else this.#held.push(batch);
    this.#batch += 1;
    if (this.#outstanding > WINDOW_BYTES) this.#congested = true;
    return true;
  }

  #post(batch: Batch): void {
    this.#port!.postMessage(batch, [batch.records.buffer]);
  }
}

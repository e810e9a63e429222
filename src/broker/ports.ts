/**
 * The world as the broker core sees it: interfaces that `net` and `runtime` implement, and the options it reads.
 * Nothing in this folder knows a socket, a thread or a clock but through these.
 */
import type { MessagePort } from 'node:worker_threads';
import type { ListenerSettings } from '../config/settings.js';
import type { SessionRecord } from '../model/session-record.js';
import type { ByteSink } from '../mqtt/outgoing-buffer.js';
import type { Publication } from '../mqtt/publication.js';
import type { Claim, ClaimAnswer } from '../routing/messages.js';
import type { SessionKeeper } from '../session/keeper.js';

/** The network side of one connection. */
export interface Transport extends ByteSink {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Index of the listener in the settings. */
  readonly listener: number;
  pause(): void;
  resume(): void;
  /** Sends what was written and closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** Gives up the connection without closing it, for another thread. @returns `null` where it is gone already */
  detach(): Detached | null;
}

/** A file descriptor of the process, or a port over which the bytes of a socket elsewhere come and go. */
export type Handover = number | MessagePort;

export interface Detached {
  handover: Handover;
  /** What had arrived and was not yet given to the connection. */
  unread: Uint8Array;
}

/** Main's directory of client ids, seen from a worker. Calls are collected over a turn of the event loop. */
export interface Directory {
  /** Asks for a client id. @returns the number of the claim */
  claim(claim: Omit<Claim, 'id'>, answer: (answer: ClaimAnswer) => void): number;
  /** The will that came with this claim needs no sending any more. */
  willDone(clientId: string, claim: number): void;
  /** The session ended. */
  released(clientId: string): void;
  /** The session lives on `worker`: move the connection there. */
  pass(worker: number, transport: Transport, received: Uint8Array): void;
  /** A connection ended. */
  closed(listener: number): void;
}

/**
 * Where everything is kept that is to outlive a connection or to be seen by all workers. Who acknowledges something
 * does it like this, within one turn of the event loop:
 *
 *     const mark = store.mark();
 *     …changes…
 *     if (store.changedSince(mark)) store.whenSettled(mark, acknowledge); else acknowledge();
 */
export interface BrokerStore {
  mark(): number;
  changedSince(mark: number): boolean;
  /** Calls back once everything changed since the mark is committed, or was undone. */
  whenSettled(mark: number, callback: () => void): void;
  /** Calls back once all that this thread has changed can be read by others. */
  whenFlushed(callback: () => void): void;
  /** Lets this thread read what others committed; first thing in every handler of another thread's message. */
  refresh(): void;
  /** @returns `null` where sessions are kept in memory only */
  createSession(record: SessionRecord): SessionKeeper | null;
  readonly retained: RetainedMessages;
}

/** The retained messages of all workers. */
export interface RetainedMessages {
  readonly count: number;
  set(message: Publication): void;
  clear(topic: string): void;
  /** The messages whose topics match, to be read in pieces. */
  match(filter: string): RetainedCursor;
}

export interface RetainedCursor {
  readonly done: boolean;
  /** At most `limit` messages; fewer, even none, do not mean that it is done. */
  next(limit: number): Publication[];
}

/** What a client showed when it connected. */
export interface Credentials {
  listener: ListenerSettings;
  clientId: string;
  username: string | undefined;
  password: Uint8Array | undefined;
  remoteAddress: string;
}

/** The answer: 0 and the names that count from now on, or the reason code of the refusal. */
export interface Verdict {
  reasonCode: number;
  clientId: string;
  username: string | undefined;
}

/** Decides who may connect; may take its time. */
export type Authenticate = (credentials: Credentials, answer: (verdict: Verdict) => void) => void;

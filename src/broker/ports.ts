/**
 * The world as the broker core sees it: interfaces that `net` and `runtime` implement, and the options it reads.
 * Nothing in this folder knows a socket, a thread or a clock but through these.
 */
import type { MessagePort } from 'node:worker_threads';
import type { TopicAcl } from '../auth/acl-check.js';
import type { LoginAnswer, LoginRequest, TlsSession } from '../auth/authenticator.js';
import type { SessionRecord } from '../model/session-record.js';
import type { ByteSink } from '../mqtt/outgoing-buffer.js';
import type { Once, Publication } from '../mqtt/publication.js';
import type { Claim, ClaimAnswer, Takeover } from '../routing/messages.js';
import type { SessionStorage } from '../session/session-storage.js';

/** The events of a transport. */
export interface TransportUser {
  /** Bytes have arrived. The buffer belongs to the caller again once this returns. */
  receive(buffer: Uint8Array, length: number): void;
  /** The kernel has accepted all bytes that were written. */
  drained(): void;
  /** The stream has ended. @param reason empty for an ordinary end */
  transportEnded(reason: string): void;
}

/** The network side of one connection. */
export interface Transport extends ByteSink {
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Index of the listener in the settings. */
  readonly listener: number;
  /** `null` if the client's connection is not encrypted: up to here, or up to a proxy whose header says so. */
  readonly tls: TlsSession | null;
  pause(): void;
  resume(): void;
  /** Sends the bytes that were written, then closes. */
  end(): void;
  /** Closes at once. */
  destroy(): void;
  /** Gives up the connection without closing it, for another thread. @returns `null` if it is gone already */
  detach(): Detached | null;
}

/** A file descriptor of the process, or a port over which the bytes of a socket elsewhere come and go. */
export type Handover = number | MessagePort;

export interface Detached {
  handover: Handover;
  /** Bytes that had arrived and were not yet given to the connection. */
  unread: Uint8Array;
}

/** Main's directory of client ids, seen from a worker. Calls are collected over a turn of the event loop. */
export interface Directory {
  /** Asks for a client id. @returns the number of the claim */
  claim(claim: Omit<Claim, 'id'>, answer: (answer: ClaimAnswer) => void): number;
  /** The will that came with this claim is published or given up: main need not send it if this worker dies. */
  willDone(clientId: string, claim: number): void;
  /** Another connection has come with the client's id. */
  takenOver(takeover: Takeover): void;
  /** The session ended. */
  sessionEnded(clientId: string): void;
  /** The session lives on `worker`: move the connection there. */
  pass(worker: number, transport: Transport, received: Uint8Array): void;
  /** A connection ended. */
  closed(listener: number): void;
}

/**
 * Stores sessions, queues and retained messages. An acknowledgement is sent like this, within one
 * turn of the event loop:
 *
 *     const mark = store.mark();
 *     …changes…
 *     if (store.changedSince(mark)) store.whenSettled(mark, acknowledge); else acknowledge();
 *
 * Whoever finds the wanted state in memory calls the `relyOn…` of what it found, in place of the changes.
 */
export interface BrokerStore {
  /** False while stored sessions cannot be read: then nobody knows whether a client has one. */
  readonly knowsSessions: boolean;
  mark(): number;
  /** A mark between the changes of one packet, which are stored or lost together all the same. */
  markWithin(): number;
  changedSince(mark: number): boolean;
  /** Calls back once all changes since the mark are settled. */
  whenSettled(mark: number, callback: () => void): void;
  /**
   * Whether a QoS 2 message, which may come a second time after a crash, is new to a receiver. If another worker stores
   * the message until it is released, a delivery note is stored with the other changes of this turn.
   */
  isNewTo(receiver: string, message: Once): boolean;
  /**
   * Calls back once other threads can read the retained messages that this thread has set. While the store cannot be
   * written it calls back all the same: those messages are not acknowledged, so nobody may rely on them, and a client that
   * has subscribed is not to wait for them.
   */
  whenRetained(callback: () => void): void;
  /** Lets this thread read what others have committed. Every handler of another thread's message calls this first. */
  refresh(): void;
  /** @returns `null` if sessions are in memory only */
  createSession(record: SessionRecord): SessionStorage | null;
  /** What is acknowledged in this turn relies on the end of an earlier session of this client: it waits for that. */
  relyOnEnd(clientId: string): void;
  readonly retained: RetainedMessages;
  /** Bytes of the store's file if it lies in memory; 0 if it lies on a disk. */
  readonly memoryBytes: number;
}

/** The retained messages of all workers. */
export interface RetainedMessages {
  readonly count: number;
  /** Bytes of memory that they occupy; 0 if they are on a disk. */
  readonly memoryBytes: number;
  /** Of the message of this topic, in bytes; -1 if there is none. */
  payloadLengthOf(topic: string): number;
  set(message: Publication): void;
  clear(topic: string): void;
  /** The messages whose topics match, to be read in pieces. */
  match(filter: string): RetainedCursor;
  /** All messages, those below `$` included; reading them removes what has expired. @param now milliseconds since the epoch */
  sweep(now: number): RetainedCursor;
}

export interface RetainedCursor {
  readonly done: boolean;
  /** How many stored messages and index keys it has looked at so far: what it has cost. */
  readonly touched: number;
  /**
   * Finds at most `limit` messages. Fewer, or none, do not mean that the cursor is done.
   * @param found gets an object that is used again for the next message, and must not read from the store
   */
  next(limit: number, found: (message: Publication) => void): void;
}

/** A client's request to connect. */
export interface Login {
  /** Index of the listener in the settings. */
  listener: number;
  request: LoginRequest;
}

/** Admitted, under which names and by which rule; or why not. */
export type Admission = LoginAnswer;

/** The login of a client that was admitted. */
export interface AdmittedLogin {
  login: Login;
  admission: Admission & { admitted: true };
}

/** Who may connect, and what they may do. */
export interface Access {
  /** Answers at once, or with a promise if a password has to be hashed or too many attempts have failed. */
  login(login: Login): Admission | Promise<Admission>;
  /** Whether a client that was admitted would be admitted again under the same names: asked after a reload. */
  isStillAdmitted(admitted: AdmittedLogin): Promise<boolean>;
  /**
   * The rights of a client, to be asked for again after a reload; `null` = everything but the broker's own topics.
   * @param listener index of the one it came through last; `null` if that is not known: what any of them would allow
   */
  aclOf(listener: number | null, username: string | undefined, clientId: string): TopicAcl | null;
}
